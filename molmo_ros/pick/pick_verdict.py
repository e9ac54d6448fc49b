# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether a pick was right by the simulator's truth, and which part of the way was at fault where it was not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from molmo_ros.geometry import RigidTransform
from molmo_ros.pick.hand_interface import pose_transform
from molmo_ros.pick.planner import widest_opening
from molmo_ros.pick.referee import HeardPick, ShownAnswer
from molmo_ros.sim.hand import HandMeasures
from molmo_ros.sim.picking_table import PickingTable
from molmo_ros.sim.true_grasps import GraspTruth

LIFTED, LEFT_ALONE = 0.1, 0.05
"""What is asked for rises at least this far, anything else less than that [m]."""
LEAST_OVERLAP = 0.5
"""Intersection over union of region and object; below it the region is wrong."""


class Cause(str, Enum):
    """What came of a pick; the value is what the table of results says."""

    LIFTED = "lifted"
    POINTING = "pointing"
    REGION = "region"
    GRASP = "grasp"
    PHYSICS = "physics"
    BROKEN = "no outcome"


@dataclass(frozen=True)
class PickVerdict:
    """How one pick went.

    Attributes:
        exists: Whether the simulator's own geometry has a grasp for what was asked for.
        cause: `Cause.LIFTED` where the right thing was lifted alone; otherwise the first part of the way that was
            wrong.
        reason: In a few words; empty where all is right.
        overlap: Intersection over union of the region with the object's pixels; NaN where no region came.
        rise: How far the object was lifted [m].
        touched: Whether the hand was moved.
    """

    exists: bool
    cause: Cause
    reason: str
    overlap: float
    rise: float
    touched: bool


def judge_pick(
    table: PickingTable,
    measures: HandMeasures,
    look: ShownAnswer | None,
    heard: HeardPick,
    rises: list[float],
) -> PickVerdict:
    """Judges one pick.

    Args:
        table: As it was before anything moved.
        measures: Of its hand.
        look: What the node shows of its answer; None where nothing came.
        heard: What the planner said, and what it was told.
        rises: How high each object stayed above where it stood, all through the last second [m].
    """
    truth = GraspTruth(table, measures)
    overlap = _overlap(table, look, heard)
    cause, reason = _cause(table, truth, heard, rises, overlap)
    touched = heard.outcome is not None and heard.outcome.point > 0
    return PickVerdict(truth.exists(table.asked), cause, reason, overlap, float(rises[table.asked]), touched)


def _cause(
    table: PickingTable, truth: GraspTruth, heard: HeardPick, rises: list[float], overlap: float
) -> tuple[Cause, str]:
    """The first part of the way that was wrong, from the word to the lifted thing."""
    others = [
        table.objects[i].name for i, rise in enumerate(rises) if i != table.asked and rise >= LEFT_ALONE
    ]
    if rises[table.asked] > LIFTED and not others:
        return Cause.LIFTED, ""
    outcome, answer = heard.outcome, heard.answer
    if outcome is None:
        return Cause.BROKEN, "the planner said nothing"
    if answer is None:
        return Cause.BROKEN, outcome.reason
    if answer.status != answer.FOUND:
        return Cause.POINTING, outcome.reason
    place = chosen(heard)
    point = answer.points[place]
    pointed = _object_at(table, point.pixel.x, point.pixel.y)
    if pointed != table.asked:
        return Cause.POINTING, f"points at {_name(table, pointed)}"
    if not point.region_valid:
        return Cause.REGION, point.region_reason
    if overlap < LEAST_OVERLAP:
        return Cause.REGION, f"overlaps {overlap:.0%} of the object"
    if outcome.point == 0:
        return Cause.GRASP, outcome.reason
    if fault := _grasp_fault(table, truth, heard, place):
        return Cause.GRASP, fault
    if others:
        return Cause.PHYSICS, f"{', '.join(others)} lifted"
    return Cause.PHYSICS, f"slipped: lifted {rises[table.asked] * 100:.0f} cm; {outcome.reason}".rstrip("; ")


def chosen(heard: HeardPick) -> int:
    """Place of the point that the planner went by, or would have; from 0."""
    if heard.outcome is not None and heard.outcome.point:
        return heard.outcome.point - 1
    points = heard.answer.points if heard.answer is not None else []
    return max(range(len(points)), key=lambda one: points[one].score, default=0)


def chosen_region(look: ShownAnswer | None, heard: HeardPick) -> np.ndarray | None:
    """bool [h, w], the region of that point; None where there was none."""
    if look is None or heard.answer is None or not heard.answer.points:
        return None
    return np.asarray(look.labels == chosen(heard) + 1)


def chosen_grasp(heard: HeardPick) -> tuple[RigidTransform, float] | None:
    """Pose in the world and opening [m] of the grasp that the planner went by; None where there was none."""
    if heard.outcome is None or heard.outcome.point == 0 or heard.grasps is None:
        return None
    grasp = heard.grasps.objects[heard.outcome.point - 1].grasps[0]
    return pose_transform(grasp.pose), widest_opening(grasp)


def _grasp_fault(table: PickingTable, truth: GraspTruth, heard: HeardPick, place: int) -> str:
    """What the true geometry says against the grasp; empty where nothing."""
    found = chosen_grasp(heard)
    if found is None:
        return "none was chosen"
    met = truth.obstacles(*found)
    if met:
        return f"the open hand collides with {', '.join(_name(table, one) for one in sorted(met))}"
    held = truth.held(table.asked, found[0])
    if held is None:
        return "the pads do not meet the object"
    return ""


def _overlap(table: PickingTable, look: ShownAnswer | None, heard: HeardPick) -> float:
    region, thing = chosen_region(look, heard), table.view.segmentation == table.asked
    if region is None:
        return float("nan")
    return float((region & thing).sum() / max(1, (region | thing).sum()))


def _object_at(table: PickingTable, x: float, y: float) -> int:
    """Which object is at a pixel, whose edges are at whole numbers; -1 for none."""
    height, width = table.view.segmentation.shape
    return int(table.view.segmentation[min(int(y), height - 1), min(int(x), width - 1)])


def _name(table: PickingTable, index: int) -> str:
    return f"the {table.objects[index].name}" if index >= 0 else "the table"
