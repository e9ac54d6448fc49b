# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What `launch/gazebo.launch.py` starts for a world: computed from the world's file alone."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from molmo_ros.gazebo.bridge_file import bridge_arguments, frame_of
from molmo_ros.gazebo.release import Release
from molmo_ros.gazebo.sdf_pose import WorldFileError
from molmo_ros.gazebo.simulated_camera import SimulatedCamera
from molmo_ros.gazebo.world_file import World
from molmo_ros.geometry.rigid_transform import RigidTransform

LONGEST_CLOCK_RATE = 300.0
"""More messages a second on /clock [Hz] cost every Python node a tenth of a core and more."""


@dataclass(frozen=True)
class LaunchPlan:
    """What is started.

    Attributes:
        gazebo_arguments: The command line after `gz sim` or `ign gazebo`.
        bridge: The bridge's command line.
        bridge_remappings: Topics of its node that have another name in ROS.
        transforms: Of each fixed transform parent, child and parent_from_child.
        molmo: Arguments of `launch/molmo.launch.py`.
        warnings: What in the world will cost points, each with its cure.
    """

    gazebo_arguments: str
    bridge: tuple[str, ...]
    bridge_remappings: tuple[tuple[str, str], ...]
    transforms: tuple[tuple[str, str, RigidTransform], ...]
    molmo: dict[str, str]
    warnings: tuple[str, ...] = field(default=())


def world_path(world: str, shipped: Path, release: Release) -> Path:
    """The file of a world that is named or given by its path.

    Args:
        world: `tabletop`, `shelf`, or a path.
        shipped: The folder of the package's own worlds, with one folder for each release.

    Raises:
        WorldFileError: There is none, with the names that there are.
    """
    own = shipped / release.name / f"{world}.sdf"
    for path in (own, Path(world).expanduser()):
        if path.is_file():
            return path.absolute()
    names = sorted(path.stem for path in (shipped / release.name).glob("*.sdf"))
    raise WorldFileError(f"world:={world} is refused: it is no file, and none of {names}")


def plan_launch(
    path: Path,
    release: Release,
    *,
    headless: bool = False,
    wanted: Sequence[str] = (),
    target_frame: str = "",
) -> LaunchPlan:
    """Plan the launch of a world's file.

    Args:
        path: The world.
        release: The Gazebo that will run it.
        headless: Without a window; pictures are rendered all the same.
        wanted: Topics of the cameras to look with; empty means all that the world has.
        target_frame: Of the points; empty means the world's own frame.

    Raises:
        WorldFileError: The world cannot be read, has no RGB-D camera or not those that are wanted.
        OSError: It cannot be read.
    """
    world = World.read(path)
    cameras = _chosen(world, path, [topic.strip("/") for topic in wanted])
    bridge, remappings = bridge_arguments(world, release)
    window = "-s --headless-rendering " if headless else ""
    return LaunchPlan(
        gazebo_arguments=f"-r {window}{shlex.quote(str(path))}",
        bridge=tuple(bridge),
        bridge_remappings=tuple(remappings),
        transforms=tuple(transform for camera in cameras for transform in _transforms(camera, world)),
        molmo=_molmo_arguments(cameras, target_frame or world.name),
        warnings=tuple(_warnings(world, cameras)),
    )


def transform_arguments(parent: str, child: str, parent_from_child: RigidTransform) -> list[str]:
    """The command line of tf2_ros' `static_transform_publisher`."""
    names = ("--x", "--y", "--z", "--qx", "--qy", "--qz", "--qw")
    values = (*parent_from_child.translation, *parent_from_child.rotation)
    numbers = [word for name, value in zip(names, values, strict=True) for word in (name, f"{value:.9f}")]
    return [*numbers, "--frame-id", parent, "--child-frame-id", child]


def _chosen(world: World, path: Path, wanted: list[str]) -> list[SimulatedCamera]:
    if not world.cameras:
        included = f" (what it includes is not read: {', '.join(world.included)})" if world.included else ""
        if world.other_cameras:
            included += f", which gives colour and depth, but {', '.join(world.other_cameras)}"
        raise WorldFileError(
            f"{path} has no <sensor type='rgbd_camera'>{included}: docs/gazebo.md has the lines of one, "
            "and how to start bridge and node for a camera of a robot"
        )
    by_topic = {camera.topic: camera for camera in world.cameras}
    if missing := [topic for topic in wanted if topic not in by_topic]:
        raise WorldFileError(f"cameras:={','.join(missing)} is refused: {path} has {', '.join(by_topic)}")
    if len(by_topic) < len(world.cameras):
        raise WorldFileError(f"two cameras of {path} have one <topic>: give each its own")
    chosen = [by_topic[topic] for topic in wanted or by_topic]
    frames = [camera.optical_frame for camera in chosen]
    if shared := sorted({frame for frame in frames if frames.count(frame) > 1}):
        raise WorldFileError(
            f"cameras of {path} have one <optical_frame_id>, {shared[0]}: give each its own, or choose one by cameras:="
        )
    return chosen


def _transforms(camera: SimulatedCamera, world: World) -> list[tuple[str, str, RigidTransform]]:
    """What TF lacks between the camera's optical frame and what tells where the camera is."""
    if camera.publishes_pose:  # Gazebo tells the model's place in the world, through the bridge
        return [(frame_of(camera.model), camera.optical_frame, camera.model_from_optical)]
    if camera.static:
        return [(world.name, camera.optical_frame, camera.world_from_optical)]
    link_from_optical = camera.model_from_link.inverse() @ camera.model_from_optical
    return [(camera.link, camera.optical_frame, link_from_optical)]


def _molmo_arguments(cameras: list[SimulatedCamera], target_frame: str) -> dict[str, str]:
    """One set of arguments for a camera or several: topics differ by the camera's name alone."""
    several = len(cameras) > 1
    topics = "/{camera}" if several else f"/{cameras[0].topic}"
    if several and (odd := [camera.topic for camera in cameras if camera.topic != camera.name]):
        raise WorldFileError(
            f"the topic {odd[0]!r} is refused beside other cameras: letters, digits and _ only, as a camera's name"
        )
    frames = [
        f"{camera.name}={camera.optical_frame}" if several else camera.optical_frame for camera in cameras
    ]
    arguments = {
        "image": f"{topics}/image",
        "depth": f"{topics}/depth_image",
        "camera_info": f"{topics}/camera_info",
        "optical_frame": " ".join(frames),
        "target_frame": target_frame,
        "use_sim_time": "true",
    }
    if several:
        arguments["cameras"] = ",".join(camera.name for camera in cameras)
    lens = cameras[0].calibration
    if all(camera.calibration == lens for camera in cameras):
        arguments["camera_matrix"] = ",".join(
            f"{value:.6f}" for value in (lens.fx, lens.fy, lens.cx, lens.cy)
        )
    return arguments


def _warnings(world: World, cameras: list[SimulatedCamera]) -> list[str]:
    said = []
    if "sensors" not in world.systems:
        said.append(
            f"the world {world.name!r} loads no sensors system, so no camera of it publishes a picture: "
            "docs/gazebo.md has the line"
        )
    if 1 / world.step > LONGEST_CLOCK_RATE:
        said.append(
            f"/clock comes {1 / world.step:.0f} times a second, at each step of the physics: "
            "<max_step_size>0.004</max_step_size> spares every node of the robot"
        )
    for camera in cameras:
        if not camera.static and not camera.publishes_pose:
            said.append(
                f"the camera {camera.topic!r} is on {camera.model!r}, which may move: TF up to its link "
                f"{camera.link!r} is to come from the robot"
            )
        if "optical" not in camera.frame:
            said.append(
                f"the camera {camera.topic!r} names no optical frame: its points are in {camera.optical_frame!r}; "
                f"<optical_frame_id>{camera.optical_frame}</optical_frame_id> in its <camera> says so to everybody"
            )
    if len({camera.calibration for camera in cameras}) > 1:
        said.append(
            "the cameras have several lenses, so camera_info is taken as it comes; before Gazebo 8.1 that is SDF's "
            "default, which is refused: name one with cameras:="
        )
    return said
