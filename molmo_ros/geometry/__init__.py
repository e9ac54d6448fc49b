# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From pixels and depth to metres: pure functions on numpy arrays, no ROS and no torch."""

from molmo_ros.geometry.camera import CameraInfoError, PinholeCamera
from molmo_ros.geometry.depth import DepthSample, depth_at, metres
from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError
from molmo_ros.geometry.surface import SurfaceNormal, surface_normal, surface_orientation
from molmo_ros.geometry.transform_buffer import TransformBuffer

__all__ = [
    "CameraInfoError",
    "DepthSample",
    "PinholeCamera",
    "RigidTransform",
    "SurfaceNormal",
    "TransformBuffer",
    "TransformError",
    "depth_at",
    "metres",
    "surface_normal",
    "surface_orientation",
]
