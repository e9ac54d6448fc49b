# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Something near the camera that passes through its view, as a hand or an arm does: a flat shape of one colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from molmo_ros.sim.renderer import Rendering

SPEEDS = (0.15, 0.9)
"""Of a random one; image widths per second."""
SIZES = (0.1, 0.3)
"""Sides of a random one; shares of the image's width."""
DISTANCE = 0.1
"""From the camera [m]."""
SURFACE_NOISE = 3.0
"""[gray levels]"""
OCCLUDER = 1_000
"""Its value in a segmentation image: no object of a scene."""


@dataclass(frozen=True)
class Occluder:
    """A box or an ellipse that moves straight on.

    Attributes:
        center: [2] where its middle is at `time` [px].
        time: [s].
        velocity: [2] [px/s].
        sides: Both of its sides [px].
        angle: Of its first side [degrees].
        round: An ellipse, no box.
        color: [3] RGB [gray levels].
    """

    center: np.ndarray
    time: float
    velocity: np.ndarray
    sides: tuple[float, float]
    angle: float
    round: bool
    color: np.ndarray

    @classmethod
    def random(cls, center: np.ndarray, time: float, width: int, rng: np.random.Generator) -> Occluder:
        """One that covers a pixel at a time [s], in an image of that width [px]."""
        heading = rng.uniform(0, 2 * math.pi)
        speed = rng.uniform(*SPEEDS) * width
        return cls(
            center=np.asarray(center, float),
            time=time,
            velocity=speed * np.array([math.cos(heading), math.sin(heading)]),
            sides=(rng.uniform(*SIZES) * width, rng.uniform(*SIZES) * width),
            angle=rng.uniform(0, 180),
            round=bool(rng.random() < 0.5),
            color=rng.uniform(20, 235, 3),
        )

    def before(self, frame: Rendering, seconds: float, rng: np.random.Generator) -> Rendering:
        """A copy of a frame with this in front of it."""
        mask = np.zeros(frame.depth.shape, np.uint8)
        x, y = self.center + self.velocity * (seconds - self.time)
        box = ((float(x), float(y)), self.sides, self.angle)
        if self.round:
            cv2.ellipse(mask, box, 1, -1)
        else:
            cv2.fillConvexPoly(mask, cv2.boxPoints(box).astype(np.int32), 1)
        covered = mask.astype(bool)
        rgb, depth, segmentation = frame.rgb.copy(), frame.depth.copy(), frame.segmentation.copy()
        noise = rng.normal(0, SURFACE_NOISE, (int(covered.sum()), 3))
        rgb[covered] = np.clip(self.color + noise, 0, 255).astype(np.uint8)
        depth[covered], segmentation[covered] = DISTANCE, OCCLUDER
        return Rendering(rgb, depth, segmentation, frame.intrinsics)
