# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The depth of a picture's pixels, from whatever the camera gives: aligned depth, depth of another camera, a cloud."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from molmo_ros.geometry import CameraInfoError, PinholeCamera
from molmo_ros.geometry.belonging import Belonging, InputClaims, MismatchError
from molmo_ros.geometry.frame_names import is_named_optical, shown
from molmo_ros.geometry.optical_frame import BODY_FROM_OPTICAL
from molmo_ros.geometry.registration import register_depth, register_points, share_in_view
from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.cameras.image_transport import depth_of
from molmo_ros.node.cameras.intrinsics import camera_from_message
from molmo_ros.node.cameras.point_clouds import is_cloud, points_of
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.frame import stamp_ns
from molmo_ros.node.seams.transform_source import TransformSource

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import DepthMessage

OPTICAL_FROM_BODY = RigidTransform(rotation=BODY_FROM_OPTICAL).inverse()
FAR_MORE = 4.0
"""A cloud of which so many times more is in view when it is taken to be x forward is x forward."""


class PictureDepth:
    """The depth that goes with one picture.

    Args:
        message: The Image, CompressedImage or PointCloud2 of its moment.
        camera: Where it came from.
        belonging: Decides what belongs to the picture.
        settings: The parameters.

    Raises:
        ImageMessageError: The message cannot be read.
        MismatchError: It does not belong to the picture, and nothing is known by which it could be registered.
    """

    def __init__(
        self, message: DepthMessage, camera: CameraInput, belonging: Belonging, settings: Settings
    ) -> None:
        self._message, self._camera = message, camera
        self._belonging, self._settings = belonging, settings
        self._own: InputClaims | None = None
        header = message.header
        if is_cloud(message):
            self._claims = InputClaims("the cloud", header.frame_id, stamp_ns(header))
            self._points = points_of(message)
            belonging.require_cloud(self._claims)
            return
        self._image = depth_of(message)
        height, width = self._image.shape
        self._claims = InputClaims("depth", header.frame_id, stamp_ns(header), (width, height))
        if (info := camera.depth_info) is not None:
            binning = info.binning_x or 1, info.binning_y or 1
            size = (
                (info.roi.width or info.width) // binning[0],
                (info.roi.height or info.height) // binning[1],
            )
            self._own = InputClaims("depth/camera_info", info.header.frame_id, stamp_ns(info.header), size)
        self._other_camera = belonging.require_depth(self._claims, self._own)

    def pixels(
        self,
        camera: PinholeCamera,
        transforms: TransformSource,
        require_optical: Callable[[str, str, str], None],
    ) -> np.ndarray:
        """[h, w] of the picture, uint16 [mm] or floating [m].

        Args:
            camera: The picture's calibration.
            transforms: Where the frames are.
            require_optical: Called with a frame that has to be an optical one, whose it is, and the parameter that
                names another; raises MismatchError where it is not.

        Raises:
            CameraInfoError: The depth's own calibration cannot be used.
            MismatchError: Its frame is not optical, TF does not know how it lies to the picture's, or no point of a
                cloud is in view.
        """
        frame = self._belonging.frame_of(self._claims)
        if is_cloud(self._message):
            optical_from_points = self._optical_from(frame, transforms)
            return self._camera.registered.of(
                self._message,
                (camera, optical_from_points),
                lambda: self._of_cloud(frame, camera, optical_from_points),
            )
        if not self._other_camera and self._is_aligned(camera):
            return self._image
        depth_camera = self._depth_camera(self._settings.depth_is_rectified)
        optical_from_depth = RigidTransform()
        if self._settings.depth_is_aligned or not frame:
            pass  # the user, or nobody, says that it is seen from elsewhere
        elif frame != self._belonging.optical_frame:
            require_optical(frame, "depth", "depth_frame")
            optical_from_depth = self._optical_from(frame, transforms)
        return self._camera.registered.of(
            self._message,
            (depth_camera, camera, optical_from_depth),
            lambda: register_depth(self._image, depth_camera, camera, optical_from_depth),
        )

    def _is_aligned(self, camera: PinholeCamera) -> bool:
        """Whether depth of the picture's frame and size is aligned to it, as far as its own calibration says."""
        if self._own is None or any(
            self._settings.camera_matrix
        ):  # the driver's calibrations are wrong, says the user
            return True
        readings = []
        for rectified in (False, True):
            with suppress(CameraInfoError):
                readings.append(self._depth_camera(rectified))
        return not self._belonging.is_of_another_lens(self._claims, self._own, readings, camera)

    def _depth_camera(self, rectified: bool) -> PinholeCamera:
        """What depth's own calibration says.

        Raises:
            CameraInfoError: It cannot be used.
        """
        try:
            return camera_from_message(
                self._camera.depth_info, rectified=rectified, trusted=self._settings.trust_camera_info
            )
        except CameraInfoError as error:
            raise CameraInfoError(f"depth/camera_info: {error}") from error

    def _of_cloud(self, frame: str, camera: PinholeCamera, optical_from_points: RigidTransform) -> np.ndarray:
        in_view = share_in_view(self._points, camera, optical_from_points)
        if is_named_optical(frame):
            forward = share_in_view(self._points, camera, optical_from_points @ OPTICAL_FROM_BODY)
            if forward > FAR_MORE * in_view:
                raise MismatchError(
                    f"the cloud is in the frame {shown(frame)}, but its coordinates are x forward, as Gazebo's are "
                    "whatever their frame is: set depth_frame to the frame of the camera's body"
                )
        depth = register_points(self._points, camera, optical_from_points)
        if not np.isfinite(depth).any():
            raise MismatchError(
                f"no point of the cloud, in {shown(frame)}, is in the picture's view, from "
                f"{shown(self._belonging.optical_frame)}: does it show another part of the scene, or are its "
                "coordinates in another frame (depth_frame)?"
            )
        return depth

    def _optical_from(self, frame: str, transforms: TransformSource) -> RigidTransform:
        """From depth's frame at its stamp to the picture's optical frame at that of the picture.

        Where the stamps differ, what moved in between is known by the root of TF's tree. Where TF does not know that
        root at both times, the frames are taken to be as they are at depth's stamp.

        Raises:
            MismatchError: TF does not know it.
        """
        optical, picture = self._belonging.optical_frame, self._belonging.picture
        if frame == optical:
            return RigidTransform()
        patience, taken, then = self._settings.transform_patience, picture.stamp, self._claims.stamp
        try:
            optical_from_depth = transforms.lookup(optical, frame, then, patience)
            if taken == then:
                return optical_from_depth
            parents, root = transforms.parents(), optical
            for _ in range(len(parents)):  # TF is a tree; a loop would have no end
                root = parents.get(root, root)
            try:
                root_from_optical = transforms.lookup(root, optical, taken, patience)
                return root_from_optical.inverse() @ transforms.lookup(root, frame, then, patience)
            except TransformError:
                self._belonging.assumed.append(
                    f"nothing moved between the stamps of {picture.name} and {self._claims.name}"
                )
                return optical_from_depth
        except TransformError as error:
            raise MismatchError(
                f"{self._claims.name} is in the frame {shown(frame)}, {picture.name} in {shown(optical)}: to register "
                f"it, TF must know both: {error}"
            ) from error
