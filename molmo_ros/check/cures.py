# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The lines that cure what is wrong: arguments `NAME:=VALUE` of the launch file, the node and `check_camera`, commands,
or lines of SDF."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from molmo_ros.bag.camera_topics import CameraTopics
from molmo_ros.check.watched_camera import WatchedCamera
from molmo_ros.geometry.belonging import Belonging, InputClaims
from molmo_ros.geometry.frame_names import plain
from molmo_ros.geometry.principal_point import is_sdf_default
from molmo_ros.node.answers.picture_belonging import NotOpticalError
from molmo_ros.node.cameras.images import DEPTH_ENCODINGS
from molmo_ros.node.fast_dds import installed_fast_dds
from molmo_ros.node.parameters.declaration import Settings

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import DepthMessage

STAMP = (
    "the driver must set header.stamp of pictures and depth; max_frame_age:=0.0 for points in pixels alone"
)
PROFILE = (
    f"{installed_fast_dds().profile_variable}=.../share/molmo_ros/config/fastdds_shm.xml for camera and node"
)
TRANSFORM = "ros2 run tf2_ros static_transform_publisher"
RECENT = 600
"""How many stamps are held against each other."""
SDF_FRAME = "camera_optical_frame"
USUAL_SIZES = (
    240,
    320,
    360,
    424,
    480,
    540,
    600,
    640,
    720,
    768,
    800,
    848,
    960,
    1024,
    1080,
    1200,
    1280,
    1440,
    1920,
)
USUAL_VIEW = 1.047
"""`horizontal_fov` of SDF's own examples [rad]."""


def of_camera(settings: Settings, camera: str, frame: str) -> str:
    """A frame as `optical_frame` and `depth_frame` take it."""
    return frame if len(settings.cameras) < 2 else f'"{camera}={frame}"'


def topic(argument: str, found: str, used: str) -> str:
    """An argument that names another topic: that which was found, where it is another."""
    return f"{argument}:={found if found and found != used else 'TOPIC'}"


def encoding(message: Any, found: str, used: str) -> str:
    """Pictures that cannot be read."""
    if found and found != used:
        return f"image:={found}"
    if getattr(message, "encoding", "") in DEPTH_ENCODINGS:
        return "image:=TOPIC of pictures (rgb8, bgr8, ...): this one is depth"
    return "the driver's pixel format: rgb8 or bgr8 (SDF: <format>R8G8B8</format>)"


def optical(error: NotOpticalError, settings: Settings, camera: str) -> str:
    """The frame that is to be named, and published where TF has none."""
    line = f"{error.parameter}:={of_camera(settings, camera, error.optical)}"
    if error.known:
        return line
    publish = (
        f"{TRANSFORM} --roll -1.5708 --yaw -1.5708 --frame-id {error.frame} --child-frame-id {error.optical}"
    )
    sdf = ""
    if error.frame.count("/") >= 2:  # a simulator's, model/link/sensor
        sdf = (
            f"; or in SDF's <camera>: <optical_frame_id>{SDF_FRAME}</optical_frame_id>, and that frame in TF"
        )
    return f"{line} and {publish}{sdf}"


def calibration(info: Any, size: tuple[int, int], found: str, camera: WatchedCamera) -> str:
    """Of the picture's K.

    Args:
        info: The CameraInfo that is wrong; None where the user's own matrix is.
        size: Width and height of the picture [px].
        found: The topic beside the picture; may be empty.
        camera: Whose it is.
    """
    if info is None:
        return "camera_matrix:=[fx, fy, cx, cy] of this picture"
    if found and found != camera.names["camera_info"]:
        return f"camera_info:={found}"
    width, height = size
    fx, fy, cx, cy = (float(info.k[i]) for i in (0, 4, 2, 5))
    frames = {plain(one) for one in camera.records["image"].frames}
    if plain(info.header.frame_id) and plain(info.header.frame_id) not in frames | {""}:
        return "camera_info:=TOPIC of this camera, or trust_camera_info:=true where its frame_id is wrong"
    if min(fx, fy) <= 0:
        return "ros2 run camera_calibration cameracalibrator, or camera_matrix:=[fx, fy, cx, cy]"
    middle = f"{(width - 1) / 2:g}, {(height - 1) / 2:g}"
    if is_sdf_default(fx, fy, cx, cy):
        f = width / 2 / math.tan(USUAL_VIEW / 2)
        return (
            f"camera_matrix:=[f, f, {middle}] with f = {width / 2:g} / tan(horizontal_fov / 2), which is "
            f"[{f:.2f}, {f:.2f}, {middle}] for {USUAL_VIEW}; or the same in SDF's <lens><intrinsics>"
        )
    of = (info.width, info.height)
    if of == size or not all(of):
        of = _usual(2 * cx + 1), _usual(2 * cy + 1)
    sx, sy = width / of[0], height / of[1]
    scaled = f"[{fx * sx:.2f}, {fy * sy:.2f}, {(cx + 0.5) * sx - 0.5:.2f}, {(cy + 0.5) * sy - 0.5:.2f}]"
    return (
        f"camera_info:=TOPIC of pictures of {width}x{height}; or camera_matrix:={scaled} where both show the "
        "whole sensor"
    )


def _usual(size: float) -> float:
    """The width or height of a camera's pictures that is meant by one of about [px]."""
    near = min(USUAL_SIZES, key=lambda one: abs(one - size))
    return near if abs(near - size) < 0.02 * size else size


def transform(target: str, optical_frame: str, parents: Mapping[str, str]) -> str:
    """TF between the camera and the frame that points are wanted in."""
    known = {*parents, *parents.values()}
    if target not in known and known:
        roots = sorted(set(parents.values()) - set(parents))
        return f"target_frame:={roots[0]} (TF has no {target}; it has {', '.join(sorted(known)[:8])})"
    return f"{TRANSFORM} --x .. --y .. --z .. --frame-id {target} --child-frame-id {optical_frame}"


def apart(camera: WatchedCamera, settings: Settings) -> str:
    """Depth that has no picture's stamp."""
    images = camera.records["image"].stamps[-RECENT:]
    depths = camera.records["depth"].stamps[-RECENT:]
    if camera.records["depth"].unstamped:
        return STAMP
    steps = np.diff(np.unique(depths))
    uneven = len(steps) > 1 and steps.max() > 1.5 * steps.min()
    nearest = np.abs(images[:, None] - depths[None]).min(axis=1) * 1e-9
    within = float((nearest <= settings.depth_sync_tolerance).mean())
    if camera.depth_gaps.lost >= 0.1 or (
        uneven and within > 0.05
    ):  # those that come are of a picture's moment
        return losses(camera, "depth")
    spread = float(np.percentile(nearest, 90) - np.percentile(nearest, 10))
    if within < 0.5 and spread <= settings.depth_sync_tolerance:
        tolerance = math.ceil(float(np.percentile(nearest, 90)) * 1e3 + 1) / 1e3
        return f"depth_sync_tolerance:={tolerance:g} (points of what moves are then late by that)"
    return "one rate, and one trigger, for pictures and depth (RealSense: enable_sync:=true)"


def losses(camera: WatchedCamera, name: str) -> str:
    """What is lost on the way to a subscription."""
    used, publishers = camera.names[name], camera.publishers(name)
    if publishers and all(reliable for _, reliable in publishers):
        return f"qos_overrides.{used}.subscription.reliability:=reliable, or {PROFILE}"
    who = ", ".join(sorted({one for one, _ in publishers})) or "the driver"
    return f"{PROFILE}; {who} publishes best effort, so a reliable subscription would hear nothing"


def alignment(camera: WatchedCamera, belonging: Belonging, found: CameraTopics, depth: DepthMessage) -> str:
    """Depth that is not the picture's."""
    own = belonging.frame_of(InputClaims("depth", depth.header.frame_id))
    if camera.depth_info is None and "depth/camera_info" in camera.names:
        if found.depth_info:
            return f"depth_camera_info:={found.depth_info}"
        if found.depth and found.depth != camera.names["depth"]:
            return f"depth:={found.depth}"
        return (
            "depth:=TOPIC of aligned depth (RealSense: align_depth.enable:=true), or depth_camera_info:=TOPIC of "
            "depth's own calibration, or depth_is_aligned:=true where it is aligned and only its frame_id is wrong"
        )
    if own != belonging.optical_frame:
        return (
            f"{TRANSFORM} --x .. --y .. --z .. --frame-id {belonging.optical_frame} --child-frame-id {own}; or "
            "depth_frame:=FRAME where that of its header is wrong"
        )
    return "depth_camera_info:=TOPIC of the calibration beside the depth image"
