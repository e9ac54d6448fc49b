# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether a picture, a depth image and a calibration belong together: decided here, and nowhere else.

A point is placed by all of them, and is wrong without a word where one is of another camera, resolution or moment. What
says so are the headers, the sizes, the stamps and the calibration itself. An empty frame_id says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from molmo_ros.geometry.camera import CameraInfoError, PinholeCamera
from molmo_ros.geometry.frame_names import plain, shown
from molmo_ros.geometry.principal_point import is_sdf_default

CURE = "depth's own calibration on depth/camera_info, by which it is registered where TF knows both frames"
SAME_PIXEL = 1.5
"""Calibrations whose rays are no further apart are of one camera: drivers round them, and scale them by halves [px]."""


class MismatchError(ValueError):
    """Inputs that do not belong together; the message names both sides, and the cure."""


@dataclass(frozen=True)
class InputClaims:
    """What a message says about itself.

    Attributes:
        name: What to call it: `the picture on image`.
        frame_id: As its header has it.
        stamp: As its header has it [ns].
        size: Width and height [px].
    """

    name: str
    frame_id: str = ""
    stamp: int = 0
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Rules:
    """What the user says about the inputs.

    Attributes:
        tolerance: Largest difference between the stamps of picture and depth [s].
        optical_frame: The optical frame that all inputs are really in, where their headers name another; else empty.
        depth_is_aligned: Depth is aligned to the picture, whatever its frame_id says.
        depth_frame: The frame that depth is really in, where its header names another; else empty. Of a cloud it is
            that of the coordinates.
        trust_camera_info: The calibration is the picture's, whatever its frame_id says.
    """

    tolerance: float = 0.02
    optical_frame: str = ""
    depth_is_aligned: bool = False
    depth_frame: str = ""
    trust_camera_info: bool = False


@dataclass
class Belonging:
    """Holds the inputs of one picture against it.

    Attributes:
        picture: The picture.
        rules: What the user says.
        assumed: What no header said and was taken for granted.
    """

    picture: InputClaims
    rules: Rules
    assumed: list[str] = field(default_factory=list)

    @property
    def optical_frame(self) -> str:
        """The frame that the picture's rays are in, without a leading slash; empty where nothing names it."""
        return plain(self.rules.optical_frame) or plain(self.picture.frame_id)

    def require_stamp(self) -> None:
        """The picture says when it was taken.

        Raises:
            MismatchError: It does not, so that no depth can be said to be of the same moment.
        """
        if self.picture.stamp <= 0:
            raise MismatchError(
                f"{self.picture.name} has no stamp ({self.picture.stamp * 1e-9:g} s), so which depth image belongs to "
                "it is not known; its driver must stamp pictures and depth"
            )

    def require_depth(self, depth: InputClaims, info: InputClaims | None = None) -> bool:
        """The depth image is of the picture's moment, and seen from its camera or from one that is known.

        Args:
            depth: The depth image.
            info: Its own CameraInfo; None where none has come.

        Returns:
            Whether it is of another camera, or of another size, and so has to be registered by its own calibration.

        Raises:
            MismatchError: It is of another moment, or it would have to be registered and its calibration is missing, or
                is another camera's.
        """
        self._require_moment(depth)
        try:
            self._require_frame(
                replace(depth, frame_id=self.rules.depth_frame or depth.frame_id),
                "depth_is_aligned",
                self.rules.depth_is_aligned,
                "it is seen from another camera: use depth that is aligned to the picture (RealSense: "
                "align_depth.enable and aligned_depth_to_color/image_raw; others: depth_image_proc's register), or "
                f"give {CURE}, or set depth_is_aligned to true where it is aligned and its driver names the frame "
                "wrongly",
            )
            if depth.size != self.picture.size:
                raise MismatchError(
                    f"depth is {_size(depth.size)}, the image is {_size(self.picture.size)}: depth must be aligned to "
                    f"the image, pixel by pixel, or give {CURE}"
                )
        except MismatchError:
            if info is None:
                raise
        else:
            return False
        frame = plain(info.frame_id)
        if frame and frame not in {plain(depth.frame_id), plain(self.rules.depth_frame)}:
            raise MismatchError(
                f"{info.name} is in the frame {shown(frame)}, {depth.name} in {shown(plain(depth.frame_id))}: it is "
                f"another camera's; remap {info.name} to the camera_info that is published beside the depth image"
            )
        if info.size != depth.size:
            raise MismatchError(
                f"{info.name} describes an image of {_size(info.size)}, {depth.name} is {_size(depth.size)}; remap it "
                "to the camera_info that is published beside the depth image"
            )
        return True

    def is_of_another_lens(
        self, depth: InputClaims, info: InputClaims, readings: Sequence[PinholeCamera], camera: PinholeCamera
    ) -> bool:
        """Whether depth in the picture's frame and size is not aligned to it after all: its own calibration says so.

        Args:
            depth: The depth image, for which `require_depth` was False.
            info: Its own CameraInfo.
            readings: What can be made of that: by K and D, by P. Depth of a rectified picture may come with either.
            camera: The picture's.
        """
        if self.rules.depth_is_aligned:
            return False
        if plain(info.frame_id) != plain(depth.frame_id) or info.size != depth.size:
            self.assumed.append(
                f"{info.name} ({shown(plain(info.frame_id))}, {_size(info.size)}) is not that of {depth.name}"
            )
            return False
        return bool(readings) and not any(_see_the_same(one, camera) for one in readings)

    def require_cloud(self, cloud: InputClaims) -> None:
        """The cloud is of the picture's moment, and says which frame its points are in.

        Raises:
            MismatchError: It does not.
        """
        self._require_moment(cloud)
        if not self.frame_of(cloud):
            raise MismatchError(
                f"{cloud.name} has no frame_id, so where its points are is not known; its driver must name the frame, "
                "or set depth_frame"
            )

    def frame_of(self, depth: InputClaims) -> str:
        """The frame that a depth image or a cloud is really in, without a leading slash; the picture's optical frame
        where it is in the picture's."""
        frame = plain(self.rules.depth_frame) or plain(depth.frame_id)
        return self.optical_frame if frame == plain(self.picture.frame_id) else frame

    def _require_moment(self, depth: InputClaims) -> None:
        self.require_stamp()
        apart = abs(depth.stamp - self.picture.stamp) * 1e-9
        if depth.stamp <= 0 or apart > self.rules.tolerance:
            raise MismatchError(
                f"{depth.name} is {apart:.3f} s apart from {self.picture.name}, depth_sync_tolerance is "
                f"{self.rules.tolerance:g} s"
            )

    def require_calibration(self, info: InputClaims | None, camera: PinholeCamera) -> None:
        """The calibration is of the picture's camera, at its size.

        Args:
            info: The CameraInfo; None where the user has given the matrix.
            camera: What was made of it.

        Raises:
            MismatchError: It is not.
        """
        if info is None:
            self.assumed.append("camera_matrix is used instead of camera_info")
        else:
            if self.rules.trust_camera_info:
                self.assumed.append("camera_info is the picture's (trust_camera_info)")
            elif is_sdf_default(camera.fx, camera.fy, camera.cx, camera.cy):
                self.assumed.append(
                    "K, which is SDF's default, is meant: the camera's view is 60 degrees wide"
                )
            self._require_frame(
                info,
                "trust_camera_info",
                self.rules.trust_camera_info,
                "it is another camera's: use the camera_info that is published beside the picture, or set "
                "trust_camera_info to true where its driver names the frame wrongly",
            )
        try:
            camera.require_size(*self.picture.size)
        except CameraInfoError as error:
            raise MismatchError(
                f"{error}; use the camera_info that is published beside the picture, or set camera_matrix"
                f"{_scaled_matrix(camera, self.picture.size)}"
            ) from error

    def _require_frame(self, other: InputClaims, parameter: str, trusted: bool, cure: str) -> None:
        names = {plain(self.picture.frame_id), self.optical_frame} - {""}
        frame = plain(other.frame_id)
        if frame in names:
            return
        if not frame or not names:
            self.assumed.append(f"{other.name if not frame else self.picture.name} has no frame_id")
        elif trusted:
            self.assumed.append(f"{other.name} in {shown(frame)} is the picture's ({parameter})")
        else:
            own = " or ".join(map(shown, sorted(names)))
            raise MismatchError(
                f"{other.name} is in the frame {shown(frame)}, {self.picture.name} in {own}: {cure}"
            )


def _scaled_matrix(camera: PinholeCamera, size: tuple[int, int]) -> str:
    """What camera_matrix would be if the picture were all of the view at another resolution; empty where it is not.

    That it is all of it, and no crop, nothing says: so the user has to.
    """
    scale = size[0] / camera.width
    if camera.distortion or abs(size[1] - scale * camera.height) > 1:
        return ""
    cx, cy = (camera.cx + 0.5) * scale - 0.5, (camera.cy + 0.5) * scale - 0.5
    matrix = ", ".join(f"{value:.2f}" for value in (camera.fx * scale, camera.fy * scale, cx, cy))
    return f", to [{matrix}] where the picture is the whole view at another resolution"


@lru_cache(maxsize=8)
def _see_the_same(one: PinholeCamera, other: PinholeCamera) -> bool:
    """Whether the same rays go through the same pixels of both, about."""
    if one == other:
        return True
    columns, rows = np.meshgrid(np.linspace(0, one.width - 1, 5), np.linspace(0, one.height - 1, 5))
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    apart = other.project(one.deproject(pixels, np.ones(len(pixels)))) - pixels
    # fmax passes over what is no number; nanmax knows `initial` from NumPy 1.22 on, and Humble has 1.21.
    return bool(
        np.fmax.reduce(np.abs(apart), axis=None, initial=0.0) < SAME_PIXEL and np.isfinite(apart).any()
    )


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
