# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import copy

import numpy as np
import pytest

messages = pytest.importorskip("molmo_msgs.msg", reason="needs ROS 2")
from geometry_msgs.msg import Point  # noqa: E402

from molmo_ros.demo.judge import judge, surface_point  # noqa: E402
from molmo_ros.demo.plan import ROUNDS, PlannedQuery  # noqa: E402
from molmo_ros.sim.scene import Scene  # noqa: E402

CASES = sum(map(len, ROUNDS))


@pytest.fixture
def first(plan):
    """The first case of a kind."""
    return lambda kind: next(case for case in plan if case.kind == kind)


def perfect(case: PlannedQuery, frame_id: str = "optical") -> "messages.ObjectPointArray":
    pointing = case.kind in ("one", "pair", "many", "count")
    points = [
        messages.ObjectPoint(
            pixel=Point(x=case.centers[m][0], y=case.centers[m][1]),
            has_position=True,
            position=Point(**dict(zip("xyz", surface_point(case, m, frame_id), strict=True))),
        )
        for m in case.members
    ]
    return messages.ObjectPointArray(
        query=case.text,
        status="NOT_FOUND" if case.kind == "absent" else "FOUND" if pointing else "ANSWERED",
        points=points if pointing else [],
        frame_id=frame_id,
        text=case.answer,
    )


def with_fields(result, **fields):
    changed = copy.deepcopy(result)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


@pytest.mark.parametrize("number", range(CASES))
def test_the_truth_is_right_and_silence_is_wrong(plan, number):
    assert len(plan) == CASES
    case = plan[number]
    verdict = judge(case, perfect(case))
    assert verdict.right
    if case.kind in ("one", "pair", "many", "count"):
        assert verdict.inside == len(case.members)
        assert verdict.pixel_error == 0 and verdict.metric_error < 1e-9
    assert not judge(case, None).right
    assert not judge(case, with_fields(perfect(case), status="ERROR", reason="out of order")).right


def test_order_of_the_points_does_not_matter(first):
    case = first("many")
    result = perfect(case)
    result.points.reverse()
    assert judge(case, result).right


@pytest.mark.parametrize("kind", ["one", "pair", "many"])
def test_wrong_points_are_wrong(first, kind):
    case = first(kind)
    beside, missing, extra, flat = (copy.deepcopy(perfect(case)) for _ in range(4))
    beside.points[0].pixel = Point(x=1.0, y=1.0)
    missing.points.pop()
    extra.points.append(extra.points[0])
    flat.points[0].has_position = False
    for result in (beside, missing, extra, flat):
        assert not judge(case, result).right
    assert judge(case, beside).inside == len(case.members) - 1


def test_two_points_on_one_object_do_not_count_for_two(first):
    case = first("many")
    result = perfect(case)
    result.points[1] = result.points[0]
    assert not judge(case, result).right


def test_errors_are_distances(first):
    case = first("one")
    result = perfect(case)
    point = result.points[0]
    point.pixel.x += 3
    point.pixel.y -= 4
    point.position.y += 0.03
    point.position.z += 0.04
    verdict = judge(case, result)
    assert verdict.pixel_error == pytest.approx(5) and verdict.metric_error == pytest.approx(0.05)


def test_words_are_compared_without_case_and_punctuation(first):
    case = first("color")
    assert judge(case, with_fields(perfect(case), text=case.answer.lower().rstrip("."))).right
    assert not judge(case, with_fields(perfect(case), text="mauve")).right


def test_pointing_at_what_is_absent_is_wrong(first):
    case = first("absent")
    found = with_fields(perfect(case), status="FOUND", points=[messages.ObjectPoint()])
    assert not judge(case, found).right


def test_positions_in_the_world_lie_on_the_objects_there(first):
    case = first("pair")
    scene = Scene.random(case.seed)
    for member in case.members:
        # The surface that is seen is a few centimetres from the object's centre of mass.
        place = surface_point(case, member, "world")
        assert np.linalg.norm(place - scene.object_position(member)) < 0.12 and place[2] > 0
    assert judge(case, perfect(case, "world")).metric_error < 1e-9
    assert judge(case, with_fields(perfect(case, "world"), frame_id="optical")).metric_error > 0.1
