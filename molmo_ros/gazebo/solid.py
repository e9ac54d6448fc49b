# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Boxes, spheres and cylinders: how far a point is from the surface, and where a ray meets it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molmo_ros.geometry.rigid_transform import RigidTransform

SIZES = {"box": 3, "sphere": 1, "cylinder": 2}
"""How many lengths a kind has: full x, y, z; the radius; radius and full length along z."""


@dataclass(frozen=True)
class Solid:
    """A primitive of SDF.

    Attributes:
        kind: One of `SIZES`.
        size: Its lengths [m].
        model_from_solid: Its place in the model it belongs to.
    """

    kind: str
    size: tuple[float, ...]
    model_from_solid: RigidTransform = RigidTransform()

    def __post_init__(self) -> None:
        if len(self.size) != SIZES[self.kind] or min(self.size) <= 0:
            raise ValueError(f"a {self.kind} has {SIZES[self.kind]} lengths above zero, not {self.size}")

    def distance(self, points: np.ndarray) -> np.ndarray:
        """How far points [n, 3] of the model's frame are from the surface, inside it or outside [m], [n]."""
        p = self.model_from_solid.inverse().apply(points)
        if self.kind == "sphere":
            return np.abs(np.linalg.norm(p, axis=1) - self.size[0])
        if self.kind == "box":
            beyond = np.abs(p) - np.array(self.size) / 2
        else:
            radius, length = self.size
            beyond = np.stack([np.hypot(p[:, 0], p[:, 1]) - radius, np.abs(p[:, 2]) - length / 2], axis=1)
        outside = np.linalg.norm(np.maximum(beyond, 0), axis=1)
        return np.where((beyond > 0).any(axis=1), outside, -beyond.max(axis=1))

    def hit(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Where rays from outside first meet the surface.

        Args:
            origin: Where they start, in the model's frame [3].
            directions: Where they go, of any length [n, 3].

        Returns:
            The multiple of each direction at which it enters [n]; infinite where it passes.
        """
        solid_from_model = self.model_from_solid.inverse()
        o = solid_from_model.apply(np.asarray(origin, dtype=float).reshape(1, 3))[0]
        d = solid_from_model.rotate(directions)
        if self.kind == "sphere":
            enter, leave = _within_radius(o, d, self.size[0])
        elif self.kind == "box":
            enter, leave = _within_slabs(o, d, np.array(self.size) / 2)
        else:
            radius, length = self.size
            sides = _within_radius(o[:2], d[:, :2], radius)
            caps = _within_slabs(o[2:], d[:, 2:], np.array([length / 2]))
            enter, leave = np.maximum(sides[0], caps[0]), np.minimum(sides[1], caps[1])
        return np.where((enter <= leave) & (enter > 0), enter, np.inf)


def _within_radius(
    origin: np.ndarray, directions: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Between which multiples rays are within a radius of the axes' origin; an empty interval where never."""
    a = (directions**2).sum(axis=1)
    b = directions @ origin
    under = b**2 - a * (origin @ origin - radius**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(under)
        enter, leave = (-b - root) / a, (-b + root) / a
    along_axis = a == 0  # of a cylinder
    inside = origin @ origin <= radius**2
    enter = np.where(along_axis, -np.inf if inside else np.inf, enter)
    leave = np.where(along_axis, np.inf if inside else -np.inf, leave)
    missed = ~along_axis & (under < 0)
    return np.where(missed, np.inf, enter), np.where(missed, -np.inf, leave)


def _within_slabs(
    origin: np.ndarray, directions: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Between which multiples rays are within all slabs |x| <= half."""
    safe = np.where(np.abs(directions) < 1e-12, 1e-12, directions)
    first, second = (-half - origin) / safe, (half - origin) / safe
    return np.minimum(first, second).max(axis=1), np.maximum(first, second).min(axis=1)
