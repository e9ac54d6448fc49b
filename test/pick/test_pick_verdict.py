# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The judge by a real table's truth: it can say no, and why."""

from dataclasses import asdict, replace

import numpy as np
import pytest

messages = pytest.importorskip("molmo_msgs.msg", reason="needs ROS 2")

from molmo_ros.geometry import RigidTransform  # noqa: E402
from molmo_ros.manipulation.gripper import Gripper  # noqa: E402
from molmo_ros.pick.hand_interface import pose_message  # noqa: E402
from molmo_ros.pick.pick_verdict import Cause, judge_pick  # noqa: E402
from molmo_ros.pick.planner import PickOutcome  # noqa: E402
from molmo_ros.pick.referee import HeardPick, ShownAnswer  # noqa: E402
from molmo_ros.sim.hand import HandMeasures  # noqa: E402
from molmo_ros.sim.picking_table import PickingTable  # noqa: E402
from molmo_ros.sim.true_grasps import GraspTruth  # noqa: E402

MEASURES = HandMeasures(**asdict(Gripper()))
SEED = 500


@pytest.fixture(scope="module")
def table():
    return PickingTable.of(SEED, MEASURES)


@pytest.fixture(scope="module")
def heard(table):
    """All as it should be: the point is on the thing, the grasp is the best by the true geometry."""
    rows, columns = np.nonzero(table.view.segmentation == table.asked)
    middle = int(np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean())))
    point = messages.ObjectPoint(region_valid=True, score=0.9)
    point.pixel.x, point.pixel.y = columns[middle] + 0.5, rows[middle] + 0.5
    best = GraspTruth(table, MEASURES).best(table.asked)
    grasp = messages.Grasp(pose=pose_message(best.world_from_grasp), opening=best.opening)
    return HeardPick(
        PickOutcome(table.name, True, "", 1, best.width),
        messages.ObjectPointArray(status="FOUND", points=[point]),
        messages.GraspArray(objects=[messages.ObjectGrasps(grasps=[grasp])]),
        [],
    )


@pytest.fixture(scope="module")
def shown(table):
    return ShownAnswer((table.view.segmentation == table.asked).astype(np.uint16), table.view.rgb)


def judge(table, shown, heard, lifted=(), by=0.2):
    rises = [by if index in lifted else 0.0 for index in range(len(table.objects))]
    return judge_pick(table, MEASURES, shown, heard, rises)


def another(table):
    return next(i for i in range(len(table.objects)) if i != table.asked)


def test_the_right_thing_alone_is_right(table, shown, heard):
    verdict = judge(table, shown, heard, {table.asked})
    assert (verdict.cause, verdict.exists, verdict.reason) == (Cause.LIFTED, True, "")
    assert verdict.overlap == 1.0


def test_a_thing_that_is_not_lifted_slipped(table, shown, heard):
    assert judge(table, shown, heard).cause is Cause.PHYSICS
    assert judge(table, shown, heard, {table.asked}, by=0.06).cause is Cause.PHYSICS


def test_another_thing_along_with_it_is_wrong(table, shown, heard):
    verdict = judge(table, shown, heard, {table.asked, another(table)})
    assert verdict.cause is Cause.PHYSICS
    assert table.objects[another(table)].name in verdict.reason


def test_a_point_on_another_thing(table, shown, heard):
    rows, columns = np.nonzero(table.view.segmentation == another(table))
    point = messages.ObjectPoint(region_valid=True)
    point.pixel.x, point.pixel.y = float(columns[0]) + 0.5, float(rows[0]) + 0.5
    wrong = replace(heard, answer=messages.ObjectPointArray(status="FOUND", points=[point]))
    verdict = judge(table, shown, wrong, {another(table)})
    assert verdict.cause is Cause.POINTING
    assert table.objects[another(table)].name in verdict.reason


def test_a_region_that_is_refused_or_another(table, shown, heard):
    point = messages.ObjectPoint(
        region_valid=False, region_reason="too flat", pixel=heard.answer.points[0].pixel
    )
    refused = replace(heard, answer=messages.ObjectPointArray(status="FOUND", points=[point]))
    assert judge(table, shown, refused).reason == "too flat"
    whole = ShownAnswer(np.ones_like(shown.labels), shown.picture)
    assert judge(table, whole, heard).cause is Cause.REGION


def test_a_grasp_in_the_table_or_beside_the_thing(table, shown, heard):
    x, y, z = table.object_position(table.asked)
    for place, words in (((x, y, -0.02), "the table"), ((x, y, z + 0.3), "do not meet")):
        pose = pose_message(RigidTransform(place, (1.0, 0.0, 0.0, 0.0)))
        grasp = messages.Grasp(pose=pose, opening=0.08)
        wrong = replace(heard, grasps=messages.GraspArray(objects=[messages.ObjectGrasps(grasps=[grasp])]))
        verdict = judge(table, shown, wrong)
        assert verdict.cause is Cause.GRASP
        assert words in verdict.reason


def test_nothing_found_and_nothing_said(table, shown, heard):
    missed = HeardPick(
        PickOutcome(table.name, False, "NOT_FOUND: There are none."),
        messages.ObjectPointArray(status="NOT_FOUND"),
        None,
        [],
    )
    verdict = judge(table, None, missed)
    assert (verdict.cause, verdict.touched) == (Cause.POINTING, False)
    assert judge(table, None, HeardPick(None, None, None, [])).cause is Cause.BROKEN
