# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A real Gazebo with a world, of the package or your own, and the node: right is what Gazebo says is where.

    MOLMO_GAZEBO_QUESTIONS=my_world.yaml python3 -m pytest test/gazebo/test_own_world.py

docs/gazebo.md says what is in the file; without it the tabletop is asked about. Skipped where ros_gz is not installed.
"""

import os
import sys
import time
from pathlib import Path

import pytest

from molmo_ros.gazebo.question_list import QuestionList
from molmo_ros.gazebo.release import RELEASES, release_of
from molmo_ros.geometry.rigid_transform import RigidTransform

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from simulation import Simulation, missing  # noqa: E402

MISSING = missing()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no Gazebo to test with: {MISSING}")
RELEASE = RELEASES.get(os.environ.get("MOLMO_GAZEBO_RELEASE", "")) or release_of(
    os.environ.get("ROS_DISTRO", "")
)
FILE = Path(os.environ.get("MOLMO_GAZEBO_QUESTIONS", HERE / "tabletop.yaml"))
QUESTIONS = QuestionList.read(FILE, HERE.parents[1] / "gazebo", RELEASE)
FIRST = next(iter(QUESTIONS.queries))
STEP = 0.03
"""How far things are moved [m]."""
START = 180.0
"""Patience until Gazebo and the model are there [s]."""


@pytest.fixture(scope="module")
def simulation(domain, tmp_path_factory):
    running = Simulation(QUESTIONS, RELEASE, domain, tmp_path_factory.mktemp("gazebo") / "output.txt")
    try:
        yield running
    finally:
        running.close()
        print(f"Gazebo's and the node's output: {running.log}")


@pytest.fixture(scope="module")
def user(simulation, domain):
    from world_user import WorldUser

    one, started = WorldUser(QUESTIONS, domain), time.monotonic()
    try:
        assert one.spin(one.client.service_is_ready, START), simulation.log.read_text()[-3000:]
        first = one.answer(QUESTIONS.queries[FIRST], patience=START)
        print(
            f"first answer {time.monotonic() - started:.1f} s after the launch: {first.status} {first.reason}"
        )
        yield one
    finally:
        one.close()


def shifted(place, y):
    return RigidTransform(
        (place.translation[0], place.translation[1] + y, place.translation[2]), place.rotation
    )


def move(simulation, user, model, place):
    """Put a model somewhere, and wait until its pose publisher says that it is there, and for a second of its time."""
    simulation.place(model, place)

    def there():
        off = zip(user.poses[model].translation[:2], place.translation[:2], strict=True)
        return max(abs(a - b) for a, b in off) < STEP / 3

    assert user.spin(there, 30), f"{model} is at {user.poses[model].translation}, not where it was put"
    then = user.now + 1
    assert user.spin(lambda: user.now > then, 60), "the simulated time does not go on"


@pytest.mark.parametrize("name", QUESTIONS.queries)
def test_each_object_is_found_where_it_is(user, name):
    assert user.faults(name) == []


@pytest.mark.parametrize("words", QUESTIONS.absent)
def test_what_is_not_there_is_not_found(user, words):
    result = user.answer(words)
    assert (result.status, len(result.points)) == ("NOT_FOUND", 0), result.reason


def test_while_paused_it_is_right_or_says_why_not(simulation, user):
    """The clock stands: the last picture is as new as it was. Where the camera was just then may not come any more."""
    simulation.pause(True)
    try:
        user.spin(patience=2.0)
        result = user.ask(QUESTIONS.queries[FIRST])
        if result.status in ("STALE", "NO_TRANSFORM"):
            assert result.reason and not any(point.has_position for point in result.points)
        else:
            assert user.faults(FIRST, patience=0.0) == []
    finally:
        simulation.pause(False)
    assert user.faults(FIRST, after=user.now) == []


def test_an_object_that_was_moved(simulation, user):
    model = next((name for name in QUESTIONS.queries if name in user.poses), None)
    if model is None:
        pytest.skip("no object of the list has a PosePublisher")
    before = user.poses[model]
    move(simulation, user, model, shifted(before, STEP))
    try:
        assert user.faults(model, after=user.now) == []
    finally:
        move(simulation, user, model, before)


def test_a_camera_that_was_moved(simulation, user):
    camera = QUESTIONS.camera
    if not camera.publishes_pose:
        pytest.skip(f"the camera's model {camera.model!r} has no PosePublisher")
    before = user.poses[camera.model]
    move(simulation, user, camera.model, shifted(before, STEP))
    try:
        assert user.faults(FIRST, after=user.now) == []
    finally:
        move(simulation, user, camera.model, before)


def test_after_a_reset_nothing_of_the_time_before_is_answered(simulation, user):
    """Fortress' cameras stay silent until the old time comes again: then there is no answer, and that is said."""
    old = user.now
    simulation.reset()
    assert user.spin(lambda: user.now < old, 30), "the clock did not go back"
    result = user.answer(QUESTIONS.queries[FIRST], patience=20)
    assert result.header.stamp.sec <= user.now
    if result.status in ("NO_IMAGE", "STALE"):
        assert RELEASE.name == "fortress", f"{result.status}: {result.reason}"
        assert not result.points and result.reason
    else:
        assert user.faults(FIRST, patience=20) == []
