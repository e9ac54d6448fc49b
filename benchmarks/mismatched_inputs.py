# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How far off points are when inputs do not belong together, and which of them get metres nevertheless.

    python -m benchmarks.mismatched_inputs [--scenes 3]

Simulated tables are seen by a colour camera and by a depth camera beside it; calibrations are of other resolutions;
frames are a simulator's; stamps are missing, pictures come late, clocks go back. The truth is where the ray of the
pixel meets the surface. `unchecked` is the error of a point that is placed by these inputs without a look at whether
they belong together.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from molmo_ros.geometry import PinholeCamera, RigidTransform, TransformBuffer
from molmo_ros.geometry.optical_frame import BODY_FROM_OPTICAL
from molmo_ros.geometry.principal_point import contradiction
from molmo_ros.geometry.quaternion import from_matrix
from molmo_ros.molmo.answer import Point
from molmo_ros.node.answers.locate import DepthReading, locate_points
from molmo_ros.node.answers.locator import Locator
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.cameras.image_transport import depth_of
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.sim.renderer import Rendering, render
from molmo_ros.sim.scene import Scene
from molmo_ros.sim.sim_camera import camera_info_message, image_message

WIDE, CLASSIC = (424, 240), (320, 240)
SIZES = (
    (160, 120),
    (212, 120),
    (320, 180),
    (320, 240),
    (424, 240),
    (480, 270),
    (480, 360),
    (640, 360),
    (640, 400),
)
SIZES += ((640, 480), (848, 480), (1280, 720))
LARGER = ((800, 600), (960, 540), (1024, 768), (1280, 800), (1280, 960), (1920, 1080))
STAMP = 100_000_000_000
"""[ns]"""
COLOUR, DEPTH = "camera_color_optical_frame", "camera_depth_optical_frame"
GAZEBO = "camera/link/rgbd"


class StaticTransforms:
    """What the locator asks of the node's transforms, from a buffer."""

    def __init__(self) -> None:
        self.buffer = TransformBuffer()

    def lookup(self, target: str, source: str, stamp: int, _patience: float) -> RigidTransform:
        return self.buffer.lookup(target, source, stamp)

    def parents(self) -> dict[str, str]:
        return self.buffer.parents()


@dataclass
class PlacementErrors:
    """What came of the inputs of one kind.

    Attributes:
        placed: Errors of the points that got metres [m].
        refused: Reasons of those that did not.
        unchecked: Errors of all of them, placed without a check [m].
    """

    placed: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unchecked: list[float] = field(default_factory=list)


@dataclass
class CameraMessages:
    """A scene seen by the colour camera, as messages that belong together.

    Attributes:
        scene: The scene; its camera is the colour camera.
        frame: What the renderer made of it.
        image, depth, info: The messages.
        pixels: [n, 2] column and row of one pixel of each object.
        truth: [n, 3] where their rays meet the surface, in the optical frame [m].
    """

    scene: Scene
    frame: Rendering
    image: Any
    depth: Any
    info: Any
    pixels: np.ndarray
    truth: np.ndarray

    @classmethod
    def of(cls, scene: Scene, size: tuple[int, int], stamp: int = STAMP) -> CameraMessages:
        """The view at a size [px] and a time [ns]."""
        frame = render(scene, *size)
        pixels = np.array([_inside(frame.segmentation == index) for index in range(len(scene.objects))])
        depths = frame.depth[pixels[:, 1], pixels[:, 0]].astype(np.float64)
        rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(frame.intrinsics).T
        messages = (
            image_message(frame.rgb, "rgb8"),
            image_message(frame.depth, "32FC1"),
            camera_info_message(frame),
        )
        for message in messages:
            stamped(message, stamp)
        return cls(scene, frame, *messages, pixels, rays * depths[:, None])

    def beside(self, metres: float) -> Any:
        """The depth image of a camera so far to the right, of the same lens, under a frame of its own."""
        own = self.scene.camera
        self.scene.camera = replace(own, position=own.position + own.world_from_optical[:, 0] * metres)
        height, width = self.frame.depth.shape
        message = image_message(render(self.scene, width, height).depth, "32FC1")
        self.scene.camera = own
        message.header.frame_id = DEPTH
        return stamped(message, STAMP)


class Inputs:
    """A camera of the node, fed with messages, and the node's parameters."""

    def __init__(self, transforms: StaticTransforms | None = None, **parameters: Any) -> None:
        self.settings = Settings.of({"depth_patience": 0.0, "transform_patience": 0.0} | parameters)
        self.camera = CameraInput("camera", "", lambda *_: None)
        self.transforms = transforms or StaticTransforms()

    def place(self, image: Any, pixels: np.ndarray, target: str = "") -> tuple[list[Any], Locator]:
        """The points of some pixels of a picture."""
        stamp = image.header.stamp.sec * 10**9 + image.header.stamp.nanosec
        self.camera.depths.want(stamp)
        locator = Locator(
            self.camera,
            image.header,
            (image.width, image.height),
            target,
            settings=self.settings,
            transforms=self.transforms,
            find_depth=lambda: self.camera.depths.collect(self.settings.depth_sync_tolerance, 0.0),
        )
        return locator.locate([Point(u + 0.5, v + 0.5) for u, v in pixels.tolist()]), locator


def stamped(message: Any, stamp: int) -> Any:
    """The message with a stamp [ns]."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
    return message


def _inside(mask: np.ndarray) -> list[int]:
    """Column and row of the pixel of a mask that is nearest to its centroid."""
    rows, columns = np.nonzero(mask)
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return [int(columns[nearest]), int(rows[nearest])]


def measure(
    results: dict[str, PlacementErrors],
    kind: str,
    view: CameraMessages,
    inputs: Inputs,
    target: str = "",
    **wrong: Any,
) -> None:
    """Places the objects of a view by its messages, some of them replaced by wrong ones, and notes the errors."""
    messages = {"image": view.image, "depth": view.depth, "info": view.info} | wrong
    inputs.camera.on_info(messages["info"])
    inputs.camera.on_depth(messages["depth"])
    points, _ = inputs.place(messages["image"], view.pixels, target)
    result = results.setdefault(kind, PlacementErrors())
    target_from_optical = world_from_optical(view.scene) if target else RigidTransform()
    truth = target_from_optical.apply(view.truth)
    for point, right in zip(points, truth, strict=True):
        if point.xyz is None:
            result.refused.append(point.reason)
        else:
            result.placed.append(float(np.linalg.norm(point.xyz - right)))
    k, depth = messages["info"].k, depth_of(messages["depth"])
    if target:  # a body frame taken for an optical one
        target_from_named = inputs.transforms.lookup(target, messages["image"].header.frame_id, STAMP, 0.0)
        result.unchecked += np.linalg.norm(target_from_named.apply(view.truth) - truth, axis=1).tolist()
        return
    camera = PinholeCamera(k[0], k[4], k[2], k[5], depth.shape[1], depth.shape[0])
    pixels = [Point(u + 0.5, v + 0.5) for u, v in view.pixels.tolist()]
    for point, right in zip(locate_points(pixels, depth, camera, DepthReading()), truth, strict=True):
        if point.xyz is not None:
            result.unchecked.append(float(np.linalg.norm(point.xyz - right)))


def world_from_optical(scene: Scene) -> RigidTransform:
    """Where the camera is."""
    x, y, z = scene.camera.position.tolist()
    return RigidTransform((x, y, z), from_matrix(scene.camera.world_from_optical))


def calibration(view: CameraMessages, size: tuple[int, int], rng: np.random.Generator) -> Any:
    """The view's calibration as it would be at another resolution of the same sensor, which covers that of the view:
    scaled to the width, cut in height, its centre a few pixels off; it claims the view's size."""
    info = camera_info_message(view.frame)
    factor = size[0] / view.image.width
    x, y = rng.uniform(-0.006, 0.006, 2) * size[0]
    info.k[0], info.k[4] = info.k[0] * factor, info.k[4] * factor
    info.k[2], info.k[5] = size[0] / 2 - 0.5 + x, size[1] / 2 - 0.5 + y
    return info


def other_cameras(view: CameraMessages, results: dict[str, PlacementErrors]) -> None:
    """Depth, or the calibration, of a depth camera beside the colour camera."""
    measure(results, "all of one camera", view, Inputs())
    for metres in (0.015, 0.05):
        measure(
            results, f"depth camera {metres * 1e3:.0f} mm beside", view, Inputs(), depth=view.beside(metres)
        )
        transforms = StaticTransforms()
        transforms.buffer.set(COLOUR, DEPTH, 0, RigidTransform((metres, 0.0, 0.0)), static=True)
        known, own = Inputs(transforms), camera_info_message(view.frame)
        own.header.frame_id = DEPTH
        known.camera.on_depth_info(own)
        kind = f"depth camera {metres * 1e3:.0f} mm beside, its calibration and TF known"
        measure(results, kind, view, known, depth=view.beside(metres))
    info = camera_info_message(view.frame)
    info.header.frame_id = DEPTH
    info.k[0], info.k[4] = info.k[0] * 0.7, info.k[4] * 0.7
    measure(results, "calibration of the depth camera", view, Inputs(), info=info)


def other_resolutions(
    view: CameraMessages, results: dict[str, PlacementErrors], rng: np.random.Generator
) -> None:
    """K of another resolution: claimed to be of this one, with binning, and a simulator's default."""
    size = view.image.width, view.image.height
    for other in SIZES:
        if other != size:
            measure(results, "K of another resolution", view, Inputs(), info=calibration(view, other, rng))
    for factor in (1, 4):
        info = calibration(view, (size[0] * factor, size[1] * factor), rng)
        info.width, info.height, info.binning_x, info.binning_y = 2 * size[0], 2 * size[1], 2, 2
        measure(results, "binned, K of another resolution", view, Inputs(), info=info)
    if size != CLASSIC:
        info = camera_info_message(view.frame)
        info.k[0], info.k[4], info.k[2], info.k[5] = 277.0, 277.0, 160.0, 120.0
        measure(results, "a simulator's default K", view, Inputs(), info=info)


def other_moments(view: CameraMessages, results: dict[str, PlacementErrors]) -> None:
    """Depth from before the camera moved by 50 mm, and from after it."""
    own = view.scene.camera
    view.scene.camera = replace(own, position=own.position + own.world_from_optical[:, 0] * 0.05)
    height, width = view.frame.depth.shape
    moved = render(view.scene, width, height).depth
    view.scene.camera = own

    def seen(stamp: int, depth: np.ndarray = moved) -> Any:
        return stamped(image_message(depth, "32FC1"), stamp)

    unstamped = {"image": view.image, "depth": seen(0), "info": view.info}
    stamped(view.image, 0)
    measure(results, "no stamps, the camera moves", view, Inputs(max_frame_age=0.0), **unstamped)
    stamped(view.image, STAMP)

    # Every depth image has the same stamp; the last one is the picture's.
    inputs = Inputs()
    for _ in range(5):
        inputs.camera.on_depth(seen(STAMP))
    measure(results, "one stamp for all, the last depth is right", view, inputs)

    # The picture comes 0.8 s late, or waits as long: depth at 30 Hz goes on.
    inputs, late = Inputs(), 0
    inputs.camera.on_depth(view.depth)
    for late in range(1, 25):
        inputs.camera.on_depth(seen(STAMP + late * 33_000_000))
    measure(results, "a late picture", view, inputs, depth=seen(STAMP + (late + 1) * 33_000_000))
    inputs = Inputs()
    inputs.camera.on_depth(view.depth)
    inputs.camera.on_image(view.image)
    for late in range(1, 200):
        inputs.camera.on_depth(seen(STAMP + late * 33_000_000))
    measure(results, "a picture that waited", view, inputs, depth=seen(STAMP + (late + 1) * 33_000_000))

    # The clock goes back by 50 s; depth of the time before comes late, and the picture's own is lost.
    inputs = Inputs()
    inputs.camera.now = lambda: STAMP - 20 * 10**9
    inputs.camera.jumped(50 * 10**9)
    measure(results, "depth from before a reset, its stamp comes again", view, inputs, depth=seen(STAMP))


def body_frames(view: CameraMessages, results: dict[str, PlacementErrors]) -> None:
    """A simulator's frame, x forward, in all headers; points are wanted in the world."""
    messages = {"image": view.image, "depth": view.depth, "info": view.info}
    for frame in (GAZEBO, "camera_link", "cam"):
        transforms = StaticTransforms()
        body_from_optical = RigidTransform(rotation=BODY_FROM_OPTICAL)
        world_from_body = world_from_optical(view.scene) @ body_from_optical.inverse()
        transforms.buffer.set("world", frame, 0, world_from_body, static=True)
        for message in messages.values():
            message.header.frame_id = frame
        measure(results, "a body frame, in TF", view, Inputs(transforms), "world", **messages)
        transforms.buffer.set(frame, "cam_optical", 0, body_from_optical, static=True)
        measure(
            results, "a body frame, its optical frame in TF", view, Inputs(transforms), "world", **messages
        )
        named = Inputs(transforms, optical_frame="cam_optical")
        measure(results, "a body frame, optical_frame set", view, named, "world", **messages)
    for message in messages.values():
        message.header.frame_id = COLOUR


def measured(seeds: Iterator[int] | range) -> dict[str, PlacementErrors]:
    """All kinds, over the scenes of some seeds."""
    results: dict[str, PlacementErrors] = {}
    rng = np.random.default_rng(0)
    for seed in seeds:
        scene = Scene.random(seed)
        for size in (WIDE, CLASSIC):
            view = CameraMessages.of(scene, size)
            other_cameras(view, results)
            other_resolutions(view, results, rng)
            other_moments(view, results)
            body_frames(view, results)
    return results


def unseen(centre: float, count: int = 200) -> tuple[int, int]:
    """Of matrices of one common resolution that are claimed to be of another: how many pass, and how many there were.

    Args:
        centre: How far off the sensor's centre the lens may be, as a share of the width.
        count: Matrices of each pair of resolutions.
    """
    rng, passed, total = np.random.default_rng(1), 0, 0
    for own, other in itertools.permutations((*SIZES, *LARGER), 2):
        for x, y in rng.uniform(-centre, centre, (count, 2)) * other[0]:
            focal, cx, cy = 0.9 * other[0], other[0] / 2 - 0.5 + x, other[1] / 2 - 0.5 + y
            passed += contradiction(focal, focal, cx, cy, *own) == ""
            total += 1
    return passed, total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=3)
    results = measured(range(parser.parse_args().scenes))
    print("| inputs | points | with metres | largest error | unchecked: median | p90 | largest |")
    print("|---|---|---|---|---|---|---|")
    for kind, one in results.items():
        wrong = sorted(one.unchecked)
        cells = (statistics.median(wrong), wrong[int(0.9 * (len(wrong) - 1))], wrong[-1])
        largest = f"{max(one.placed) * 1e3:.1f} mm" if one.placed else "-"
        counts = f"{len(one.placed) + len(one.refused)} | {len(one.placed)}"
        print(f"| {kind} | {counts} | {largest} | {' | '.join(f'{cell * 1e3:.1f} mm' for cell in cells)} |")
    print("\n| lens up to so much of the width off the centre | K of another resolution that passes |")
    print("|---|---|")
    for centre in (0.003, 0.006, 0.01):
        print("| {:.1%} | {} of {} |".format(centre, *unseen(centre)))


if __name__ == "__main__":
    main()
