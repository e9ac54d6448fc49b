# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Grasps of one object along one approach: closing axes, places across them, and depths, weighed against each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molmo_ros.manipulation.approach_frame import ApproachFrame
from molmo_ros.manipulation.closing_extents import CELL, LAYER, ClosingExtents
from molmo_ros.manipulation.completed_object import completed_object
from molmo_ros.manipulation.grasp import NORMAL, Grasp
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.manipulation.obstacles import Obstacles, OpenGripper
from molmo_ros.manipulation.seen_surface import SeenSurface

OFF_SUPPORT = 0.005
"""Fingertips and hand stay so far off the support [m]."""
LEAST_HOLD = 0.006
"""The fingers reach at least so far past the top of what is between them [m]."""
ROOMS = (0.008, 0.004)
"""Room on each side of the object before the fingers close [m]: what is wanted, and what is enough between things."""
LEAST_ROOM = 0.003
LEAST_CLEARANCE = 0.002
"""Grasps with less clearance are refused [m]."""
UNDER_HAND = 0.002
"""The hand stays so far over the object [m]."""
MOST_SLOPE = np.radians(33.0)
"""Largest angle between the closing axis and the normal of a face; friction of 0.65 holds it."""
CANDIDATES = 32
"""So many pairs of closing axis and place are held against what is around."""
LIFTED = 0.009
"""Each also with the fingertips so much higher [m]."""
MOST_GRASPS = 8
LEAST_SCORE = 0.16
"""Along a surface's normal, what is weighed less is an edge or a corner."""
SAME_REACH = 0.001
"""Where an object reaches within this of its farthest [m], a finger touches it."""
COLUMN = 0.003
ENOUGH_SPAN = 3
"""Layers that touch are as good as more."""
ENOUGH_HOLD = 0.020
ENOUGH_CLEARANCE = 0.010
FAR_OFF = 0.030
"""A grasp so far from the middle of the object [m] is worth a third."""


@dataclass(frozen=True)
class Refusal:
    """Why an approach gives no grasp.

    Attributes:
        stage: How far planning came; larger is further.
        reason: A sentence without its full stop.
    """

    stage: int
    reason: str


@dataclass(frozen=True)
class JawCandidates:
    """Grasps for a closing axes, c places across each, and k heights of the fingertips.

    Attributes:
        angles: [a], of the closing axes [rad].
        across: [a, c], the middle of the fingers across the closing axis [m].
        tips: [k], heights of the fingertips [m].
        upper, lower: [a, c, k], where the fingers touch, along the closing axis [m].
        score: [a, c, k], 0 where there is no grasp.
    """

    angles: np.ndarray
    across: np.ndarray
    tips: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    score: np.ndarray

    def chosen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices of the best fingertip height of the best closing axes and places, and of higher ones for each."""
        best = self.score.argmax(axis=2)
        value = np.take_along_axis(self.score, best[..., None], axis=2)[..., 0].ravel()
        order = np.argsort(-value, kind="stable")[:CANDIDATES]
        a, c = np.unravel_index(order[value[order] > 0], best.shape)
        low = best[a, c]
        high = np.maximum(low - round(LIFTED / LAYER), 0)
        a, c, k = np.tile(a, 2), np.tile(c, 2), np.concatenate([low, high])
        valid = self.score[a, c, k] > 0
        return a[valid], c[valid], k[valid]


def grasps_along(
    frame: ApproachFrame, surface: np.ndarray, seen: SeenSurface, obstacles: Obstacles, gripper: Gripper
) -> tuple[tuple[Grasp, ...], Refusal | None]:
    """The grasps of one approach, the best first; or none and why.

    Args:
        surface: [h, w, 3], each pixel's place in the optical frame [m].
        seen: The object's surface.
        obstacles: What else was seen around it.
    """
    floor = _lowest_tip(frame, obstacles, frame.points(seen.points))
    extents, middle = completed_object(frame, surface, seen, floor, _window(gripper) // 2)
    if extents.top - floor < LEAST_HOLD:
        return (), Refusal(
            0,
            f"the object is {extents.top - floor + OFF_SUPPORT:.3f} m high: fingertips that stay "
            f"{OFF_SUPPORT:g} m off the support would reach less than {LEAST_HOLD:g} m past its top",
        )
    found = _candidates(extents, middle, gripper)
    if isinstance(found, Refusal):
        return (), found
    if frame.kind == NORMAL and found.score.max() < LEAST_SCORE:
        return (), Refusal(2, "only an edge or a corner of the object is narrow enough")
    grasps = _free_grasps(found, frame, seen, obstacles, gripper)
    if grasps:
        return grasps, None
    return (), Refusal(3, "what is around the object leaves no room for the fingers and the hand")


def _lowest_tip(frame: ApproachFrame, obstacles: Obstacles, points: np.ndarray) -> float:
    """The lowest height in the frame that fingertips may go to [m]."""
    if obstacles.support is not None and frame.axes[:, 2] @ obstacles.support.normal > 0.999:
        return OFF_SUPPORT - float(obstacles.support.heights(frame.origin))
    # From the side the far end of the object is not seen: it is taken to be half as deep as it is wide.
    near, far = np.quantile(points[:, 2], (0.995, 0.02))
    spread = np.quantile(points[:, :2], 0.98, axis=0) - np.quantile(points[:, :2], 0.02, axis=0)
    return float(min(far, near - 0.5 * spread.min()))


def _window(gripper: Gripper) -> int:
    """How many cells a finger is wide: odd, so that one is in the middle."""
    return 2 * int(np.ceil((gripper.finger_width / CELL - 1) / 2 - 1e-6)) + 1


def _candidates(extents: ClosingExtents, middle: np.ndarray, gripper: Gripper) -> JawCandidates | Refusal:
    window = _window(gripper)
    view = np.lib.stride_tricks.sliding_window_view
    high, low = view(extents.high, window, axis=1), view(extents.low, window, axis=1)
    upper, lower = high.max(axis=3), low.min(axis=3)
    with np.errstate(invalid="ignore"):
        width = upper - lower
        slope = np.maximum(_slope(high, upper), _slope(-low, -lower))
    first = np.isfinite(upper).argmax(axis=2)[..., None]
    hold = LAYER * (np.arange(upper.shape[2]) + 1 - first)
    reachable = np.isfinite(width) & (hold <= gripper.finger_depth) & (hold >= LEAST_HOLD)
    # A finger that overhangs the object on one side only would touch a corner of it.
    inside = np.isfinite(high).sum(axis=3)
    whole = np.isfinite(extents.high).sum(axis=1)[:, None]
    reachable &= (inside == window) | (inside == whole)
    if not reachable.any():
        return Refusal(0, "too little of the object is between the lowest fingertips and the hand")
    fits = reachable & (width + 2 * LEAST_ROOM <= gripper.opening)
    holds = fits & (slope < MOST_SLOPE)
    if not holds.any():
        return _does_not_fit(extents, slope[fits], gripper)
    across = extents.start[:, None] + CELL * (np.arange(upper.shape[1]) + window / 2)
    cos, sin = np.cos(extents.angles)[:, None], np.sin(extents.angles)[:, None]
    off = np.hypot(
        (across - (cos * middle[1] - sin * middle[0]))[..., None],
        (np.where(holds, upper, 0) + np.where(holds, lower, 0)) / 2
        - (cos * middle[0] + sin * middle[1])[..., None],
    )
    score = (
        (0.2 + 0.8 * (1 - slope / MOST_SLOPE))
        * np.exp(-np.square(off / FAR_OFF))
        * (0.3 + 0.7 * np.minimum(_touching(upper), _touching(-lower)) / ENOUGH_SPAN)
        * (0.5 + 0.5 * np.clip(hold / ENOUGH_HOLD, 0, 1))
        * (1 - 0.4 * np.where(holds, width, 0) / gripper.opening)
    )
    return JawCandidates(extents.angles, across, extents.heights(), upper, lower, np.where(holds, score, 0))


def _slope(reach: np.ndarray, most: np.ndarray) -> np.ndarray:
    """[a, c, k] angle between the closing axis and the normal of the face on one side [rad].

    Args:
        reach: [a, c, k, w], how far each cell before a finger reaches.
        most: [a, c, k], the farthest of them.
    """
    half = CELL * (reach.shape[3] - 1) / 2
    sideways = np.zeros_like(most)
    for end in (most - reach[..., 0], most - reach[..., -1]):
        sideways += np.where(np.isfinite(end), end, 0) / 2
    growth = np.zeros_like(most)
    growth[..., 2:] = (most[..., 2:] - most[..., :-2]) / (2 * LAYER)
    growth[~np.isfinite(growth)] = 0
    return np.arctan(np.hypot(sideways / max(half, CELL), growth))


def _touching(reach: np.ndarray) -> np.ndarray:
    """[a, c, k] how many layers above the lowest touch the finger, too, up to `ENOUGH_SPAN`."""
    count = np.zeros(reach.shape, int)
    for above in range(1, ENOUGH_SPAN + 1):
        count[..., above:] += reach[..., :-above] >= reach[..., above:] - SAME_REACH
    return count


def _does_not_fit(extents: ClosingExtents, slopes: np.ndarray, gripper: Gripper) -> Refusal:
    """Why no closing axis does.

    Args:
        slopes: Of what is narrow enough [rad].
    """
    narrowest = float((extents.high.max(axis=(1, 2)) - extents.low.min(axis=(1, 2))).min())
    if narrowest + 2 * LEAST_ROOM > gripper.opening or not len(slopes):
        return Refusal(
            1,
            f"the object is {narrowest:.3f} m wide across its narrowest side, the gripper opens to "
            f"{gripper.opening:g} m, of which {2 * LEAST_ROOM:g} m are room",
        )
    return Refusal(
        2,
        f"its faces are inclined by {np.degrees(slopes.min()):.0f} degrees or more where fingers would close, "
        f"and {np.degrees(MOST_SLOPE):.0f} can be held",
    )


def _free_grasps(
    found: JawCandidates, frame: ApproachFrame, seen: SeenSurface, obstacles: Obstacles, gripper: Gripper
) -> tuple[Grasp, ...]:
    """Those that hit nothing on their way in, weighed by how far they keep from it."""
    a, c, k = found.chosen()
    if not len(a):
        return ()
    upper, lower, tips = found.upper[a, c, k], found.lower[a, c, k], found.tips[k]
    width, along = (upper - lower).astype(np.float64), (upper + lower) / 2
    angles, across = found.angles[a], found.across[a, c]
    cos, sin = np.cos(angles), np.sin(angles)
    places = np.stack([cos * along - sin * across, sin * along + cos * across, tips], axis=1)
    others, own = _uppermost(frame.points(obstacles.points)), _uppermost(frame.points(seen.points))
    opening = np.minimum(width + 2 * ROOMS[0], gripper.opening)
    clearance = OpenGripper(places, angles, opening, gripper).clearance(others)
    tight = np.minimum(width + 2 * ROOMS[1], gripper.opening)
    between = OpenGripper(places, angles, tight, gripper).clearance(others)
    closer = (clearance < LEAST_CLEARANCE) & (between > clearance)
    opening, clearance = np.where(closer, tight, opening), np.where(closer, between, clearance)
    grippers = OpenGripper(places, angles, opening, gripper)
    above = grippers.support_clearance(frame, obstacles.support)
    free = (clearance >= LEAST_CLEARANCE) & (above >= OFF_SUPPORT - 1e-4)
    free &= grippers.hand_clearance(own) >= UNDER_HAND
    clearance = np.minimum(clearance, above)
    score = found.score[a, c, k] * (0.4 + 0.6 * np.clip(clearance / ENOUGH_CLEARANCE, 0, 1))
    taken: set[tuple[int, int]] = set()
    grasps: list[Grasp] = []
    for i in np.argsort(-np.where(free, score, -1), kind="stable").tolist():
        if not free[i] or len(grasps) == MOST_GRASPS:
            break
        if (pair := (int(a[i]), int(c[i]))) in taken:
            continue
        taken.add(pair)
        x, y, z = places[i].tolist()
        pose = frame.optical_from_grasp(x, y, z, float(angles[i]))
        grasps.append(
            Grasp(pose, float(width[i]), float(opening[i]), float(clearance[i]), frame.kind, float(score[i]))
        )
    return tuple(grasps)


def _uppermost(points: np.ndarray) -> np.ndarray:
    """Of points [n, 3] that are in one column of 3 mm the highest: what comes down meets it first."""
    ordered = points[np.argsort(-points[:, 2], kind="stable")]
    column = np.floor(ordered[:, :2] / COLUMN).astype(np.int32)
    _, first = np.unique(np.ascontiguousarray(column).view(np.int64).ravel(), return_index=True)
    return ordered[first]
