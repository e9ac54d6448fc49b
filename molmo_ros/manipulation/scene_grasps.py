"""How a gripper takes hold of each object of a scene."""

from __future__ import annotations

import numpy as np

from molmo_ros.manipulation.approach_frame import ApproachFrame
from molmo_ros.manipulation.grasp import TOP, Grasp, ObjectGrasps
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.regions.region import ObjectRegion, SceneRegions

ANGLES = np.radians(np.arange(0.0, 180.0, 7.5))
CELL = 0.005
LAYER = 0.003
OFF_SUPPORT = 0.006
ROOM = 0.006
LEAST_ROOM = 0.003
LEAST_CLEARANCE = 0.002
STRIDE = 3
CANDIDATES = 40
MOST_GRASPS = 8
MOST_SLOPE = np.radians(30.0)


def plan_grasps(scene: SceneRegions, gripper: Gripper) -> tuple[ObjectGrasps, ...]:
    """The grasps of each region, in the regions' order."""
    return tuple(_object_grasps(scene, region, gripper) for region in scene.regions)


def _object_grasps(scene: SceneRegions, region: ObjectRegion, gripper: Gripper) -> ObjectGrasps:
    if not region.valid or not len(region.points):
        reason = region.reason or "the object has no depth"
        return ObjectGrasps(reason=reason, suction_reason=reason)
    if region.support is None:
        return ObjectGrasps(reason="no support is in view", suction_reason="not planned")
    points = region.points[:: max(1, len(region.points) // 1500)]
    middle = points.mean(axis=0).astype(np.float64)
    normal = np.asarray(region.support.normal)
    foot = middle - float(region.support.heights(middle)) * normal
    frame = ApproachFrame.against(foot, normal, TOP)
    seen = frame.points(points)
    top = float(np.percentile(seen[:, 2], 99.5))
    cos, sin = np.cos(ANGLES)[:, None], np.sin(ANGLES)[:, None]
    ys = cos * seen[:, 0] + sin * seen[:, 1]
    xs = -sin * seen[:, 0] + cos * seen[:, 1]
    start = xs.min(axis=1, keepdims=True)
    column = ((xs - start) / CELL).astype(int)
    layer = np.clip((top - seen[:, 2]) / LAYER, 0, None).astype(int)
    shape = (len(ANGLES), int(column.max()) + 1, int(layer.max()) + 1)
    high, low = np.full(shape, -np.inf), np.full(shape, np.inf)
    index = (np.arange(len(ANGLES))[:, None], column, np.broadcast_to(layer, column.shape))
    np.maximum.at(high, index, ys)
    np.minimum.at(low, index, ys)
    high, low = np.maximum.accumulate(high, axis=2), np.minimum.accumulate(low, axis=2)
    across = min(round(gripper.finger_width / CELL), shape[1])
    view = np.lib.stride_tricks.sliding_window_view
    far, near = view(high, across, axis=1), view(low, across, axis=1)
    upper, lower = far.max(axis=3), near.min(axis=3)
    width = upper - lower
    tip = top - LAYER * (1 + np.arange(shape[2]))
    with np.errstate(invalid="ignore"):
        growth = np.maximum(
            np.diff(upper, axis=2, prepend=upper[:, :, :1]), -np.diff(lower, axis=2, prepend=lower[:, :, :1])
        )
        turn = np.maximum(np.abs(far[..., -1] - far[..., 0]), np.abs(near[..., -1] - near[..., 0])) / (
            CELL * max(across - 1, 1)
        )
    slope = np.arctan(np.hypot(growth / LAYER, turn))
    known = np.isfinite(width) & (slope < MOST_SLOPE)
    if not known.any():
        return ObjectGrasps(reason="too little of the object is seen", suction_reason="not planned")
    narrowest = float(width[known].min())
    reachable = known & (tip >= OFF_SUPPORT) & (top - tip <= gripper.finger_depth)
    fits = reachable & (width + 2 * LEAST_ROOM <= gripper.opening)
    if not reachable.any():
        return ObjectGrasps(
            reason=f"the object is {top:.3f} m high, and the fingertips stay {OFF_SUPPORT:g} m off the support",
            suction_reason="not planned",
        )
    if not fits.any():
        return ObjectGrasps(
            reason=f"the object is {narrowest:.3f} m wide across its narrowest side, "
            f"the gripper opens to {gripper.opening:g} m",
            suction_reason="not planned",
        )
    x_middle = start + CELL * (np.arange(width.shape[1]) + across / 2)
    # The origin is the foot of the surface's middle.
    off = np.abs(x_middle)[:, :, None]
    with np.errstate(invalid="ignore"):
        score = (
            np.clip(1 - slope / MOST_SLOPE, 0, 1)
            * np.exp(-np.square(off / 0.03))
            * np.clip((top - tip) / 0.02, 0, 1)
            * (1 - 0.5 * width / gripper.opening)
        )
    score = np.where(fits, score, 0)
    order = np.argsort(score, axis=None)[::-1][:CANDIDATES]
    others = _others(scene, region, frame)
    grasps = []
    for flat in order:
        a, x, z = np.unravel_index(flat, score.shape)
        if score[a, x, z] <= 0:
            break
        opening = min(float(width[a, x, z]) + 2 * ROOM, gripper.opening)
        middle_y = 0.5 * float(upper[a, x, z] + lower[a, x, z])
        clearance = min(
            _clearance(others, ANGLES[a], x_middle[a, x], middle_y, float(tip[z]), opening, gripper),
            float(tip[z]),
        )
        if clearance < LEAST_CLEARANCE:
            continue
        px = -sin[a, 0] * x_middle[a, x] + cos[a, 0] * middle_y
        py = cos[a, 0] * x_middle[a, x] + sin[a, 0] * middle_y
        pose = frame.optical_from_grasp(float(px), float(py), float(tip[z]), float(ANGLES[a]))
        value = float(score[a, x, z]) * min(clearance / 0.01, 1.0)
        grasps.append(Grasp(pose, float(width[a, x, z]), opening, clearance, TOP, value))
    grasps.sort(key=lambda grasp: -grasp.score)
    reason = "" if grasps else "what stands around the object leaves no room for the gripper"
    return ObjectGrasps(tuple(grasps[:MOST_GRASPS]), reason, suction_reason="not planned")


def _others(scene: SceneRegions, region: ObjectRegion, frame: ApproachFrame) -> np.ndarray:
    """[n, 3] what else is seen near the object, higher than the support, in the frame."""
    own = np.zeros(scene.surface.shape[:2], bool)
    own[region.rows, region.columns] = True
    rest = scene.surface[::STRIDE, ::STRIDE][~own[::STRIDE, ::STRIDE]]
    placed = frame.points(rest)
    return placed[(placed[:, 2] > OFF_SUPPORT) & (np.abs(placed[:, :2]).max(axis=1) < 0.25)]


def _clearance(
    others: np.ndarray, angle: float, x: float, y: float, tip: float, opening: float, gripper: Gripper
) -> float:
    """Distance [m] from the open fingers, the hand and their way down to the nearest point; 0 in a collision."""
    if not len(others):
        return np.inf
    cos, sin = np.cos(angle), np.sin(angle)
    along = np.abs(-sin * others[:, 0] + cos * others[:, 1] - x)
    across = np.abs(cos * others[:, 0] + sin * others[:, 1] - y)
    below = np.maximum(tip - others[:, 2], 0)
    half = gripper.finger_thickness / 2
    finger = np.square(np.maximum(along - gripper.finger_width / 2, 0)) + np.square(below)
    finger += np.square(np.maximum(np.abs(across - opening / 2 - half) - half, 0))
    hand = np.square(np.maximum(along - gripper.hand_thickness / 2, 0))
    hand += np.square(np.maximum(across - gripper.hand_width / 2, 0))
    hand += np.square(np.maximum(tip + gripper.finger_depth - others[:, 2], 0))
    return float(np.sqrt(min(finger.min(), hand.min())))
