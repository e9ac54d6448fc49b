"""Points in pixels to points in metres: camera_info, depth image and geometry brought together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from molmo_ros.geometry import CameraInfoError, DepthSample, PinholeCamera, depth_at
from molmo_ros.molmo.answer import Point
from molmo_ros.node.images import ImageMessageError, depth_view


@dataclass(frozen=True)
class LocatedPoint:
    """A point of the answer with its place in space.

    Attributes:
        pixel: The point as the model gave it, 0 at the image's left and top edge [px].
        xyz: Place in the camera's optical frame [m]; None where there is none.
        spread: Robust standard deviation of the depth there [m].
        reason: Why `xyz` is None; empty where it is given.
    """

    pixel: Point
    xyz: tuple[float, float, float] | None = None
    spread: float = 0.0
    reason: str = ""


def camera_from_message(
    message: Any, *, rectified: bool = False, matrix: Sequence[float] = (), size: tuple[int, int] = (0, 0)
) -> PinholeCamera:
    """The camera of a sensor_msgs/CameraInfo.

    Args:
        message: The CameraInfo; may be None where `matrix` is given.
        rectified: The image is rectified: P holds, without distortion.
        matrix: fx, fy, cx, cy of the delivered image [px]; not all zero means instead of the message.
        size: Width and height of the delivered image [px], used with `matrix`.

    Raises:
        CameraInfoError: There is no usable calibration.
    """
    if any(matrix):
        fx, fy, cx, cy = matrix
        k = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
        return PinholeCamera.from_camera_info(k=k, width=size[0], height=size[1])
    if message is None:
        raise CameraInfoError("no camera_info has arrived")
    roi, p = message.roi, message.p
    return PinholeCamera.from_camera_info(
        k=(p[0], p[1], p[2], p[4], p[5], p[6], p[8], p[9], p[10]) if rectified else message.k,
        d=() if rectified else message.d,
        model="" if rectified else message.distortion_model,
        width=message.width,
        height=message.height,
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height),
        binning=(message.binning_x, message.binning_y),
    )


def locate_points(
    points: Sequence[Point],
    depth_message: Any,
    camera: PinholeCamera,
    *,
    window: int,
    minimum: float,
    maximum: float,
) -> list[LocatedPoint]:
    """Give every point its place in the optical frame, or the reason why it has none.

    Args:
        points: Points of one answer, about an image of the camera's size.
        depth_message: A sensor_msgs/Image aligned to that image.
        camera: Intrinsics of that image.
        window: See `depth_at` [px].
        minimum, maximum: See `depth_at` [m].

    Raises:
        ImageMessageError: The depth image cannot be read, or has another size than the camera.
    """
    depth = depth_view(depth_message)
    height, width = depth.shape
    if (width, height) != (camera.width, camera.height):
        raise ImageMessageError(
            f"depth is {width}x{height}, the image is {camera.width}x{camera.height}: "
            "depth must be aligned to the image"
        )
    located = []
    for point in points:
        # Molmo's pixel is 0 at the image's edge; calibrations are 0 at the first pixel's centre.
        column, row = point.x - 0.5, point.y - 0.5
        sample = depth_at(depth, column, row, window=window, minimum=minimum, maximum=maximum)
        located.append(_located(point, sample, camera, (column, row)))
    return located


def _located(
    point: Point, sample: DepthSample, camera: PinholeCamera, pixel: tuple[float, float]
) -> LocatedPoint:
    if sample.depth is None:
        return LocatedPoint(point, reason=sample.reason)
    x, y, z = camera.deproject([pixel], [sample.depth])[0].tolist()
    if x != x:  # NaN
        return LocatedPoint(point, reason="the lens model has no ray for this pixel")
    return LocatedPoint(point, (x, y, z), sample.spread)
