# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A world's SDF file: its cameras and its objects.

Of an included model it knows the name and the place alone, and no mesh is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from molmo_ros.gazebo.sdf_pose import WorldFileError, pose_of
from molmo_ros.gazebo.simulated_camera import SimulatedCamera
from molmo_ros.gazebo.solid import Solid
from molmo_ros.geometry.rigid_transform import RigidTransform

DEFAULT_STEP = 0.001
"""Of the physics where a world does not say [s] (SDF)."""
DEFAULT_FOV = 1.047
SEEING = {"camera", "depth", "depth_camera", "wideanglecamera", "boundingbox_camera", "segmentation_camera"}
FRAME_ELEMENTS = ("camera/optical_frame_id", "gz_frame_id", "ignition_frame_id")
"""What names the frame of a sensor's messages, the strongest first."""


@dataclass(frozen=True)
class SimulatedObject:
    """A model that is no camera.

    Attributes:
        solids: Its primitives, those that are seen; where they are all meshes, those that collide.
        world_from_model: Its place at the start; None where the file writes it against another frame.
        publishes_pose: It has a PosePublisher that tells where it is.
    """

    name: str
    static: bool
    solids: tuple[Solid, ...]
    world_from_model: RigidTransform | None
    publishes_pose: bool


@dataclass(frozen=True)
class World:
    """What a world's file says.

    Attributes:
        name: The world's, which is also the frame of its models' poses.
        step: Simulated time between two messages on /clock [s].
        systems: The systems that it loads, without what is Gazebo's: `sensors`, `physics`, ...; none means Gazebo's own
            choice, which has no `sensors`.
        included: Models that it includes, by their URIs.
        other_cameras: Types of the sensors that see colour or depth alone.
    """

    name: str
    step: float
    systems: tuple[str, ...]
    cameras: tuple[SimulatedCamera, ...]
    objects: tuple[SimulatedObject, ...]
    included: tuple[str, ...]
    other_cameras: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> World:
        """Of an SDF file.

        Raises:
            WorldFileError: It is no SDF file with a world, or a camera in it is not fully described.
            OSError: It cannot be read.
        """
        try:
            root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        except (ElementTree.ParseError, UnicodeDecodeError) as error:
            raise WorldFileError(f"{path} is no XML: {error}") from None
        world = root.find("world")
        if root.tag != "sdf" or world is None:
            raise WorldFileError(f"{path} holds no <world> in an <sdf>")
        placed = list(_models(world, "", None, False))
        cameras = tuple(camera for model in placed for camera in _cameras(model))
        seeing = {camera.model for camera in cameras}
        return cls(
            name=world.get("name", ""),
            step=_number(world, "physics/max_step_size", DEFAULT_STEP),
            systems=tuple(_system(plugin) for plugin in world.findall("plugin")),
            cameras=cameras,
            objects=tuple(_object(model) for model in placed if model.name not in seeing),
            included=tuple(include.findtext("uri", "").strip() for include in world.iter("include")),
            other_cameras=tuple(sorted({sensor.get("type", "") for sensor in world.iter("sensor")} & SEEING)),
        )

    def object_named(self, name: str) -> SimulatedObject:
        """The object of this name; WorldFileError where there is none, with those that there are."""
        for one in self.objects:
            if one.name == name:
                return one
        raise WorldFileError(f"world {self.name!r} has no {name!r}, but {[one.name for one in self.objects]}")


class _Model(NamedTuple):
    name: str
    element: Element
    world_from_model: RigidTransform | WorldFileError
    static: bool


def _models(parent: Element, above: str, place: RigidTransform | None, static: bool) -> Iterator[_Model]:
    """The models in an element, included ones too, with those inside of them."""
    for element in (*parent.findall("model"), *parent.findall("include")):
        name = above + (element.get("name") or _name_of_included(element))
        here: RigidTransform | WorldFileError
        try:
            here = pose_of(element) if place is None else place @ pose_of(element)
        except WorldFileError as error:
            here = error
        stands = static or element.findtext("static", "").strip() in ("true", "1")
        yield _Model(name, element, here, stands)
        inner = here if isinstance(here, RigidTransform) else RigidTransform()
        yield from _models(element, f"{name}::", inner, stands)


def _name_of_included(include: Element) -> str:
    """What an included model is called: `<name>`, or that of its folder."""
    return (
        include.findtext("name", "").strip() or include.findtext("uri", "").strip().rstrip("/").split("/")[-1]
    )


def _cameras(model: _Model) -> Iterator[SimulatedCamera]:
    for link in model.element.findall("link"):
        for sensor in link.findall("sensor"):
            if sensor.get("type") in ("rgbd_camera", "rgbd"):
                yield _camera(model, link, sensor)


def _camera(model: _Model, link: Element, sensor: Element) -> SimulatedCamera:
    if isinstance(model.world_from_model, WorldFileError):
        raise model.world_from_model
    names = model.name, link.get("name", ""), sensor.get("name", "")
    frames = [sensor.findtext(element, "").strip() for element in FRAME_ELEMENTS]
    topic = sensor.findtext("topic", "").strip().strip("/")
    if not topic:
        raise WorldFileError(
            f"sensor {names[2]!r} of {names[0]!r} has no <topic>: give it <topic>camera</topic>"
        )
    camera = sensor.find("camera")
    if camera is None:
        raise WorldFileError(f"sensor {names[2]!r} of {names[0]!r} has no <camera>")
    return SimulatedCamera(
        topic,
        *names,
        frame=next(filter(None, frames), ""),
        width=int(_number(camera, "image/width", 320)),
        height=int(_number(camera, "image/height", 240)),
        horizontal_fov=_number(camera, "horizontal_fov", DEFAULT_FOV),
        rate=_number(sensor, "update_rate", 0.0),
        world_from_model=model.world_from_model,
        model_from_link=pose_of(link),
        link_from_sensor=pose_of(sensor),
        static=model.static,
        publishes_pose=_publishes_pose(model.element),
    )


def _object(model: _Model) -> SimulatedObject:
    place = model.world_from_model
    return SimulatedObject(
        model.name,
        model.static,
        _solids(model.element, "visual") or _solids(model.element, "collision"),
        place if isinstance(place, RigidTransform) else None,
        _publishes_pose(model.element),
    )


def _solids(model: Element, part: str) -> tuple[Solid, ...]:
    found = []
    for link in model.findall("link"):
        for element in link.findall(part):
            place = pose_of(link) @ pose_of(element)
            if (box := element.find("geometry/box")) is not None:
                x, y, z = map(float, box.findtext("size", "1 1 1").split())
                found.append(Solid("box", (x, y, z), place))
            if (ball := element.find("geometry/sphere")) is not None:
                found.append(Solid("sphere", (_number(ball, "radius", 1.0),), place))
            if (tin := element.find("geometry/cylinder")) is not None:
                size = _number(tin, "radius", 1.0), _number(tin, "length", 1.0)
                found.append(Solid("cylinder", size, place))
    return tuple(found)


def _publishes_pose(model: Element) -> bool:
    """Whether Gazebo tells where the model itself is, as a list of poses (a single one is not bridged)."""
    for plugin in model.findall("plugin"):
        said = {part.tag: (part.text or "").strip() in ("true", "1") for part in plugin}
        if _system(plugin) == "pose-publisher" and said.get("use_pose_vector_msg"):
            nested = said.get("publish_nested_model_pose", False)
            return nested and said.get("publish_model_pose", nested)
    return False


def _system(plugin: Element) -> str:
    """`pose-publisher` of `libgz-sim-pose-publisher-system.so` or `ignition-gazebo-pose-publisher-system`."""
    name = plugin.get("filename", "").removeprefix("lib").removesuffix(".so").removesuffix("-system")
    return name.removeprefix("gz-sim-").removeprefix("ignition-gazebo-")


def _number(element: Element, path: str, default: float) -> float:
    text = element.findtext(path, "").strip()
    try:
        return float(text) if text else default
    except ValueError:
        raise WorldFileError(f"<{path}> is {text[:80]!r}: it takes a number") from None
