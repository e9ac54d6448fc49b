# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The coordinates of a sensor_msgs/PointCloud2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from molmo_ros.geometry.point_cloud import PointCloudError, read_points
from molmo_ros.node.cameras.images import ImageMessageError

if TYPE_CHECKING:
    from sensor_msgs.msg import PointCloud2


def is_cloud(message: Any) -> TypeGuard[PointCloud2]:
    """Whether it is a cloud, and no image."""
    return hasattr(message, "point_step")


def points_of(message: PointCloud2) -> np.ndarray:
    """[n, 3] floating [m], in the frame of the message's header; a view where it can be one.

    Raises:
        ImageMessageError: The message cannot be read.
    """
    try:
        return read_points(
            message.fields,
            message.data,
            width=message.width,
            height=message.height,
            point_step=message.point_step,
            row_step=message.row_step,
            is_bigendian=message.is_bigendian,
        )
    except PointCloudError as error:
        raise ImageMessageError(str(error)) from error
