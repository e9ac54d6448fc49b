# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Answers of the node held against where Gazebo's objects are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from molmo_ros.gazebo.solid import Solid
from molmo_ros.geometry import PinholeCamera
from molmo_ros.geometry.rigid_transform import RigidTransform

SURFACE_TOLERANCE = 0.010
"""How far a point may be from the surface of its object [m]."""
OUTLINE_MARGIN = 1.0
"""How far its pixel may be outside of the object's outline [px]: outlines are drawn with pixels half covered."""


@dataclass(frozen=True)
class SaidPoint:
    """A point of an answer.

    Attributes:
        pixel: As the node says it: column c covers x from c to c + 1 [px].
        position: In the answer's frame [m]; None where the node gave none.
        frame: The answer's frame.
    """

    pixel: tuple[float, float]
    position: tuple[float, float, float] | None
    frame: str


@dataclass(frozen=True)
class TrueView:
    """What a camera saw.

    Attributes:
        camera: Its calibration.
        world_from_optical: Where it was.
        frame: The frame that positions are expected in.
        world_from_frame: Where that is.
        solids: The primitives of each object, in its model's frame.
        world_from_model: Where each object was.
    """

    camera: PinholeCamera
    world_from_optical: RigidTransform
    frame: str
    world_from_frame: RigidTransform
    solids: Mapping[str, Sequence[Solid]]
    world_from_model: Mapping[str, RigidTransform]

    def ray_lengths(self, name: str, pixels: np.ndarray) -> np.ndarray:
        """Depth along z [m] at which rays through pixels [n, 2] (whole numbers are centres) meet an object [n]."""
        lens, model_from_optical = (
            self.camera,
            self.world_from_model[name].inverse() @ self.world_from_optical,
        )
        x, y = (pixels - (lens.cx, lens.cy)).T / ((lens.fx,), (lens.fy,))
        directions = model_from_optical.rotate(np.stack([x, y, np.ones_like(x)], axis=1))
        origin = np.array(model_from_optical.translation)
        return np.min([solid.hit(origin, directions) for solid in self.solids[name]], axis=0)

    def seen_at(self, pixels: np.ndarray) -> list[str]:
        """The nearest object at each of pixels [n, 2] (whole numbers are centres); empty where none."""
        names = [name for name in self.solids if self.solids[name]]
        depths = np.array([self.ray_lengths(name, pixels) for name in names])
        nearest = depths.argmin(axis=0)
        return [
            names[one] if np.isfinite(depths[one, column]) else ""
            for column, one in enumerate(nearest.tolist())
        ]

    def off_surface(self, name: str, position: Sequence[float]) -> float:
        """How far a position in the expected frame is from an object's surface [m]."""
        model_from_frame = self.world_from_model[name].inverse() @ self.world_from_frame
        point = model_from_frame.apply(np.array([position]))
        return float(min(solid.distance(point)[0] for solid in self.solids[name]))


def faults_of(said: Sequence[SaidPoint], name: str, view: TrueView) -> list[str]:
    """What is wrong with an answer to a question for one object, as sentences; none where all is right.

    Right is one point, in the expected frame, within `SURFACE_TOLERANCE` of the object's surface, with its pixel
    inside of the object's outline.
    """
    if not said:
        return [f"{name} was not found"]
    faults = [f"{len(said)} points where one was asked for"] if len(said) > 1 else []
    for point in said:
        faults += _faults(point, name, view)
    return faults


def _faults(point: SaidPoint, name: str, view: TrueView) -> list[str]:
    faults = []
    column, row = point.pixel[0] - 0.5, point.pixel[1] - 0.5
    steps = (-OUTLINE_MARGIN, 0.0, OUTLINE_MARGIN)
    around = np.array([[column + dx, row + dy] for dx in steps for dy in steps])
    if not np.isfinite(view.ray_lengths(name, around)).any():
        other = view.seen_at(np.array([[column, row]]))[0] or "no object"
        faults.append(f"pixel ({point.pixel[0]:.1f}, {point.pixel[1]:.1f}) is on {other}, not on {name}")
    if point.position is None:
        faults.append("the point has no position")
    elif point.frame != view.frame:
        faults.append(f"the position is in {point.frame!r}, not in {view.frame!r}")
    elif (off := view.off_surface(name, point.position)) > SURFACE_TOLERANCE:
        faults.append(f"the position is {off * 1000:.1f} mm off the surface of {name}")
    return faults
