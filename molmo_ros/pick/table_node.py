# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The simulated table as a ROS 2 node: an RGB-D camera, and a hand that does what it is told.

Simulated time passes only while the hand carries out a command, or while the judge lets it pass (`~/hold`), so that a
slow machine changes nothing. The table follows from the parameter `seed`, as in the simulated camera: once setting
it has returned, newer stamps show the new one. While the hand moves, no pictures are taken; where `film` is set, a
second camera takes some of the hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
from geometry_msgs.msg import PoseStamped, TransformStamped
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

from molmo_ros.geometry import TransformError
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.pick.film import FILM_SIZE, filming_camera
from molmo_ros.pick.hand_interface import (
    CAMERA_JOINT,
    FINGER_JOINT,
    FINGERS_SET,
    HAND_FRAME,
    MOVE,
    MOVED,
    SET_FINGERS,
    TURN,
    TURNED,
    pose_message,
    pose_transform,
)
from molmo_ros.sim.hand import HandMeasures
from molmo_ros.sim.node_process import run_node
from molmo_ros.sim.picking_table import PickingTable
from molmo_ros.sim.renderer import Rendering, add_noise, render
from molmo_ros.sim.scene import SENSOR
from molmo_ros.sim.sim_camera import WORLD_FRAME, camera_info_message, image_message, world_from_optical

PICTURES_PER_SECOND = 5.0
PIXEL_NOISE, DEPTH_NOISE = 2.0, 0.001
"""Standard deviations [gray levels], [m]."""
FILM_EVERY, TRANSFORM_EVERY = 0.2, 0.1
"""Between pictures of the film, and between transforms of the hand [s of simulated time]."""
HOLD_TIME = 1.0
"""How long what is lifted has to stay where it is [s]."""
IDLE = 0.3
"""After a command no picture is taken for so long, as the next one may be on its way [s]."""


def measures(gripper: Gripper) -> HandMeasures:
    """The hand that a grasp is planned for."""
    return HandMeasures(**asdict(gripper))


class TableNode(Node):
    """One table; all its callbacks run one after the other."""

    def __init__(self) -> None:
        super().__init__("molmo_pick_table")
        whole = [IntegerRange(from_value=0, to_value=2**31 - 1, step=1)]
        self.declare_parameter(
            "seed", 0, ParameterDescriptor(description="Which random table is shown.", integer_range=whole)
        )
        self.declare_parameter(
            "film", False, ParameterDescriptor(description="Publish pictures of the hand.")
        )
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._image = self.create_publisher(Image, "image", newest)
        self._depth = self.create_publisher(Image, "depth", newest)
        self._info = self.create_publisher(CameraInfo, "camera_info", newest)
        self._transforms = self.create_publisher(TFMessage, "/tf", reliable)
        self._film = self.create_publisher(Image, "film", reliable)
        self._moved = self.create_publisher(PoseStamped, MOVED, reliable)
        self._fingers_set = self.create_publisher(JointState, FINGERS_SET, reliable)
        self._turned = self.create_publisher(JointState, TURNED, reliable)
        self._pictures: tuple[TransformStamped, CameraInfo, Image, Image] | None = None
        self._show(self.get_parameter("seed").value)
        self.add_on_set_parameters_callback(self._on_parameters)
        self.create_subscription(PoseStamped, MOVE, self._on_move, reliable)
        self.create_subscription(JointState, SET_FINGERS, self._on_set_fingers, reliable)
        self.create_subscription(JointState, TURN, self._on_turn, reliable)
        self.create_service(Trigger, "~/hold", self._on_hold)
        self.create_timer(1 / PICTURES_PER_SECOND, self._take_picture)

    def _show(self, seed: int) -> None:
        """Sets another table, as nobody has touched it."""
        self._table = PickingTable.of(seed, measures(Gripper()))
        self._before = self._table.heights()
        self._rng = np.random.default_rng(seed)
        self._look(self._table.view)
        self._elapsed = 0.0
        self._last_command = Time(clock_type=self.get_clock().clock_type)
        names = ", ".join(thing.name for thing in self._table.objects)
        self.get_logger().info(f"seed {seed}: the {self._table.name} among {names}")

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        # Rendering here, in the node's only thread, is what makes the promise of the module's docstring hold.
        for parameter in parameters:
            if parameter.name == "seed":
                self._show(parameter.value)
        return SetParametersResult(successful=True)

    def _on_move(self, command: PoseStamped) -> None:
        if command.header.frame_id != WORLD_FRAME:
            self.get_logger().error(
                f"{MOVE} is in the frame {command.header.frame_id!r}: must be {WORLD_FRAME!r}"
            )
            return
        try:
            target = pose_transform(command.pose)
        except TransformError as error:
            self.get_logger().error(f"{MOVE}: {error}")
            return
        self._pass_time(self._table.hand.move(target))
        answer = PoseStamped(header=command.header, pose=pose_message(self._table.hand.world_from_hand))
        self._moved.publish(answer)

    def _on_set_fingers(self, command: JointState) -> None:
        if len(command.position) != 1 or not np.isfinite(command.position[0]):
            self.get_logger().error(
                f"{SET_FINGERS} has the positions {list(command.position)}: must be one number [m]"
            )
            return
        self._pass_time(self._table.hand.open(command.position[0]))
        hand = self._table.hand
        self._fingers_set.publish(
            JointState(
                header=command.header, name=[FINGER_JOINT], position=[hand.opening], effort=[hand.force]
            )
        )

    def _on_turn(self, command: JointState) -> None:
        """Looks from another side; before anything was moved, since nothing else is rendered."""
        if len(command.position) != 1 or not np.isfinite(command.position[0]):
            self.get_logger().error(
                f"{TURN} has the positions {list(command.position)}: must be one number [rad]"
            )
            return
        self._table.look_from(command.position[0])
        self._look(self._table.view)
        self._turned.publish(
            JointState(header=command.header, name=[CAMERA_JOINT], position=[command.position[0]])
        )

    def _on_hold(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Lets a second pass; says how high each object stayed all that time, above where it stood at first [m]."""
        lowest = np.full(len(self._table.objects), np.inf)
        for _ in self._moments(self._table.hand.wait(HOLD_TIME)):
            lowest = np.minimum(lowest, self._table.heights() - self._before)
        response.success = True
        response.message = json.dumps({"rises": [round(float(rise), 4) for rise in lowest]})
        return response

    def _pass_time(self, motion: Iterator[None]) -> None:
        for _ in self._moments(motion):
            pass
        self._last_command = self.get_clock().now()
        self._pictures = None

    def _moments(self, motion: Iterator[None]) -> Iterator[None]:
        """The moments of a motion, some of which are told: the hand's place, and pictures of it."""
        step = self._table.model.opt.timestep
        for _ in motion:
            before, self._elapsed = self._elapsed, self._elapsed + step
            if before // TRANSFORM_EVERY != self._elapsed // TRANSFORM_EVERY:
                self._tell_transform()
            if before // FILM_EVERY != self._elapsed // FILM_EVERY and self.get_parameter("film").value:
                self._tell_film()
            yield

    def _tell_transform(self) -> None:
        message = TransformStamped(child_frame_id=HAND_FRAME)
        message.header.frame_id, message.header.stamp = WORLD_FRAME, self.get_clock().now().to_msg()
        pose = pose_message(self._table.hand.world_from_hand)
        place = message.transform.translation
        place.x, place.y, place.z = pose.position.x, pose.position.y, pose.position.z
        message.transform.rotation = pose.orientation
        self._transforms.publish(TFMessage(transforms=[message]))

    def _tell_film(self) -> None:
        camera = self._table.camera
        self._table.camera = filming_camera(self._table.first_camera)
        picture = image_message(render(self._table, *FILM_SIZE).rgb, "rgb8")
        self._table.camera = camera
        picture.header.stamp, picture.header.frame_id = self.get_clock().now().to_msg(), "film"
        self._film.publish(picture)

    def _look(self, view: Rendering) -> None:
        """Makes messages of what the camera sees; the noise stays the same until something has moved."""
        depth = view.depth + self._rng.normal(0, DEPTH_NOISE, view.depth.shape).astype(np.float32)
        self._pictures = (
            world_from_optical(self._table.camera),
            camera_info_message(view),
            image_message(depth, "32FC1"),
            image_message(add_noise(view.rgb, self._rng, PIXEL_NOISE), "rgb8"),
        )

    def _take_picture(self) -> None:
        now = self.get_clock().now()
        if self._pictures is None:
            if (now - self._last_command).nanoseconds < IDLE * 1e9:
                return
            self._look(render(self._table, *SENSOR))
        assert self._pictures is not None
        for message in self._pictures:
            message.header.stamp = now.to_msg()
        # The others first, so that they are there when the image starts an inference.
        transform, info, depth, image = self._pictures
        self._transforms.publish(TFMessage(transforms=[transform]))
        self._info.publish(info)
        self._depth.publish(depth)
        self._image.publish(image)


def main() -> int:
    """Run the table until SIGINT, SIGTERM or a shutdown of its context; returns the exit code."""
    return run_node("molmo_pick_table", TableNode)


if __name__ == "__main__":
    sys.exit(main())
