# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A camera that moves as a robot's wrist does: smoothly, at arm speeds, and always looking near the table."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from molmo_ros.sim.scene import Camera

MOTIONS = ("orbit", "translate", "approach")
SPEEDS = (0.1, 0.3)
"""Slowest and fastest speed of a random path [m/s]."""
TURN_LIMIT = math.radians(30)
"""Fastest turn about the vertical of an orbit [rad/s]."""
SLIDE = 0.18
"""How far a translation goes to either side before it turns back [m]."""
APPROACH = 0.4
"""The share of its distance that an approach covers before it turns back."""
LOOK_HEIGHT = 0.02
"""Where the optical axis is cut to find what the camera looks at [m]."""


@dataclass(frozen=True)
class CameraPath:
    """The way of a camera from where it starts.

    Attributes:
        start: The camera at time 0, looking down at the table.
        motion: One of `MOTIONS`: about the vertical through what it looks at, sideways, or along its axis.
        speed: Of the optical centre [m/s], the fastest of the way. An orbit is slower where it would turn faster
            than `TURN_LIMIT`.
        heading: Which way: an orbit follows its sign of cos, a translation its angle in the image's plane [rad].
    """

    start: Camera
    motion: str
    speed: float
    heading: float = 0.0

    def __post_init__(self) -> None:
        if self.motion not in MOTIONS:
            raise ValueError(f"motion is {self.motion!r}, must be one of {', '.join(MOTIONS)}")
        if self.start.world_from_optical[2, 2] >= 0 or self.start.position[2] <= LOOK_HEIGHT:
            raise ValueError("the path's camera must stand above the table and look down at it")

    @classmethod
    def random(cls, start: Camera, rng: np.random.Generator) -> CameraPath:
        """A path of random motion, speed and heading."""
        motion = MOTIONS[rng.integers(len(MOTIONS))]
        return cls(start, motion, rng.uniform(*SPEEDS), rng.uniform(0, 2 * math.pi))

    def at(self, seconds: float) -> Camera:
        """The camera at a time after the start [s]; at 0 it is the start itself."""
        look_at = self._look_at()
        position, target = self._moved(look_at, seconds)
        # What the start is turned against a level view (its roll) stays.
        turn = _level_view(position, target) @ _level_view(self.start.position, look_at).T
        return replace(self.start, position=position, world_from_optical=turn @ self.start.world_from_optical)

    def _look_at(self) -> np.ndarray:
        """[3] where the start's optical axis passes `LOOK_HEIGHT`."""
        forward = self.start.world_from_optical[:, 2]
        reach = (LOOK_HEIGHT - self.start.position[2]) / forward[2]
        return self.start.position + reach * forward

    def _moved(self, look_at: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """[3] optical centre and [3] the point it looks at."""
        arm = self.start.position - look_at
        if self.motion == "orbit":
            rate = min(self.speed / max(math.hypot(*arm[:2]), 1e-6), TURN_LIMIT)
            angle = rate * seconds * (1 if math.cos(self.heading) >= 0 else -1)
            cos, sin = math.cos(angle), math.sin(angle)
            about_vertical = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
            return look_at + about_vertical @ arm, look_at
        if self.motion == "translate":
            right, down = self.start.world_from_optical[:, 0], self.start.world_from_optical[:, 1]
            # Half as far up and down as sideways, which keeps the camera above the table.
            way = math.cos(self.heading) * right + 0.5 * math.sin(self.heading) * down
            step = _there_and_back(self.speed, SLIDE, seconds) * way
            # What it looks at goes along half the way, so that it moves and turns.
            return self.start.position + step, look_at + 0.5 * step * (1, 1, 0)
        distance = float(np.linalg.norm(arm))
        nearer = _there_and_back(self.speed, APPROACH * distance, seconds)
        return self.start.position - nearer * arm / distance, look_at


def _there_and_back(speed: float, reach: float, seconds: float) -> float:
    """A swing of that reach [m] whose fastest moment, at 0 s, has that speed."""
    return reach * math.sin(speed * seconds / reach)


def _level_view(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[3, 3] axes of an optical frame at a position that looks at a target, its x axis level."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward], axis=1)
