# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Gazebo's tabletop played at a node: the player's process, TF, and where the red cube is."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from gazebo_player import TABLETOP_VIEW, lens
from geometry_msgs.msg import Quaternion
from rclpy.duration import Duration
from tf2_msgs.msg import TFMessage
from tf_broadcaster import LATCHED, transform

PLAYER = Path(__file__).with_name("gazebo_player.py")
NODE = "../../molmo_ros/node/process.py"
BODY, OPTICAL = "camera/link/rgbd", "camera_optical_frame"
CAMERA = (0.3535, 0.0, 1.1913)
"""Where the tabletop's camera is in the world [m]; it is turned by `PITCH`, then by half a turn about z."""
PITCH = 0.872665
CUBE, EDGE, TURN = np.array([0.06, 0.07, 0.7775]), 0.055, 0.4
"""The tabletop's red cube: its centre and edge [m], and its turn about z [rad]."""
SINE, COSINE = math.sin(PITCH), math.cos(PITCH)
WORLD_FROM_OPTICAL = np.array([[0, SINE, -COSINE], [1, 0, 0], [0, -COSINE, -SINE]])
IN_WORLD = (-math.sin(PITCH / 2), 0.0, math.cos(PITCH / 2), 0.0)
"""The camera's body in the world: a quaternion."""
IN_BODY = (-0.5, 0.5, -0.5, 0.5)
"""Its optical frame in its body: rpy (-pi/2, 0, -pi/2)."""


def cube_query():
    """A query that the fake model answers with the middle of the red cube."""
    x, y, z = WORLD_FROM_OPTICAL.T @ (CUBE - CAMERA)
    fx, fy, cx, cy = lens(640, 480, TABLETOP_VIEW)
    return f"at {(fx * x / z + cx + 0.5) / 640:.4f},{(fy * y / z + cy + 0.5) / 480:.4f}"


def off_the_cube(world):
    """How far a place in the world is from the cube's surface [m]."""
    east, north, up = np.array(world) - CUBE
    turned = [
        math.cos(TURN) * east + math.sin(TURN) * north,
        math.cos(TURN) * north - math.sin(TURN) * east,
        up,
    ]
    beyond = np.abs(turned) - EDGE / 2
    return abs(np.linalg.norm(np.maximum(beyond, 0)) + min(beyond.max(), 0))


class Simulation:
    """The player's process, the node, and TF."""

    def __init__(self, robot):
        self.robot, self.player = robot, None
        # The robot of other tests sends times of its own: a second source.
        robot.node.destroy_publisher(robot._out.pop("clock"))
        self.status, self.log = {}, ""
        self.environment = os.environ | {"ROS_DOMAIN_ID": str(robot.domain)}
        robot.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.fixed = robot.node.create_publisher(TFMessage, "/tf_static", LATCHED)

    def _on_diagnostics(self, array):
        self.status |= {one.name.removeprefix("molmo_node: "): one for one in array.status}

    def start(self, *node, play=(), image="camera/image", script="fake_node.py"):
        """Gazebo with the player's options, and the node with these arguments."""
        self.close()
        self.status = {}
        self.player = subprocess.Popen(
            [sys.executable, str(PLAYER), *play],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        assert self.player.stdout.readline() == "ready\n"
        topics = {"depth": "/camera/depth_image", "camera_info": "/camera/camera_info"}
        topics |= {"image": f"/{image}"} if "cameras:=" not in "".join(node) else {}
        remaps = [part for old, new in topics.items() for part in ("-r", f"{old}:={new}")]
        self.robot.start(*remaps, "-p", "use_sim_time:=true", *node, depth=True, image=image, script=script)

    def tell(self, wait=True, **changes):
        """Change the player's options; returns once that holds, unless it is not to wait."""
        line = json.dumps(changes)
        self.player.stdin.write(line + "\n")
        self.player.stdin.flush()
        while wait and self.player.stdout.readline().strip() != line:
            assert self.player.poll() is None

    def place(self, *frames):
        """Publish where frames are in their parents, for good: parent, child, place [m], quaternion."""
        message = TFMessage()
        for parent, child, xyz, turn in frames:
            message.transforms.append(transform(parent, child, 0, xyz))
            message.transforms[-1].transform.rotation = Quaternion(**dict(zip("xyzw", turn, strict=True)))
        self.fixed.publish(message)
        assert self.fixed.wait_for_all_acked(Duration(seconds=20))
        self.robot.settle(1)

    def ask(self, text=None, until=None, patience=15.0):
        """Ask until the answer has that status."""
        deadline = time.monotonic() + patience
        while True:
            result = self.robot.ask(text or cube_query())
            if until is None or result["status"] == until or time.monotonic() > deadline:
                return result
            self.robot.spin(0.1)

    def reason(self, words, patience=15.0):
        """Ask until the answer's reason has those words: others are discovered one after the other."""
        deadline = time.monotonic() + patience
        while words not in (said := self.ask()["reason"]) and time.monotonic() < deadline:
            self.robot.spin(0.1)
        return said

    def camera(self, name="camera"):
        """The camera's next diagnostics: its message, and all its values in one text."""
        part = f"camera {name}"
        self.status.pop(part, None)
        self.robot.spin_until(lambda: part in self.status)
        one = self.status[part]
        return one.message, {pair.key: pair.value for pair in one.values}

    def close(self):
        if self.robot.process:
            *_, self.log = self.robot.stop()
        if self.player:
            self.player.terminate()
            self.player.wait()
            self.player = None
