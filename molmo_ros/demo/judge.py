# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Compares the node's result with the simulator's truth."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from molmo_msgs.msg import ObjectPoint, ObjectPointArray

from molmo_ros.demo.plan import PlannedQuery
from molmo_ros.molmo.status import Status
from molmo_ros.sim.sim_camera import WORLD_FRAME


@dataclass(frozen=True)
class Verdict:
    """How one query went.

    Attributes:
        right: Whether it counts as right.
        got: What was answered, in a few words.
        inside: How many points lie on the object they are matched with, None where none were asked for.
        pixel_error: Largest distance [px] of a point to the middle of its object's mask.
        metric_error: Largest distance [m] of a 3-D point to the object's surface at that middle.
    """

    right: bool
    got: str
    inside: int | None = None
    pixel_error: float = math.nan
    metric_error: float = math.nan


def judge(case: PlannedQuery, result: ObjectPointArray | None) -> Verdict:
    """Judges what the node answered; None means nothing."""
    if result is None:
        return Verdict(False, "no result")
    points, text = list(result.points), " ".join(result.text.split())
    if not Status(result.status).success:
        return Verdict(False, result.reason or result.status)
    if case.kind == "absent":
        absent = result.status == result.NOT_FOUND
        return Verdict(absent, "not there" if absent else f"{len(points)} points")
    if case.kind in ("presence", "color"):
        return Verdict(_words(text) == _words(case.answer), text)
    inside, pixel_error, metric_error = _compare_points(case, points, result.frame_id)
    complete = len(points) == len(case.members)
    if case.kind == "count":
        return Verdict(complete, str(len(points)), inside, pixel_error, metric_error)
    metric = all(point.has_position for point in points)
    got = f"{len(points)} point" + ("s" if len(points) != 1 else "") + ("" if metric else ", no 3-D")
    return Verdict(complete and inside == len(points) and metric, got, inside, pixel_error, metric_error)


def surface_point(case: PlannedQuery, member: int, frame_id: str) -> np.ndarray:
    """[3] the object's surface at the middle of its mask [m], from the simulator's depth.

    In the frame `world`, or the optical frame where another is named.
    """
    x, y = case.centers[member]
    depth = case.frame.depth[int(y), int(x)]
    k = case.frame.intrinsics
    # Centres are given with pixel edges at integers, K with pixel centres at integers.
    place = np.array([(x - 0.5 - k[0, 2]) / k[0, 0], (y - 0.5 - k[1, 2]) / k[1, 1], 1.0]) * depth
    return case.camera.world_from_optical @ place + case.camera.position if frame_id == WORLD_FRAME else place


def _compare_points(case: PlannedQuery, points: list[ObjectPoint], frame_id: str) -> tuple[int, float, float]:
    """Matches each object with the nearest free point; points inside, worst pixel and metric error."""
    inside, pixel_errors, metric_errors = 0, [], []
    free = list(points)
    for member in sorted(case.members, key=lambda m: _nearest(case.centers[m], points)[0]):
        if not free:
            break
        error, point = _nearest(case.centers[member], free)
        free.remove(point)
        pixel_errors.append(error)
        inside += _mask_at(case, point) == member
        if point.has_position:
            place = point.position.x, point.position.y, point.position.z
            metric_errors.append(float(np.linalg.norm(place - surface_point(case, member, frame_id))))
    return inside, max(pixel_errors, default=math.nan), max(metric_errors, default=math.nan)


def _nearest(center: np.ndarray, points: list[ObjectPoint]) -> tuple[float, ObjectPoint]:
    """The point nearest to a place in the image, and its distance [px]; far away where there are no points."""
    distances = [math.hypot(one.pixel.x - center[0], one.pixel.y - center[1]) for one in points]
    if not points:
        return math.inf, ObjectPoint()
    index = int(np.argmin(distances))
    return distances[index], points[index]


def _mask_at(case: PlannedQuery, point: ObjectPoint) -> int:
    """Which object is at the point; -1 for none."""
    height, width = case.frame.segmentation.shape
    column, row = min(int(point.pixel.x), width - 1), min(int(point.pixel.y), height - 1)
    return int(case.frame.segmentation[row, column])


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
