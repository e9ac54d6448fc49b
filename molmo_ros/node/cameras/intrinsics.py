# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The camera of a sensor_msgs/CameraInfo, or of the user's own matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from molmo_ros.geometry import CameraInfoError, PinholeCamera
from molmo_ros.geometry.frame_names import shown

if TYPE_CHECKING:
    from sensor_msgs.msg import CameraInfo


def camera_from_message(
    message: CameraInfo | None,
    *,
    rectified: bool = False,
    matrix: Sequence[float] = (),
    size: tuple[int, int] = (0, 0),
    trusted: bool = False,
) -> PinholeCamera:
    """The camera of a sensor_msgs/CameraInfo.

    Args:
        message: The CameraInfo; may be None where `matrix` is given.
        rectified: The image is rectified: P holds, without distortion.
        matrix: fx, fy, cx, cy of the delivered image [px]; not all zero means instead of the message.
        size: Width and height of the delivered image [px], used with `matrix`.
        trusted: The message is believed where it looks like that of another resolution.

    Raises:
        CameraInfoError: There is no usable calibration.
    """
    if any(matrix):
        fx, fy, cx, cy = matrix
        k = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
        return PinholeCamera.from_camera_info(k=k, width=size[0], height=size[1], trusted=True)
    if message is None:
        raise CameraInfoError("no camera_info has arrived")
    if rectified and not trusted:
        _require_own_frame(message)
    roi, p = message.roi, message.p
    return PinholeCamera.from_camera_info(
        k=(p[0], p[1], p[2], p[4], p[5], p[6], p[8], p[9], p[10]) if rectified else message.k,
        d=() if rectified else message.d,
        model="" if rectified else message.distortion_model,
        width=message.width,
        height=message.height,
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height),
        binning=(message.binning_x, message.binning_y),
        trusted=trusted,
    )


def _require_own_frame(message: CameraInfo) -> None:
    """P is that of a camera on its own, or of the first of a stereo pair.

    P of the second one projects points of the first one's frame (sensor_msgs/CameraInfo: Tx = -fx B); whether the
    header means that frame or the second camera's own, drivers do not agree.
    """
    tx, ty = message.p[3], message.p[7]
    if tx or ty:
        raise CameraInfoError(
            f"P has the translation Tx={tx:g}, Ty={ty:g} of a stereo pair's second camera, so its points are either in "
            f"the first camera's frame or in {shown(message.header.frame_id)}; set trust_camera_info to true where "
            f"{shown(message.header.frame_id)} is this camera's own optical frame"
        )
