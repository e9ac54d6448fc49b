"""Places of the points of one frame: what is needed for them is looked up once, when the first point comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from molmo_ros.geometry import CameraInfoError, PinholeCamera
from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError
from molmo_ros.molmo.answer import Point, Status
from molmo_ros.node.answers.locate import DepthReading, LocatedPoint, locate_points
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.cameras.frame import stamp_ns
from molmo_ros.node.cameras.image_transport import depth_of
from molmo_ros.node.cameras.images import ImageMessageError


class Locator:
    """Gives points of one frame their places, in the target frame at the frame's own stamp.

    Args:
        camera: Where the frame came from; None for one that came with a request, and has no depth.
        header: The frame's header.
        size: Its width and height [px].
        target_frame: Frame of the places; empty means the optical frame.
        value: The node's parameters.
        transforms: Looks up transforms.
        find_depth: Returns the depth message of the frame, or None and why there is none.

    Attributes:
        frame_id: Frame of the places.
        viewpoint: The camera's optical centre in it [m].
        missing: What it means where no point has a place: NO_DEPTH or NO_TRANSFORM; None where none was expected.
        reason: Why no point can have a place; empty while they can.
    """

    def __init__(
        self,
        camera: CameraInput | None,
        header: Any,
        size: tuple[int, int],
        target_frame: str,
        *,
        value: Callable[[str], Any],
        transforms: Any,
        find_depth: Callable[[], tuple[Any, str]],
    ) -> None:
        self._camera, self._header, self._size = camera, header, size
        self._value, self._transforms, self._find_depth = value, transforms, find_depth
        self.frame_id = target_frame or header.frame_id
        self.viewpoint = (0.0, 0.0, 0.0)
        self.missing: Status | None = Status.NO_DEPTH
        self.reason = ""
        self._surroundings: tuple[np.ndarray, PinholeCamera, RigidTransform | None] | None = None

    def locate(self, points: Sequence[Point]) -> list[LocatedPoint]:
        """The points with their places; without them, and with the reason, where there are none."""
        if not points:
            return []
        if self._surroundings is None and not self.reason:
            self._look_up()
        if self._surroundings is None:
            return [LocatedPoint(point, reason=self.reason) for point in points]
        depth, camera, transform = self._surroundings
        reading = DepthReading(
            self._value("depth_window"),
            self._value("min_depth"),
            self._value("max_depth"),
            self._value("surface_normals"),
        )
        located = locate_points(points, depth, camera, reading)
        return located if transform is None else [point.transformed(transform) for point in located]

    def _look_up(self) -> None:
        """Gets depth, calibration and transform, or the reason why one of them is missing."""
        try:
            if self._camera is None:
                raise ImageMessageError("the image came with the query, without depth")
            if not self._value("use_depth"):
                raise ImageMessageError("use_depth is off")
            message, reason = self._find_depth()
            if message is None:
                raise ImageMessageError(reason)
            width, height = self._size
            camera = self._camera.calibration(
                width,
                height,
                rectified=self._value("image_is_rectified"),
                matrix=self._value("camera_matrix"),
            )
            depth = depth_of(message)
            locate_points([], depth, camera, DepthReading())  # the sizes agree, or it says so
            transform = self._transform()
        except TransformError as error:
            self.missing, self.reason = Status.NO_TRANSFORM, str(error)
        except (ImageMessageError, CameraInfoError) as error:
            wanted = self._camera is not None and self._value("use_depth")
            self.missing, self.reason = Status.NO_DEPTH if wanted else None, str(error)
        else:
            self._surroundings = depth, camera, transform
            if transform is not None:
                self.viewpoint = transform.translation

    def _transform(self) -> RigidTransform | None:
        """From the optical frame to the target frame at the frame's stamp; None where they are one.

        Raises:
            TransformError: It is not known.
        """
        optical = self._header.frame_id
        if self.frame_id == optical:
            return None
        if not optical:
            raise TransformError(
                "the image's header has no frame_id, so its points have no place in any frame"
            )
        return self._transforms.lookup(
            self.frame_id, optical, stamp_ns(self._header), self._value("transform_patience")
        )
