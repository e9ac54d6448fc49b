# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Places of the points of one frame: what is needed for them is looked up once, when the first point comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from std_msgs.msg import Header

from molmo_ros.geometry import CameraInfoError
from molmo_ros.geometry.belonging import Belonging, InputClaims, MismatchError
from molmo_ros.geometry.frame_names import plain, shown
from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError
from molmo_ros.molmo.answer import Point
from molmo_ros.molmo.status import Status
from molmo_ros.node.answers.locate import DepthReading, locate_points
from molmo_ros.node.answers.picture_belonging import (
    belonging_of,
    require_optical,
    require_picture_optical,
    unknown_link,
)
from molmo_ros.node.answers.picture_depth import PictureDepth
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.cameras.images import ImageMessageError
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.frame import stamp_ns
from molmo_ros.node.records.located_point import LocatedPoint
from molmo_ros.node.records.surroundings import Surroundings
from molmo_ros.node.seams.transform_source import TransformSource

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import DepthMessage

NO_LIMIT = 10.0
"""How long depth is kept where pictures of any age are accepted [s]."""
LONGEST_NAME = 256
"""Of a frame [characters]."""


class Locator:
    """Gives points of one frame their places, in the target frame at the frame's own stamp.

    Args:
        camera: Where the frame came from; None for one that came with a request, and has no depth.
        header: The frame's header.
        size: Its width and height [px].
        target_frame: Frame of the places; empty means what the parameter says, and there the optical frame.
        settings: The parameters.
        transforms: Looks up transforms.
        find_depth: Returns the depth message of the frame, or None and why there is none.

    Attributes:
        frame_id: Frame of the places, without a leading slash; empty while no place is known.
        viewpoint: The camera's optical centre in it [m].
        missing: What it means where no point has a place: NO_DEPTH or NO_TRANSFORM; None where none was expected.
        reason: Why no point can have a place; empty while they can.
        surroundings: What gives the frame's pixels their places, once a point was located; None where nothing does.
    """

    def __init__(
        self,
        camera: CameraInput | None,
        header: Header,
        size: tuple[int, int],
        target_frame: str,
        *,
        settings: Settings,
        transforms: TransformSource,
        find_depth: Callable[[], tuple[DepthMessage | None, str]],
    ) -> None:
        self._camera, self._header, self._size = camera, header, size
        self._settings, self._transforms, self._find_depth = settings, transforms, find_depth
        self._target_frame = target_frame or settings.target_frame
        self.frame_id = ""
        self.viewpoint = (0.0, 0.0, 0.0)
        self.missing: Status | None = Status.NO_DEPTH
        self.reason = ""
        self.surroundings: Surroundings | None = None

    def locate(self, points: Sequence[Point]) -> list[LocatedPoint]:
        """The points with their places; without them, and with the reason, where there are none."""
        if not points:
            return []
        if self.surroundings is None and not self.reason:
            self._look_up()
        if self.surroundings is None:
            return [LocatedPoint(point, reason=self.reason) for point in points]
        target_from_optical = self.surroundings.target_from_optical
        reading = DepthReading(
            self._settings.depth_window,
            self._settings.min_depth,
            self._settings.max_depth,
            self._settings.surface_normals,
        )
        located = locate_points(points, self.surroundings.depth, self.surroundings.camera, reading)
        if target_from_optical is None:
            return located
        return [point.transformed(target_from_optical) for point in located]

    def _look_up(self) -> None:
        """Gets depth, calibration and transform, or the reason why one is missing or does not belong to the rest."""
        wanted = self._camera is not None and self._settings.use_depth and not self._camera.without_depth
        try:
            if self._camera is None:
                raise ImageMessageError("the image came with the query, without depth")
            if not wanted:
                raise ImageMessageError(self._camera.without_depth or "use_depth is off")
            self.surroundings = self._matched(self._camera)
        except TransformError as error:
            self.missing, self.reason = Status.NO_TRANSFORM, str(error)
        except (ImageMessageError, CameraInfoError, MismatchError) as error:
            self.missing, self.reason = Status.NO_DEPTH if wanted else None, str(error)
            if self._camera is not None and not isinstance(error, ImageMessageError):
                self._camera.problem = self.reason
        else:
            if (target_from_optical := self.surroundings.target_from_optical) is not None:
                self.viewpoint = target_from_optical.translation

    def _matched(self, input_: CameraInput) -> Surroundings:
        """Depth, calibration and transform that belong to the picture.

        Raises:
            ImageMessageError: There is no depth image.
            CameraInfoError: There is no usable calibration.
            MismatchError: They do not belong together.
            TransformError: The transform is not known.
        """
        settings, header = self._settings, self._header
        belonging = belonging_of(header, self._size, settings, input_.name)
        belonging.require_stamp()
        span = (settings.max_frame_age or NO_LIMIT) + settings.depth_sync_tolerance + settings.depth_patience
        input_.depths.keep(span)
        message, reason = self._find_depth()
        if message is None:
            raise ImageMessageError(reason)
        depth = PictureDepth(message, input_, belonging, settings)
        camera = input_.calibration(
            *self._size,
            rectified=settings.image_is_rectified,
            matrix=settings.camera_matrix,
            trusted=settings.trust_camera_info,
            patience=settings.depth_patience,
        )
        info = None if any(settings.camera_matrix) else input_.info
        belonging.require_calibration(info and InputClaims("camera_info", info.header.frame_id), camera)
        if info is not None and max(info.binning_x, info.binning_y) > 1:
            belonging.assumed.append(
                f"K is scaled by camera_info's binning, {info.binning_x}x{info.binning_y}"
            )
        self.frame_id = plain(self._target_frame) or belonging.optical_frame
        target_from_optical, doubtful = self._in_the_target_frame(input_, belonging)
        pixels = depth.pixels(camera, self._transforms, partial(require_optical, belonging, self._transforms))
        input_.problem, input_.assumed = doubtful, "; ".join(belonging.assumed)
        return Surroundings(pixels, camera, target_from_optical, self.frame_id, message, info)

    def _in_the_target_frame(
        self, input_: CameraInput, belonging: Belonging
    ) -> tuple[RigidTransform | None, str]:
        """The transform from the picture's optical frame, None where that is the target, and what is doubtful of it.

        Raises:
            MismatchError: The picture's frame is no optical one.
            TransformError: The same, where the points are wanted in another frame; or the transform is not known; or
                the frame is that of several cameras.
        """
        own, unknown, doubtful = self.frame_id == belonging.optical_frame, "", ""
        target_from_optical = None
        try:
            target_from_optical = self._target_from_optical(belonging.optical_frame)
        except TransformError as error:  # the frame's own fault may be why
            unknown = str(error)
        try:
            require_picture_optical(belonging, self._transforms)
            if not belonging.rules.optical_frame:
                doubtful = input_.shared_frame() or unknown_link(belonging, self._transforms)
            if doubtful and not own:
                raise MismatchError(doubtful)
        except MismatchError as error:
            if own:
                raise
            input_.problem = str(error)
            raise TransformError("; ".join(filter(None, (unknown, str(error))))) from error
        if unknown:
            raise TransformError(unknown)
        return target_from_optical, doubtful

    def _target_from_optical(self, optical: str) -> RigidTransform | None:
        """At the frame's stamp; None where the two are one.

        Raises:
            TransformError: It is not known.
        """
        if self.frame_id == optical:
            return None
        if not optical:
            raise TransformError(
                "the image's header has no frame_id, so its points have no place in any frame"
            )
        if len(self.frame_id) > LONGEST_NAME:
            raise TransformError(
                f"the target_frame {shown(self.frame_id)} has {len(self.frame_id)} characters; valid: up to "
                f"{LONGEST_NAME}"
            )
        return self._transforms.lookup(
            self.frame_id, optical, stamp_ns(self._header), self._settings.transform_patience
        )
