"""The node in a simulation: pictures that Gazebo rendered, with its topics, headers, clock and defaults."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tf2_msgs")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from geometry_msgs.msg import Quaternion  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from gazebo_player import TABLETOP_VIEW, lens  # noqa: E402
from tf_broadcaster import LATCHED, transform  # noqa: E402

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
        robot.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.fixed = robot.node.create_publisher(TFMessage, "/tf_static", LATCHED)

    def _on_diagnostics(self, array):
        self.status |= {one.name.removeprefix("molmo_node: "): one for one in array.status}

    def start(self, *node, play=(), topics=True, wait=True):
        """Gazebo with the player's options, and the node with these arguments."""
        self.close()
        self.status = {}
        command = [sys.executable, str(Path(__file__).parent / "gazebo_player.py"), *map(str, play)]
        environment = os.environ | {"ROS_DOMAIN_ID": str(self.robot.domain)}
        self.player = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.player.stdout.readline() == "ready\n"
        remaps = {"image": "image", "depth": "depth_image", "camera_info": "camera_info"} if topics else {}
        arguments = [part for old, new in remaps.items() for part in ("-r", f"{old}:=/camera/{new}")]
        arguments += ["-p", "use_sim_time:=true", *node]
        self.robot.start(*arguments, depth=True, image="camera/image" if topics else "image", wait=wait)

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


@pytest.fixture(scope="module")
def simulation(robot):
    one = Simulation(robot)
    yield one
    one.close()


@pytest.fixture(scope="module")
def live(simulation):
    """A running simulation whose camera is known to TF with its optical frame, and without."""
    simulation.start(play=["--frame-id", OPTICAL])
    body = ("camera_link", OPTICAL, (0.0, 0.0, 0.0), IN_BODY)
    simulation.place(("world", "camera_link", CAMERA, IN_WORLD), body, ("world", BODY, CAMERA, IN_WORLD))
    return simulation


@pytest.fixture
def world(live):
    """The running simulation with the player's and the node's defaults."""
    yield live
    defaults = {"frame_id": OPTICAL, "default_k": False, "k": None, "info_size": None, "factor": 1.0}
    defaults |= {"depth_encoding": "32FC1", "infinite_depth": False, "lose_depth": 0.0, "paused": False}
    live.tell(**defaults, clock_hz=250.0, frame="tabletop")
    live.robot.set(optical_frame="", target_frame="", trust_camera_info=False)


def shown(world, result="FOUND", **changes):
    """Ask after what the player was told, once its pictures have come."""
    world.tell(**changes)
    world.robot.spin(0.5)
    return world.ask(until=result)


def test_a_point_is_on_the_surface_of_what_the_world_holds(world):
    world.robot.set(target_frame="world")
    result = shown(world)
    assert (result["status"], result["position_frame"]) == ("FOUND", "world")
    assert off_the_cube(result["points"][0]["xyz"]) < 0.001


def test_depth_in_millimetres(world):
    world.robot.set(target_frame="world")
    result = shown(world, depth_encoding="16UC1")
    assert off_the_cube(result["points"][0]["xyz"]) < 0.002


@pytest.mark.parametrize(("factor", "clock_hz"), [(0.1, 250.0), (1.0, 1000.0)])
def test_a_slow_world_and_a_fast_clock_are_ordinary(world, factor, clock_hz):
    world.tell(factor=factor, clock_hz=clock_hz)
    world.robot.spin(1.5)
    result = world.ask(until="FOUND")
    assert result["status"] == "FOUND" and result["frame_age_ms"] < 200


def test_after_a_reset_no_picture_of_the_time_before_is_answered(world):
    shown(world)
    world.robot.spin(1.0)
    world.tell(wait=False, reset=8)
    before = world.ask()["stamp"]["sec"]
    answers = []
    while len(answers) < 40 and not (answers and answers[-1]["stamp"]["sec"] == 2):
        answers.append(world.ask())
        world.robot.spin(0.1)
    gone = [one for one in answers if one["status"] == "NO_IMAGE"]
    assert gone and all("since the clock went back by" in one["reason"] for one in gone)
    later = [one for one in answers[answers.index(gone[0]) :] if one not in gone]
    assert before > 3 and {one["status"] for one in later} == {"FOUND"}
    assert [one["stamp"]["sec"] for one in later] == sorted(one["stamp"]["sec"] for one in later)
    assert later[-1]["stamp"]["sec"] == 2
