# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is asked about in a world, as its YAML file says, and the truth about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from molmo_ros.gazebo.launch_plan import world_path
from molmo_ros.gazebo.point_judgement import TrueView
from molmo_ros.gazebo.release import Release
from molmo_ros.gazebo.sdf_pose import WorldFileError
from molmo_ros.gazebo.simulated_camera import SimulatedCamera
from molmo_ros.gazebo.solid import Solid
from molmo_ros.gazebo.world_file import World
from molmo_ros.geometry.rigid_transform import RigidTransform

KEYS = {"world", "camera", "objects", "absent", "boxes", "arguments"}


@dataclass(frozen=True)
class QuestionList:
    """A world and what is asked about it.

    Attributes:
        path: The world's file.
        camera: The one that looks.
        queries: Of each object's model its words.
        absent: Words for what is not there.
        arguments: Of the launch file, besides.
        solids: Of each object, and of what else is known, its surfaces.
    """

    path: Path
    world: World
    camera: SimulatedCamera
    queries: dict[str, str]
    absent: list[str]
    arguments: dict[str, str]
    solids: dict[str, tuple[Solid, ...]]

    @classmethod
    def read(cls, file: Path, shipped: Path, release: Release) -> QuestionList:
        """Read a YAML file: `world`, `objects` (model: words), `absent` (words), `camera` (a topic) of several,
        `arguments` of the launch file.

        `boxes` (model: [x, y, z]) are the sizes [m] of models that are meshes, around their origins. The world is a
        name or a path, from the file's folder.

        Args:
            file: The list.
            shipped: The folder of the package's own worlds.
            release: The Gazebo that runs it.

        Raises:
            WorldFileError: It asks about what the world has not, or about what nothing tells the shape or place of.
            OSError: A file cannot be read.
        """
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
        if not isinstance(said, dict) or not {"world", "objects"} <= set(said) <= KEYS:
            raise WorldFileError(f"{file} takes world and objects, and of {sorted(KEYS)} what else is wanted")
        beside = file.parent / said["world"]
        path = beside.absolute() if beside.is_file() else world_path(said["world"], shipped, release)
        world = World.read(path)
        boxes = {name: (Solid("box", tuple(size)),) for name, size in said.get("boxes", {}).items()}
        solids = {one.name: one.solids for one in world.objects if one.solids} | boxes
        for name in said["objects"]:
            one = world.object_named(name)
            if name not in solids:
                raise WorldFileError(
                    f"{file}: {name} has no box, sphere or cylinder: boxes takes its size, [x, y, z]"
                )
            if not one.static and not one.publishes_pose:
                raise WorldFileError(f"{file}: {name} moves and has no PosePublisher that tells where it is")
        camera = _camera(world, str(said.get("camera", "")).strip("/"))
        return cls(
            path, world, camera, said["objects"], said.get("absent", []), said.get("arguments", {}), solids
        )

    def view(self, poses: Mapping[str, RigidTransform] | None = None) -> TrueView:
        """What the camera sees, in the world's frame.

        Args:
            poses: Where models are (world_from_model); those that it does not name are where they were at the start.
        """
        places = {one.name: one.world_from_model for one in self.world.objects} | dict(poses or {})
        world_from_camera = places.get(self.camera.model) or self.camera.world_from_model
        return TrueView(
            camera=self.camera.calibration,
            world_from_optical=world_from_camera @ self.camera.model_from_optical,
            frame=self.world.name,
            world_from_frame=RigidTransform(),
            solids={name: solids for name, solids in self.solids.items() if places.get(name)},
            world_from_model={name: place for name, place in places.items() if place},
        )


def _camera(world: World, topic: str) -> SimulatedCamera:
    for camera in world.cameras:
        if topic in ("", camera.topic):
            return camera
    raise WorldFileError(
        f"the world {world.name!r} has no camera {topic!r}, but {[c.topic for c in world.cameras]}"
    )
