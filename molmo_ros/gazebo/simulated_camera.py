# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An RGB-D camera of a world, as its SDF describes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from molmo_ros.gazebo.sdf_pose import BODY_FROM_OPTICAL
from molmo_ros.geometry import PinholeCamera
from molmo_ros.geometry.rigid_transform import RigidTransform


@dataclass(frozen=True)
class SimulatedCamera:
    """A sensor of type rgbd_camera.

    Attributes:
        topic: Its `<topic>`, without a leading slash; below it are `image`, `depth_image` and `camera_info`.
        model, link, sensor: Names, from the world down; a nested model's with those above it, `outer::inner`.
        frame: The frame that the file gives its messages; empty where none.
        width, height: Of the picture [px].
        horizontal_fov: Angle of view [rad].
        rate: Pictures per simulated second.
        world_from_model, model_from_link, link_from_sensor: Its place, at the start.
        static: The model stands.
        publishes_pose: The model has a PosePublisher that tells where it is.
    """

    topic: str
    model: str
    link: str
    sensor: str
    frame: str
    width: int
    height: int
    horizontal_fov: float
    rate: float
    world_from_model: RigidTransform
    model_from_link: RigidTransform
    link_from_sensor: RigidTransform
    static: bool
    publishes_pose: bool

    @property
    def name(self) -> str:
        """What a node of several cameras calls it: the topic, with `_` for what is no letter or digit."""
        return "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in self.topic)

    @property
    def optical_frame(self) -> str:
        """The frame with z forward: the file's where its name says optical, otherwise one of this camera's own."""
        return self.frame if "optical" in self.frame else f"{self.name}_optical_frame"

    @property
    def model_from_optical(self) -> RigidTransform:
        return self.model_from_link @ self.link_from_sensor @ BODY_FROM_OPTICAL

    @property
    def world_from_optical(self) -> RigidTransform:
        """At the start."""
        return self.world_from_model @ self.model_from_optical

    @property
    def calibration(self) -> PinholeCamera:
        """Of the rendered picture: square pixels, principal point in the middle (whole numbers are centres)."""
        focal = self.width / 2 / math.tan(self.horizontal_fov / 2)
        centre = (self.width - 1) / 2, (self.height - 1) / 2
        return PinholeCamera(focal, focal, *centre, self.width, self.height)
