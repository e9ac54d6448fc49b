# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is printed and drawn of picks: a line for each, the table of causes, pictures with region and grasp."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from molmo_ros.geometry import RigidTransform
from molmo_ros.pick.pick_verdict import Cause, PickVerdict
from molmo_ros.sim.hand import HandMeasures
from molmo_ros.sim.scene import SENSOR, Camera

HEADER = (
    f"{'':>4}  {'seed':>6}  {'asked for':<16} {'things':>6} {'close':<5} {'looks':>5} {'overlap':>7} {'lifted':>7}  "
    "result"
)
GRASP_COLOR, REGION_COLOR = (255, 210, 40), (240, 82, 156)
MEANINGS = {
    Cause.LIFTED: "the right thing, more than 10 cm for a second, nothing else",
    Cause.POINTING: "not found, or the point is on something else",
    Cause.REGION: "refused, or less than half of it is the object's",
    Cause.GRASP: "none offered, or by the true geometry in the way of something or beside the object",
    Cause.PHYSICS: "slipped, dropped, or took something else along",
    Cause.BROKEN: "a process did not answer",
}


@dataclass(frozen=True)
class PickCase:
    """One pick of a run.

    Attributes:
        seed: Of its table.
        name: What was asked for.
        things: How many objects stood there.
        cluttered: Whether they stood close together.
        verdict: How it went.
        looks: From how many sides the planner looked; its region is known of the first look only.
    """

    seed: int
    name: str
    things: int
    cluttered: bool
    verdict: PickVerdict
    looks: int = 1


def row(number: int, case: PickCase) -> str:
    """One line of progress."""
    verdict = case.verdict
    overlap = "-" if math.isnan(verdict.overlap) else f"{verdict.overlap:.2f}"
    result = verdict.cause.value + (f": {verdict.reason}" if verdict.reason else "")
    if not verdict.exists:
        result += " (no grasp exists)"
    return (
        f"{number:>4}  {case.seed:>6}  {case.name:<16} {case.things:>6} {'yes' if case.cluttered else 'no':<5} "
        f"{case.looks:>5} {overlap:>7} {verdict.rise * 100:>4.0f} cm  {result}"
    )


def counted(cases: Sequence[PickCase]) -> list[PickCase]:
    """The picks where a grasp exists by the simulator's geometry."""
    return [case for case in cases if case.verdict.exists]


def share(cases: Sequence[PickCase]) -> float:
    """Of the picks where a grasp exists, how many were right; NaN where there is none."""
    within = counted(cases)
    return sum(case.verdict.cause is Cause.LIFTED for case in within) / len(within) if within else math.nan


def results(cases: Sequence[PickCase]) -> str:
    """The table of results by cause, in Markdown: tables with room and cluttered ones apart."""
    within = counted(cases)
    lines = ["| result | with room | cluttered | all | means |", "|---|---|---|---|---|"]
    for cause, meaning in MEANINGS.items():
        numbers = [
            sum(case.verdict.cause is cause and case.cluttered in kinds for case in within)
            for kinds in ((False,), (True,), (False, True))
        ]
        if cause is not Cause.BROKEN or numbers[-1]:
            lines.append(f"| {cause.value} | {' | '.join(map(str, numbers))} | {meaning} |")
    totals = [sum(case.cluttered in kinds for case in within) for kinds in ((False,), (True,), (False, True))]
    first = [
        sum(
            case.verdict.cause is Cause.LIFTED and case.looks == 1 and case.cluttered in kinds
            for case in within
        )
        for kinds in ((False,), (True,), (False, True))
    ]
    lines.insert(
        3, f"| at the first look | {' | '.join(map(str, first))} | of those: seen from one side was enough |"
    )
    lines.append(f"| of | {' | '.join(map(str, totals))} | where the simulator's own geometry has a grasp |")
    return "\n".join(lines)


def beyond(cases: Sequence[PickCase]) -> str:
    """A line about the picks where no grasp exists; empty where there are none."""
    outside = [case for case in cases if not case.verdict.exists]
    if not outside:
        return ""
    left = sum(not case.verdict.touched for case in outside)
    return f"no grasp exists in {len(outside)} more scenes; the planner left {left} of those things alone"


def reasons(cases: Sequence[PickCase]) -> str:
    """Every miss, in a line."""
    missed = [case for case in counted(cases) if case.verdict.cause is not Cause.LIFTED]
    return "\n".join(
        f"  seed {case.seed}, {case.name}: {case.verdict.cause.value}: {case.verdict.reason}"
        for case in missed
    )


def shapes(cases: Sequence[PickCase]) -> str:
    """How many of each shape were lifted, in one line."""
    within = counted(cases)
    total = Counter(case.name.split()[-1] for case in within)
    right = Counter(case.name.split()[-1] for case in within if case.verdict.cause is Cause.LIFTED)
    return ", ".join(f"{shape} {right[shape]}/{total[shape]}" for shape in sorted(total))


def draw_pick(
    picture: np.ndarray,
    camera: Camera,
    region: np.ndarray | None,
    grasp: tuple[RigidTransform, float] | None,
    measures: HandMeasures,
) -> np.ndarray:
    """A copy of a picture with the region's outline and the open fingers.

    Args:
        picture: uint8 [h, w, 3] RGB, of `SENSOR`'s size.
        camera: That took it.
        region: bool [h, w]; None where there is none.
        grasp: The hand's pose in the world, and its opening [m].
        measures: Of the hand.
    """
    drawn = np.ascontiguousarray(picture).copy()
    if region is not None:
        outlines, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outlines, -1, REGION_COLOR, 2, cv2.LINE_AA)
    if grasp is not None:
        for line in _fingers(grasp, measures):
            pixels = _project(camera, line)
            cv2.polylines(
                drawn, [np.rint(pixels * 16).astype(np.int32)], False, GRASP_COLOR, 3, cv2.LINE_AA, 4
            )
    return drawn


def save_picture(folder: Path, number: int, case: PickCase, picture: np.ndarray) -> Path:
    """Writes the picture of a pick; its name says what was asked for and what came of it."""
    words = "_".join(re.findall(r"[a-z]+", f"{case.name} {case.verdict.cause.value}"))
    path = folder / f"{number:03d}_{words}.png"
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path} cannot be written")
    return path


def _fingers(grasp: tuple[RigidTransform, float], measures: HandMeasures) -> list[np.ndarray]:
    """Lines [n, 3] in the world: from one fingertip over the hand to the other, and the hand's approach."""
    world_from_grasp, opening = grasp
    half, deep = opening / 2, measures.finger_depth
    fork = np.array([[0, -half, 0], [0, -half, -deep], [0, half, -deep], [0, half, 0]])
    stem = np.array([[0, 0, -deep], [0, 0, -deep - 0.04]])
    return [world_from_grasp.apply(line) for line in (fork, stem)]


def _project(camera: Camera, places: np.ndarray) -> np.ndarray:
    """[n, 2] pixels of places [n, 3] in the world."""
    optical = (places - camera.position) @ camera.world_from_optical
    pixels = optical @ camera.intrinsics(*SENSOR).T
    return pixels[:, :2] / pixels[:, 2:]
