# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The picture that points are about once more, with its depth and calibration, for readers that synchronise exactly.

All three have the picture's stamp: what `Belonging` found to belong to the picture may have been taken some
milliseconds beside it, and a calibration is often published once. Everything else is as it came.
"""

from __future__ import annotations

import array
import copy
import sys

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from molmo_ros.geometry import PinholeCamera
from molmo_ros.node.messages.annotated_image import image_message
from molmo_ros.node.records.surroundings import Surroundings
from molmo_ros.node.records.view import View


def answered_image(view: View, header: Header) -> Image:
    """The picture as it came; as rgb8 where it came compressed.

    Args:
        view: The picture.
        header: Its own.
    """
    if isinstance(view.message, Image):
        return view.message
    return image_message(view.picture(), header)


def answered_depth(surroundings: Surroundings, header: Header) -> Image:
    """The depth that places were read from: as it came, or as 16UC1 [mm] or 32FC1 [m] where that was no Image of the
    picture's pixels.

    Args:
        surroundings: Of the picture.
        header: The picture's.
    """
    message, depth = surroundings.depth_message, surroundings.depth
    if isinstance(message, Image) and np.may_share_memory(depth, np.frombuffer(message.data, np.uint8)):
        return _stamped(message, header.stamp)
    kind, encoding = (np.uint16, "16UC1") if depth.dtype.kind == "u" else (np.float32, "32FC1")
    pixels = np.ascontiguousarray(depth, kind)
    height, width = pixels.shape
    return Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=pixels.strides[0],
        data=array.array("B", pixels.tobytes()),
    )


def answered_camera_info(surroundings: Surroundings, header: Header) -> CameraInfo:
    """The calibration as it came; made from the matrix that the user gave where there was none.

    Args:
        surroundings: Of the picture.
        header: The picture's.
    """
    if surroundings.info is not None:
        return _stamped(surroundings.info, header.stamp)
    return _camera_info(surroundings.camera, header)


def _camera_info(camera: PinholeCamera, header: Header) -> CameraInfo:
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def _stamped(message: Image | CameraInfo, stamp: Time) -> Image | CameraInfo:
    """The message with that stamp; the same one where it has it already."""
    if message.header.stamp == stamp:
        return message
    copied = copy.copy(message)
    copied.header = Header(stamp=stamp, frame_id=message.header.frame_id)
    return copied
