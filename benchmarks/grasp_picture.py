# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Draws the frame of a grasp: docs/grasp_frame.png.

    python -m benchmarks.grasp_picture [--out docs/grasp_frame.png]

Left: a hand over a cube with the frame's axes. Right: the best grasp of each object of a simulated table, as planned.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from benchmarks.grasps import inner_points
from molmo_ros.geometry import PinholeCamera, RigidTransform, quaternion
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.manipulation.scene_grasps import plan_grasps
from molmo_ros.regions.scene import find_regions
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Camera, Scene

SEED = 50_003
INK, SOFT, HAND = (40, 40, 40), (150, 150, 150), (110, 80, 60)
AXES = (
    ("x", (60, 60, 220), (-20, 22)),
    ("y  closing", (60, 160, 60), (-110, -14)),
    ("z  approach", (220, 110, 40), (8, 14)),
)
"""Names of the frame's axes, their colours (BGR: red, green and blue, as RViz draws them), where the names go [px]."""
LETTERS = cv2.FONT_HERSHEY_SIMPLEX
CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
EDGES = [(a, b) for a in range(8) for b in range(a) if np.abs(CORNERS[a] - CORNERS[b]).sum() == 1]


def hand_boxes(opening: float, gripper: Gripper) -> list[tuple[np.ndarray, np.ndarray]]:
    """Least and largest corner of both fingers and of the hand, in the grasp's frame [m]."""
    x, inner = gripper.finger_width / 2, opening / 2
    outer, back = inner + gripper.finger_thickness, -gripper.finger_depth
    hand = np.array([gripper.hand_thickness / 2, gripper.hand_width / 2, 0.0])
    return [
        (np.array([-x, inner, back]), np.array([x, outer, 0.0])),
        (np.array([-x, -outer, back]), np.array([x, -inner, 0.0])),
        (np.array([0, 0, back - 0.03]) - hand, np.array([0, 0, back]) + hand),
    ]


def draw_box(
    image: np.ndarray,
    camera: PinholeCamera,
    pose: RigidTransform,
    box: tuple[np.ndarray, np.ndarray],
    color: tuple[int, int, int],
    width: int,
) -> None:
    """The edges of a box of a frame whose pose in the optical frame is given."""
    corners = camera.project(pose.apply(box[0] + CORNERS * (box[1] - box[0])))
    for a, b in EDGES:
        start, end = (tuple(np.rint(corners[i]).astype(int).tolist()) for i in (a, b))
        cv2.line(image, start, end, color, width, cv2.LINE_AA)


def draw_axes(
    image: np.ndarray, camera: PinholeCamera, pose: RigidTransform, length: float, *, named: bool
) -> None:
    """The frame's axes as arrows."""
    ends = camera.project(pose.apply(np.concatenate([np.zeros((1, 3)), length * np.eye(3)])))
    origin = tuple(np.rint(ends[0]).astype(int).tolist())
    for end, (name, color, (right, down)) in zip(ends[1:], AXES, strict=True):
        tip = tuple(np.rint(end).astype(int).tolist())
        cv2.arrowedLine(image, origin, tip, color, 3 if named else 2, cv2.LINE_AA, tipLength=0.18)
        if named:
            cv2.putText(image, name, (tip[0] + right, tip[1] + down), LETTERS, 0.6, color, 2, cv2.LINE_AA)


def schematic(gripper: Gripper) -> np.ndarray:
    """uint8 BGR: one open hand at a cube."""
    width, height = SENSOR
    image = np.full((height, width, 3), 255, np.uint8)
    camera = PinholeCamera(900.0, 900.0, width / 2, height / 2, width, height)
    view = Camera.looking_at(np.array([0.0, 0.0, 0.045]), 0.6, 0.32, 0.42, 0.0, 0.5)
    optical_from_world = RigidTransform(
        tuple((-view.world_from_optical.T @ view.position).tolist()),
        quaternion.from_matrix(view.world_from_optical.T),
    )
    cube = (np.array([-0.022, -0.022, 0.0]), np.array([0.022, 0.022, 0.044]))
    draw_box(image, camera, optical_from_world, cube, SOFT, 2)
    down = quaternion.from_matrix(np.diag([1.0, -1.0, -1.0]))
    pose = optical_from_world @ RigidTransform((0.0, 0.0, 0.016), down)
    for box in hand_boxes(0.06, gripper):
        draw_box(image, camera, pose, box, HAND, 2)
    draw_axes(image, camera, pose, 0.055, named=True)
    cv2.putText(image, "hand", (30, 60), LETTERS, 0.7, HAND, 2, cv2.LINE_AA)
    cv2.putText(image, "object", (30, 90), LETTERS, 0.7, SOFT, 2, cv2.LINE_AA)
    return image


def planned(seed: int, gripper: Gripper) -> np.ndarray:
    """uint8 BGR: a simulated table with the best grasp of each object."""
    scene = Scene.random(seed)
    frame = render(scene, *SENSOR)
    k = frame.intrinsics
    camera = PinholeCamera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], *SENSOR)
    image = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR)
    _, pixels = inner_points(frame)
    for grasps in plan_grasps(find_regions(frame.depth, camera, pixels), gripper):
        for grasp in grasps.grasps[:1]:
            for box in hand_boxes(grasp.opening, gripper)[:2]:
                draw_box(image, camera, grasp.optical_from_grasp, box, (255, 255, 255), 1)
            draw_axes(image, camera, grasp.optical_from_grasp, 0.035, named=False)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/grasp_frame.png"))
    parser.add_argument("--seed", type=int, default=SEED, help="of the simulated table")
    arguments = parser.parse_args()
    gripper = Gripper()
    whole = np.hstack([schematic(gripper), planned(arguments.seed, gripper)])
    cv2.imwrite(str(arguments.out), whole, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
