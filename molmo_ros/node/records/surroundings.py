# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a picture's pixels are in space: depth, calibration and transform that belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from molmo_ros.geometry import PinholeCamera
from molmo_ros.geometry.rigid_transform import RigidTransform

if TYPE_CHECKING:
    from sensor_msgs.msg import CameraInfo

    from molmo_ros.node.records.frame import DepthMessage


@dataclass(frozen=True)
class Surroundings:
    """Everything that gives the pixels of one picture their places; all of it belongs to that picture.

    Attributes:
        depth: [h, w] aligned to the picture, uint16 [mm] or floating [m].
        camera: Intrinsics of the picture.
        target_from_optical: To the frame of the places; None where that is the optical frame.
        frame_id: The frame of the places, without a leading slash.
        depth_message: What `depth` was read from, or made of: depth of another camera, a cloud.
        info: The calibration as it came; None where the user gave the matrix.
    """

    depth: np.ndarray
    camera: PinholeCamera
    target_from_optical: RigidTransform | None
    frame_id: str
    depth_message: DepthMessage
    info: CameraInfo | None
