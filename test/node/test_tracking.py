# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points between slow answers, over DDS: a red patch moves over a gray table, and its place in every frame is known."""

import array
import math
import statistics
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

SIDE = 64
"""Edge of the patch [px]."""
NEAR = 4.0
"""How far from the patch's middle a point may be [px]."""
ANSWER = 1.0
"""How long an answer takes [s]."""


class MovingPatch:
    """A camera's pictures, and where the patch was, by stamp.

    Args:
        robot: Publishes them.
        prefix: Of the topics.
        size: Width and height [px].
        rate: [Hz]
        clock: Returns the stamps; the system's time where it is not given.
    """

    def __init__(self, robot, prefix="", size=(640, 480), rate=15.0, clock=None):
        rng = np.random.default_rng(size[0] + len(prefix))
        self.robot, self.prefix, self.rate, self.clock = robot, prefix, rate, clock
        self.width, self.height = size
        self.shown, self.began = True, time.monotonic()
        self.truth, self.headers = {}, {}
        self._table = self._texture(rng, self.height, self.width)
        self._patch = self._texture(rng, SIDE, SIDE)
        self._patch[..., 1:] //= 3
        self._due = time.monotonic()
        self._out = {"image": robot.node.create_publisher(Image, f"{prefix}image", 5)}

    @staticmethod
    def _texture(rng, height, width):
        """uint8 [h, w, 3], gray squares of 8 px."""
        squares = rng.integers(110, 250, (-(-height // 8), -(-width // 8)), np.uint8)
        gray = np.kron(squares, np.ones((8, 8), np.uint8))[:height, :width]
        return np.repeat(gray[..., None], 3, axis=2)

    def place(self, seconds):
        """Column and row of the patch's left upper corner."""
        column = (self.width - SIDE) / 2 + 0.2 * self.width * math.sin(0.5 * seconds)
        return round(column), round((self.height - SIDE) / 2 + 0.1 * self.height * math.sin(0.7 * seconds))

    def show(self, depth=None, info=None):
        """The next frame, when it is due; returns its stamp [ns]."""
        while time.monotonic() < self._due:
            self.robot.executor.spin_once(timeout_sec=max(0.0, self._due - time.monotonic()))
        self._due = max(self._due + 1.0 / self.rate, time.monotonic())
        picture = self._table.copy()
        column, row = self.place(time.monotonic() - self.began)
        if self.shown:
            picture[row : row + SIDE, column : column + SIDE] = self._patch
        message = Image(width=self.width, height=self.height, encoding="rgb8", step=3 * self.width)
        message.data = array.array("B", picture.tobytes())
        message.header.frame_id = f"{self.prefix}optical"
        message.header.stamp = self.clock() if self.clock else self.robot.now()
        stamp = nanoseconds(message.header)
        self.truth[stamp] = (column + SIDE / 2, row + SIDE / 2) if self.shown else None
        self.headers[stamp] = message.header
        for name, other in (("camera_info", info), ("depth", depth)):
            if other is not None:
                other.header = message.header
                self.robot.publish(name, other)
        self._out["image"].publish(message)
        return stamp

    def error(self, found):
        """Distance of an array's point to the patch in its frame [px]; the header is that frame's, bit for bit."""
        stamp = nanoseconds(found.header)
        assert found.header == self.headers[stamp]
        assert len(found.points) == 1, f"{found.status}: {found.reason}"
        point, (x, y) = found.points[0], self.truth[stamp]
        return math.hypot(point.pixel.x - x, point.pixel.y - y)


def nanoseconds(header):
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def seconds(duration):
    return duration.sec + duration.nanosec * 1e-9


def show_until(patch, condition, patience=30.0):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        patch.show()


def show_for(patch, duration):
    until = time.monotonic() + duration
    while time.monotonic() < until:
        patch.show()


@pytest.fixture
def follow(robot):
    """Starts the node with one continuous query and tracking."""

    def start(*arguments, answer=ANSWER, **options):
        query = f"['red patch, {answer} s']"
        parameters = ("-p", f"queries:={query}", "-p", "tracking:=true", "-p", "rate:=5.0", *arguments)
        robot.start(*parameters, script="tracking_node.py", **options)
        return robot

    yield start
    if robot.process:
        robot.stop()


def tracked(robot):
    return [found for found in robot.heard["objects"] if found.tracked]


def test_points_come_with_every_frame_and_stay_on_the_object(follow):
    robot = follow()
    patch = MovingPatch(robot)
    show_until(patch, lambda: tracked(robot))
    robot.clear()
    frames = len(patch.truth)
    show_until(patch, lambda: len(robot.heard["result"]) >= 4)
    found = tracked(robot)
    assert all(one.status == "FOUND" and one.source == "continuous" for one in found)
    errors = [patch.error(one) for one in found]
    assert statistics.median(errors) < 1.0 and max(errors) < NEAR
    # Frames are more than points only where the machine is busy; answers alone would be 4.
    assert len(found) > 0.5 * (len(patch.truth) - frames) > 15
    stamps = [nanoseconds(one.header) for one in found]
    assert stamps == sorted(set(stamps))
    assert {one.points[0].track_id for one in found} == {found[0].points[0].track_id} != {0}
    # An answer is old when it comes; a point is not.
    assert min(seconds(one.frame_age) for one in robot.heard["result"]) > ANSWER
    assert statistics.median(seconds(one.frame_age) for one in found) < 0.5 * ANSWER
    assert "track" in {timing.stage for timing in found[-1].timings}


def test_a_lost_object_is_told_and_asked_about_at_once(follow):
    robot = follow()
    patch = MovingPatch(robot)
    show_until(patch, lambda: tracked(robot))
    assert not robot.set(rate=0.05)  # the next query is due in 20 s
    show_for(patch, 1.5 * ANSWER)
    patch.shown = False
    robot.clear()
    started = time.monotonic()
    show_until(patch, lambda: any(not found.points for found in tracked(robot)))
    lost = next(found for found in tracked(robot) if not found.points)
    assert lost.status == "STALE" and "1 of 1 points were lost" in lost.reason
    assert patch.truth[nanoseconds(lost.header)] is None
    show_until(patch, lambda: any(one.status == "NOT_FOUND" for one in robot.heard["objects"]))
    assert time.monotonic() - started < 15
    assert [one.status for one in robot.heard["result"]] == ["NOT_FOUND"]
    patch.shown = True
    assert not robot.set(rate=5.0)
    show_until(patch, lambda: any(found.points for found in tracked(robot)[-1:]))
    assert patch.error(tracked(robot)[-1]) < NEAR


def test_switched_while_it_runs(follow):
    robot = follow("-p", "tracking:=false")
    patch = MovingPatch(robot)
    show_until(patch, lambda: len(robot.heard["objects"]) >= 2)
    assert not tracked(robot)
    assert robot.heard["objects"][-1].points[0].track_id == 0
    assert not robot.set(tracking=True)
    show_until(patch, lambda: len(tracked(robot)) >= 3)
    assert not robot.set(tracking=False)
    show_until(patch, lambda: not robot.heard["objects"][-1].tracked)
    robot.clear()
    show_until(patch, lambda: len(robot.heard["result"]) >= 2)
    assert not tracked(robot)


def test_a_clock_that_jumps_back_forgets_the_points(follow):
    robot = follow("-p", "use_sim_time:=true", sim_time=True)
    offset = time.monotonic() - 1000.0

    def clock():
        nanosec = int((time.monotonic() - offset) * 1e9)
        now = Time(sec=nanosec // 10**9, nanosec=nanosec % 10**9)
        robot.publish("clock", Clock(clock=now))
        return now

    patch = MovingPatch(robot, clock=clock)
    show_until(patch, lambda: tracked(robot))
    assert not robot.set(rate=0.05)  # no new answer soon
    show_for(patch, 1.5 * ANSWER)
    assert len(tracked(robot)) >= 5
    offset += 100.0
    clock()
    robot.spin(0.5)
    robot.clear()
    show_for(patch, 1.0)
    assert not robot.heard["objects"]
    assert not robot.set(rate=5.0)
    show_until(patch, lambda: tracked(robot))
    assert patch.error(tracked(robot)[0]) < NEAR


def test_places_in_metres_follow_the_depth_of_each_frame(follow, make):
    robot = follow(depth=True)
    patch = MovingPatch(robot, rate=10.0)
    info = make.info(640, 480, focal=600.0)
    distances = {}

    def show():
        distance = 0.8 + 0.01 * (len(distances) % 50)  # [m]
        distances[patch.show(make.depth(np.full((480, 640), distance)), info)] = distance

    deadline = time.monotonic() + 30
    while len([one for one in tracked(robot) if one.points[0].has_position]) < 10:
        assert time.monotonic() < deadline, f"{len(tracked(robot))} came"
        show()
    for found in tracked(robot):
        (point,) = found.points
        if not point.has_position:  # its depth was lost on the way
            assert found.status == "NO_DEPTH" and point.reason and found.frame_id == ""
            continue
        distance, (x, y) = distances[nanoseconds(found.header)], patch.truth[nanoseconds(found.header)]
        assert found.status == "FOUND" and found.frame_id == found.header.frame_id == "optical"
        assert point.position.z == pytest.approx(distance, abs=1e-3)
        assert point.position.x == pytest.approx((x - 320) / 600 * distance, abs=NEAR / 600)
        assert point.position.y == pytest.approx((y - 240) / 600 * distance, abs=NEAR / 600)


def test_two_cameras_are_followed_at_once(follow):
    robot = follow("-p", "cameras:=[left,right]", answer=0.3, wait=False)
    left, right = MovingPatch(robot, "left/", rate=8.0), MovingPatch(robot, "right/", (320, 240), rate=8.0)
    patches = {"left": left, "right": right}

    def came():
        return {name: [one for one in tracked(robot) if one.camera == name] for name in patches}

    deadline = time.monotonic() + 30
    while min(map(len, came().values())) < 10:
        assert time.monotonic() < deadline, "it never came"
        left.show()
        right.show()
    for name, found in came().items():
        assert max(patches[name].error(one) for one in found) < NEAR
        assert {one.header.frame_id for one in found} == {f"{name}/optical"}
    ids = [{one.points[0].track_id for one in found} for found in came().values()]
    assert len(ids[0]) == len(ids[1]) == 1 and ids[0] != ids[1]


def test_a_fast_large_camera_and_a_slow_model_queue_nothing(follow):
    robot = follow(answer=2.0)
    patch = MovingPatch(robot, size=(1280, 720), rate=30.0)
    show_until(patch, lambda: len(robot.heard["result"]) >= 4)
    results = [one for one in robot.heard["result"] if one.status != "NO_IMAGE"]
    assert {one.status for one in results} == {"FOUND"}
    stamps = [nanoseconds(one.header) for one in results]
    assert stamps == sorted(set(stamps))
    # A frame is new when it is taken, and no older than the answer takes when that comes.
    assert max(seconds(one.start_age) for one in results) < 1.0
    assert 2.0 < max(seconds(one.frame_age) for one in results) < 3.5
    assert all(patch.error(one) < 1.0 for one in results)
    # A busy machine skips frames, and an object that went too far meanwhile is told as lost; never a wrong place.
    followed = [one for one in tracked(robot) if one.points]
    assert len(followed) > 10 and max(seconds(one.frame_age) for one in followed) < 2.0
    assert max(patch.error(one) for one in followed) < 2 * NEAR


def test_what_is_asked_no_more_is_followed_no_more(follow):
    robot = follow(answer=0.4)
    patch = MovingPatch(robot)
    show_until(patch, lambda: tracked(robot))
    assert not robot.set(queries=["red patch, 0.5 s"])
    show_until(patch, lambda: any("0.5 s" in found.query for found in tracked(robot)))
    robot.clear()
    show_for(patch, 1.0)
    assert {found.query for found in tracked(robot)} == {"red patch, 0.5 s"}
