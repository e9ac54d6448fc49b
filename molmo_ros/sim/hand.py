# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A free-flying hand with two sliding fingers: a parallel-jaw gripper without an arm, in MuJoCo.

Its frame is that of grasps: the origin midway between the fingertips, z the approach axis (from the hand to the
object), y the closing axis. A mocap body leads it by a weld, so that it yields a little to what it pushes against.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np

from molmo_ros.geometry import RigidTransform, quaternion

FORCE = 30.0
"""Of each finger at most [N]; catalogues of small electric grippers have 10 to 140."""
SLIDING_FRICTION = 0.9
"""Of rubber pads on dry things."""
SPEED, TURN_SPEED = 0.5, 2.0
"""Of the hand where nothing slower is asked for [m/s], [rad/s]."""
FINGER_SPEED = 0.1
"""[m/s]"""
STALLED = 0.002
"""Fingers slower than this [m/s] have met something, or the end of their way."""
HOME = RigidTransform((0.0, 0.0, 2.0), (1.0, 0.0, 0.0, 0.0))
"""Where it waits, in the world: pointing down, above all lights and cameras, so that it is in no picture of theirs."""
ARRIVED, BLOCKED = 0.001, 0.05
"""So near to its goal it is there, and so far from where it is led it stops: something is in the way [m]."""
PATIENCE = 0.5
"""How long fingers or hand may take beyond the time of the way itself [s]."""


@dataclass(frozen=True)
class HandMeasures:
    """The same measures [m] as a grasp is planned with.

    Attributes:
        opening: Largest distance between the pads.
        finger_thickness, finger_width: Of one finger along and across the closing axis.
        finger_depth: From the fingertips back to the hand's body.
        hand_width, hand_thickness: Of that body along and across the closing axis.
    """

    opening: float
    finger_thickness: float
    finger_width: float
    finger_depth: float
    hand_width: float
    hand_thickness: float


def hand_mjcf(measures: HandMeasures) -> str:
    """The sections of MJCF that add the hand to a scene; physics fine enough for what fingers hold."""
    half = measures.opening / 2
    thick, wide, deep = measures.finger_thickness / 2, measures.finger_width / 2, measures.finger_depth / 2
    pad = f'friction="{SLIDING_FRICTION} 0.02 0.002" condim="4" priority="1" solref="0.006 1" density="1500"'
    x, y, z, w = HOME.rotation
    home = f'pos="0 0 {HOME.translation[2]}" quat="{w} {x} {y} {z}"'
    fingers = "".join(
        f"""<body name="finger{number}" gravcomp="1">
          <joint name="finger{number}" type="slide" axis="0 {side} 0" range="0 {half}" limited="true" damping="4"
            armature="0.05"/>
          <geom type="box" size="{wide} {thick} {deep}" pos="0 {side * thick} {-deep}" rgba="0.15 0.15 0.17 1" {pad}/>
        </body>"""
        for number, side in enumerate((-1, 1))
    )
    motors = "".join(
        f'<position name="finger{number}" joint="finger{number}" kp="4000" kv="60" ctrlrange="0 {half}" '
        f'forcerange="{-FORCE} {FORCE}"/>'
        for number in (0, 1)
    )
    return f"""
      <option timestep="0.002" cone="elliptic" impratio="10"/>
      <worldbody>
        <body name="lead" mocap="true" {home}/>
        <body name="hand" gravcomp="1" {home}><freejoint/>
          <geom name="palm" type="box" size="{measures.hand_thickness / 2} {measures.hand_width / 2} 0.015"
            pos="0 0 {-2 * deep - 0.015}" {pad} rgba="0.75 0.76 0.78 1"/>
          <geom name="wrist" type="cylinder" size="0.02 0.04" pos="0 0 {-2 * deep - 0.07}" {pad}
            rgba="0.4 0.42 0.46 1"/>
          {fingers}
        </body>
      </worldbody>
      <equality>
        <weld body1="lead" body2="hand" solref="0.01 1" solimp="0.95 0.99 0.001"/>
        <joint joint1="finger0" joint2="finger1" polycoef="0 1 0 0 0" solref="0.005 1"/>
      </equality>
      <contact><exclude body1="finger0" body2="finger1"/></contact>
      <actuator>{motors}</actuator>"""


class Hand:
    """The hand of a model whose MJCF has it, in one of its states.

    Each motion is an iterator that advances the simulation by one step at a time, so that whoever moves the hand can
    look at every moment of it. Nothing moves but by them.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData):
        self._model, self._data = model, data
        self._body = self._model.body("hand").id
        self._lead = self._model.body_mocapid[self._model.body("lead").id]
        self._free = int(self._model.jnt_qposadr[self._model.body_jntadr[self._body]])
        self._fingers = [int(self._model.joint(f"finger{number}").qposadr[0]) for number in (0, 1)]
        self._speeds = [int(self._model.joint(f"finger{number}").dofadr[0]) for number in (0, 1)]
        self._motors = [self._model.actuator(f"finger{number}").id for number in (0, 1)]
        self._limit = float(self._model.joint("finger0").range[1])
        self.geoms = np.flatnonzero(
            np.isin(
                self._model.geom_bodyid, [self._body, *(self._model.body(f"finger{n}").id for n in (0, 1))]
            )
        )
        """Ids of its geoms."""

    @property
    def world_from_hand(self) -> RigidTransform:
        w, x, y, z = self._data.xquat[self._body].tolist()
        px, py, pz = self._data.xpos[self._body].tolist()
        return RigidTransform((px, py, pz), (x, y, z, w))

    @property
    def opening(self) -> float:
        """Distance between the pads [m]."""
        return float(sum(self._data.qpos[one] for one in self._fingers))

    @property
    def force(self) -> float:
        """With which a finger presses, at present [N]."""
        return float(max(abs(self._data.actuator_force[one]) for one in self._motors))

    def put(self, world_from_hand: RigidTransform, opening: float) -> None:
        """Sets it somewhere at once, at rest, whatever else is there."""
        self._lead_to(world_from_hand)
        x, y, z, w = world_from_hand.rotation
        self._data.qpos[self._free : self._free + 7] = (*world_from_hand.translation, w, x, y, z)
        first = int(self._model.body_dofadr[self._body])
        self._data.qvel[first : first + 8] = 0
        for joint, motor in zip(self._fingers, self._motors, strict=True):
            self._data.qpos[joint] = self._data.ctrl[motor] = min(opening / 2, self._limit)
        mujoco.mj_forward(self._model, self._data)

    def move(self, world_from_hand: RigidTransform, speed: float = SPEED) -> Iterator[None]:
        """Goes straight to a pose, no faster than a speed [m/s], and waits until it is there, or cannot get there."""
        start = self._target()
        way = float(np.linalg.norm(np.subtract(world_from_hand.translation, start.translation)))
        turn = quaternion.product(quaternion.conjugate(start.rotation), world_from_hand.rotation)
        angle = 2 * math.acos(min(1.0, abs(turn[3])))
        # A smooth start and end: its middle is half as fast again as the mean.
        duration = 1.5 * max(way / speed, angle / TURN_SPEED)
        steps = max(1, math.ceil(duration / self._model.opt.timestep))
        for step in range(1, steps + 1):
            part = step / steps
            self._lead_to(start.interpolate(world_from_hand, part * part * (3 - 2 * part)))
            yield from self.wait(self._model.opt.timestep)
            if self._off(self._target()) > BLOCKED:
                self._lead_to(self.world_from_hand)
                return
        for _ in range(round(PATIENCE / self._model.opt.timestep)):
            if self._off(world_from_hand) < ARRIVED:
                return
            yield from self.wait(self._model.opt.timestep)

    def open(self, opening: float) -> Iterator[None]:
        """Moves the fingers until they are so far apart [m], or something between or beside them holds them."""
        goal = min(max(opening / 2, 0.0), self._limit)
        pace = FINGER_SPEED * self._model.opt.timestep
        steps = math.ceil(self._limit / pace) + round(PATIENCE / self._model.opt.timestep)
        still = 0.0
        for _ in range(steps):
            for motor in self._motors:
                told = float(self._data.ctrl[motor])
                self._data.ctrl[motor] = told + min(max(goal - told, -pace), pace)
            yield from self.wait(self._model.opt.timestep)
            slow = max(abs(float(self._data.qvel[one])) for one in self._speeds) < STALLED
            still = still + self._model.opt.timestep if slow else 0.0
            if still > 0.1 and all(self._data.ctrl[motor] == goal for motor in self._motors):
                return

    def wait(self, seconds: float) -> Iterator[None]:
        """Lets time pass."""
        for _ in range(round(seconds / self._model.opt.timestep)):
            mujoco.mj_step(self._model, self._data)
            yield

    def _lead_to(self, world_from_hand: RigidTransform) -> None:
        x, y, z, w = world_from_hand.rotation
        self._data.mocap_pos[self._lead] = world_from_hand.translation
        self._data.mocap_quat[self._lead] = (w, x, y, z)

    def _target(self) -> RigidTransform:
        w, x, y, z = self._data.mocap_quat[self._lead].tolist()
        px, py, pz = self._data.mocap_pos[self._lead].tolist()
        return RigidTransform((px, py, pz), (x, y, z, w))

    def _off(self, target: RigidTransform) -> float:
        """How far from there it is [m]."""
        return float(np.linalg.norm(np.subtract(self.world_from_hand.translation, target.translation)))
