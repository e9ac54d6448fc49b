# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A simulated scene's true shapes, hidden sides included: distances from them, and what a gripper would touch."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from molmo_ros.geometry import RigidTransform, quaternion
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.sim.scene import Scene

STEP = 0.003
"""Points of a gripper's volume and of its pads are so far apart [m]."""
SWEPT = 0.20
"""So much of the way in is looked at [m]."""
FACE = 0.002
"""What is no further from the first contact [m] is part of it."""
ONLY = 5
"""The group that geoms are put into while rays are cast at them alone."""


@dataclass(frozen=True)
class TrueContact:
    """What the fingers of one grasp close on.

    Attributes:
        width: Of the object between the fingers; 0 where they close on nothing [m].
        off: Middle of the object from the middle between the fingers, along the closing axis [m].
        slope: The larger angle of both sides between the closing axis and the mean normal at the contact [rad].
    """

    width: float
    off: float
    slope: float


class TrueGeometry:
    """The solid shapes of a scene as it stands."""

    def __init__(self, scene: Scene):
        self.scene = scene
        model = scene.model
        self.solid = np.nonzero(model.geom_contype | model.geom_conaffinity)[0]

    def world_from_grasp(self, optical_from_grasp: RigidTransform) -> RigidTransform:
        """A planned pose in the world."""
        camera = self.scene.camera
        x, y, z = camera.position.tolist()
        world_from_optical = RigidTransform((x, y, z), quaternion.from_matrix(camera.world_from_optical))
        return world_from_optical @ optical_from_grasp

    def geoms_of(self, index: int) -> np.ndarray:
        """The solid geoms of an object."""
        return self.solid[self.scene.geom_object[self.solid] == index]

    def distances(self, points: np.ndarray, geoms: np.ndarray) -> np.ndarray:
        """float64 [n]: signed distance of world points [n, 3] from the nearest of some geoms [m].

        Exact outside and inside of all but ellipsoids and meshes, whose inside is exact and distance a bound.
        """
        nearest = np.full(len(points), np.inf)
        for geom in geoms:
            nearest = np.minimum(nearest, self._distance(points, int(geom)))
        return nearest

    def clearance(self, world_from_grasp: RigidTransform, opening: float, gripper: Gripper) -> float:
        """Least signed distance of the open gripper and its way in from everything, the object included [m]."""
        points = world_from_grasp.apply(gripper_points(opening, gripper))
        return float(self.distances(points, self.solid).min())

    def contact(self, world_from_grasp: RigidTransform, index: int, gripper: Gripper) -> TrueContact:
        """What closing fingers meet of one object, by rays along the closing axis from both fingers."""
        model, data = self.scene.model, self.scene.data
        groups = model.geom_group.copy()
        model.geom_group[:] = 0
        model.geom_group[self.geoms_of(index)] = ONLY
        only = np.zeros(6, np.uint8)
        only[ONLY] = 1
        xs = _spread(gripper.finger_width)
        zs = -np.arange(STEP / 4, gripper.finger_depth, STEP)
        x, z = (grid.ravel() for grid in np.meshgrid(xs, zs))
        found = []
        for side in (1.0, -1.0):
            starts = world_from_grasp.apply(np.stack([x, np.full_like(x, side * gripper.opening), z], axis=1))
            way = world_from_grasp.rotate(np.array([[0.0, -side, 0.0]]))[0]
            reach, normals = np.full(len(starts), -np.inf), np.zeros((len(starts), 3))
            for i, start in enumerate(starts):
                geom, normal = np.full(1, -1, np.int32), np.zeros(3)
                distance = mujoco.mj_ray(model, data, start, way, only, 1, -1, geom, normal)
                if geom[0] >= 0:
                    reach[i], normals[i] = gripper.opening - distance, normal
            found.append((reach, normals, way))
        model.geom_group[:] = groups
        reaches = [float(reach.max()) for reach, _, _ in found]
        if not np.isfinite(reaches).all():
            return TrueContact(0.0, 0.0, np.pi / 2)
        slopes = []
        for (reach, normals, way), most in zip(found, reaches, strict=True):
            mean = normals[reach > most - FACE].mean(axis=0)
            slopes.append(np.arccos(np.clip(-(mean @ way) / np.linalg.norm(mean), -1, 1)))
        return TrueContact(sum(reaches), (reaches[0] - reaches[1]) / 2, float(max(slopes)))

    def _distance(self, points: np.ndarray, geom: int) -> np.ndarray:
        model, data = self.scene.model, self.scene.data
        local = (points - data.geom_xpos[geom]) @ data.geom_xmat[geom].reshape(3, 3)
        size, kind = model.geom_size[geom], int(model.geom_type[geom])
        if kind == mujoco.mjtGeom.mjGEOM_PLANE:
            return local[:, 2]
        if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
            return np.linalg.norm(local, axis=1) - size[0]
        if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
            local[:, 2] -= np.clip(local[:, 2], -size[1], size[1])
            return np.linalg.norm(local, axis=1) - size[0]
        if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
            return _outside(
                np.stack(
                    [np.hypot(local[:, 0], local[:, 1]) - size[0], np.abs(local[:, 2]) - size[1]], axis=1
                )
            )
        if kind == mujoco.mjtGeom.mjGEOM_BOX:
            return _outside(np.abs(local) - size)
        if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
            return (np.linalg.norm(local / size, axis=1) - 1) * size.min()
        assert kind == mujoco.mjtGeom.mjGEOM_MESH, kind
        return self._hull(local, int(model.geom_dataid[geom]))

    def _hull(self, local: np.ndarray, mesh: int) -> np.ndarray:
        """Distance from the planes of a convex mesh's faces."""
        model = self.scene.model
        first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        vertices = model.mesh_vert[first : first + count].astype(np.float64)
        first, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
        corners = vertices[model.mesh_face[first : first + count]]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        offsets = np.einsum("ij,ij->i", normals, corners[:, 0])
        return (local @ normals.T - offsets).max(axis=1)


def gripper_points(opening: float, gripper: Gripper) -> np.ndarray:
    """float64 [n, 3]: points of the open fingers and the hand, and of their way in, in the grasp's frame [m]."""
    width, thickness = _spread(gripper.finger_width), _spread(gripper.finger_thickness)
    finger = _grid(width, thickness, -np.arange(0, gripper.finger_depth + SWEPT, STEP))
    sides = [finger + (0, side * (opening + gripper.finger_thickness) / 2, 0) for side in (1, -1)]
    hand = _grid(
        _spread(gripper.hand_thickness),
        _spread(gripper.hand_width),
        -gripper.finger_depth - np.arange(0, SWEPT, 2 * STEP),
    )
    return np.concatenate([*sides, hand])


def _spread(size: float) -> np.ndarray:
    return np.linspace(-size / 2, size / 2, max(2, round(size / STEP) + 1))


def _grid(*axes: np.ndarray) -> np.ndarray:
    return np.stack([grid.ravel() for grid in np.meshgrid(*axes)], axis=1)


def _outside(faces: np.ndarray) -> np.ndarray:
    """Signed distance from a box-like body, of the distances [n, k] from its faces."""
    return np.linalg.norm(np.maximum(faces, 0), axis=1) + np.minimum(faces.max(axis=1), 0)
