# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The objects at an answer's points, how to take hold of them, and the room at its places."""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from geometry_msgs.msg import Point, Vector3
from molmo_msgs.msg import ObjectPoint, ObjectPointArray, StageTime

from molmo_ros.geometry import RigidTransform
from molmo_ros.geometry.frame_names import is_named_optical
from molmo_ros.manipulation.grasp import ObjectGrasps
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.manipulation.placing import FreePlace, free_places
from molmo_ros.manipulation.scene_grasps import plan_grasps
from molmo_ros.node.messages.object_points import duration
from molmo_ros.node.messages.object_regions import with_regions, without_regions
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.found_objects import FoundObjects
from molmo_ros.node.records.surroundings import Surroundings
from molmo_ros.node.records.view import View
from molmo_ros.node.seams.node_log import NodeLog
from molmo_ros.regions.region import ObjectRegion, SceneRegions
from molmo_ros.regions.scene import find_regions

FAILURES_LOGGED = 5.0
"""How often failures are logged [s]."""
NO_DEPTH = "there is no depth of the picture"


class ObjectFinder:
    """Looks for the objects at all points of one picture at once. For one thread at a time.

    Args:
        settings: Returns the parameters.
        log: The node's logger.
    """

    def __init__(self, settings: Callable[[], Settings], log: NodeLog) -> None:
        self._settings, self._log = settings, log

    def find(self, array: ObjectPointArray, view: View, *, grasps: bool) -> FoundObjects:
        """The objects at the points, or why they are not known. Never raises for what was seen.

        Args:
            array: The points; left as it is.
            view: The picture that they are about.
            grasps: Whether ways to take hold of them are wanted.
        """
        surroundings = view.surroundings
        if surroundings is None:
            return not_found(array, view, lambda point: point.reason or NO_DEPTH)
        if not array.points:
            return FoundObjects(array, view)
        try:
            return self._find(array, view, surroundings, grasps)
        except Exception as error:  # the points stand, whatever is wrong with their objects
            self._log.error(traceback.format_exc(), throttle_duration_sec=FAILURES_LOGGED)
            reason = f"the objects could not be looked for: {type(error).__name__}: {error}"
            return replace(not_found(array, view, lambda _point: reason), error=reason)

    def _find(
        self, array: ObjectPointArray, view: View, surroundings: Surroundings, grasps: bool
    ) -> FoundObjects:
        settings, started = self._settings(), time.perf_counter()
        pixels = _pixels(array.points)
        scene = find_regions(
            surroundings.depth,
            surroundings.camera,
            pixels,
            minimum=settings.min_depth,
            maximum=settings.max_depth,
        )
        places = _place_numbers(array)
        rooms = free_places(scene, pixels[places], up=_up(surroundings)) if places else ()
        scene = _without_objects(scene, places)
        filled = with_regions(array, scene.regions, surroundings)
        for number, room in zip(places, rooms, strict=True):
            filled.points[number] = _placed(filled.points[number], room, surroundings)
        if not filled.frame_id and any(point.has_position for point in filled.points):
            filled.frame_id = surroundings.frame_id
        timing_ms = {"regions": (time.perf_counter() - started) * 1e3}
        planned = None
        if grasps:
            started = time.perf_counter()
            planned = self._plan(scene, settings)
            timing_ms["grasps"] = (time.perf_counter() - started) * 1e3
        filled.timings = [
            *array.timings,
            *(StageTime(stage=stage, duration=duration(ms)) for stage, ms in timing_ms.items()),
        ]
        return FoundObjects(filled, view, scene, planned, timing_ms)

    def _plan(self, scene: SceneRegions, settings: Settings) -> tuple[ObjectGrasps, ...]:
        gripper = Gripper(
            opening=settings.gripper_opening,
            finger_thickness=settings.finger_thickness,
            finger_width=settings.finger_width,
            finger_depth=settings.finger_depth,
            hand_width=settings.hand_width,
            hand_thickness=settings.hand_thickness,
        )
        try:
            return plan_grasps(scene, gripper)
        except Exception as error:  # the regions stand
            self._log.error(traceback.format_exc(), throttle_duration_sec=FAILURES_LOGGED)
            reason = f"no grasps could be planned: {type(error).__name__}: {error}"
            return tuple(ObjectGrasps(reason=reason, suction_reason=reason) for _ in scene.regions)


def not_found(array: ObjectPointArray, view: View, reason: Callable[[ObjectPoint], str]) -> FoundObjects:
    """The points without their objects.

    Args:
        array: The points; left as it is.
        view: The picture that they are about.
        reason: Why, of a point.
    """
    return FoundObjects(without_regions(array, reason), view)


def _pixels(points: Sequence[ObjectPoint]) -> np.ndarray:
    """float64 [n, 2] column and row, whole numbers at pixel centres: Molmo's pixels are 0 at the image's edge."""
    return np.array([(point.pixel.x, point.pixel.y) for point in points], np.float64).reshape(-1, 2) - 0.5


def _place_numbers(array: ObjectPointArray) -> list[int]:
    """Which points, from 0, are places to put something."""
    kinds = {state.query: state.kind for state in array.queries}
    return [
        number
        for number, point in enumerate(array.points)
        if kinds.get(point.query or array.query, array.kind) == ObjectPointArray.PLACE
    ]


def _without_objects(scene: SceneRegions, places: Sequence[int]) -> SceneRegions:
    """The scene in which places are no objects, whatever they are on: nobody wants to take hold of them."""
    regions = list(scene.regions)
    for number in places:
        regions[number] = ObjectRegion.none(
            regions[number].on, "a place is no object", regions[number].support
        )
    return replace(scene, regions=tuple(regions))


def _up(surroundings: Surroundings) -> tuple[float, float, float] | None:
    """Where up is in the optical frame; None where no robot's frame says so (REP-103: there z is up)."""
    target_from_optical = surroundings.target_from_optical
    if target_from_optical is None or is_named_optical(surroundings.frame_id):
        return None
    x, y, z = target_from_optical.inverse().rotate(np.array([(0.0, 0.0, 1.0)]))[0].tolist()
    return x, y, z


def _placed(point: ObjectPoint, room: FreePlace, surroundings: Surroundings) -> ObjectPoint:
    """A place with the room that is there, or the reason why there is none."""
    filled = copy.copy(point)
    filled.on = room.on.value
    filled.free_radius, filled.support_height = 0.0, 0.0
    if not room.valid:
        filled.region_reason = room.reason
        return filled
    assert room.support is not None and room.position is not None
    to_target = surroundings.target_from_optical or RigidTransform()
    x, y, z = to_target.apply(np.array([room.position]))[0].tolist()
    filled.has_position, filled.position, filled.reason = True, Point(x=x, y=y, z=z), ""
    x, y, z = to_target.rotate(np.array([room.support.normal]))[0].tolist()
    filled.has_normal, filled.normal = True, Vector3(x=x, y=y, z=z)
    filled.free_radius = float(room.free_radius)
    filled.support_height = room.height(surroundings.target_from_optical)
    return filled
