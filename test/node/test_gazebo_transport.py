# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures that Gazebo rendered come over Gazebo's own transport and messages to a bridge, and over DDS to the node.

The bridge reads the configuration that is shipped with the tabletop, and places come from Gazebo's pose publishers. The
numbers are those of the world that was rendered.
"""

import array
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tf2_msgs")
pytest.importorskip("google.protobuf")

from geometry_msgs.msg import TransformStamped  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

ROOT = Path(__file__).parents[2]
HERE = ROOT / "test/node/gazebo_transport"
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))
from gazebo_messages import LOOPBACK, NAMES, Relay, build, installed  # noqa: E402
from tf_broadcaster import LATCHED  # noqa: E402

pytestmark = pytest.mark.skipif(
    not installed(),
    reason=f"Gazebo's transport is not installed (one of {', '.join(NAMES)}; Debian: libignition-transport-dev)",
)
NODE = "../../molmo_ros/node/process.py"
TABLETOP = np.load(ROOT / "test/gazebo/frames/tabletop.npz")
SENSOR_FRAME, OPTICAL_FRAME = "camera::link::rgbd", "camera_optical_frame"
FOCAL = 320 / math.tan(1.0297 / 2)
LENS = [FOCAL, 0.0, 320.0, 0.0, FOCAL, 240.0, 0.0, 0.0, 1.0]
"""K of the sensor's `<horizontal_fov>`."""
SDF_DEFAULT = TABLETOP["k"].tolist()
CAMERA, PITCH = (0.3535, 0.0, 1.1913), 0.872665
"""The camera's place in the world [m], and how far it looks down [rad]; it is turned by half a turn about z, too."""
CUBE, SIDE, TURN = (0.06, 0.07, 0.7775), 0.055, 0.4
"""The red cube's centre in the world, its edge [m] and its yaw."""
WITHOUT_METRES = ("NO_DEPTH", "NO_TRANSFORM")
CAMERA_TURN = (-math.sin(PITCH / 2), 0.0, math.cos(PITCH / 2), 0.0)
"""Half a turn about z after the pitch about y, as a quaternion."""
IN_BODY = (-0.5, 0.5, -0.5, 0.5)
"""An optical frame in its camera's body (REP-103): rpy (-pi/2, 0, -pi/2)."""
WORLD = "tabletop"
RELEASES = {"ignition": "fortress", "gz": "harmonic"}
PIXEL_FORMATS = {"rgb8": 3, "32FC1": 13}


def transform(parent, child, rotation):
    one = TransformStamped(child_frame_id=child)
    one.header.frame_id = parent
    turn = one.transform.rotation
    turn.x, turn.y, turn.z, turn.w = rotation
    return one


FIXED = [
    transform("camera", OPTICAL_FRAME, IN_BODY),
    transform("camera", "camera/link/rgbd", (0.0, 0.0, 0.0, 1.0)),
]


def about_z(angle):
    return np.array(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )


def from_surface(point):
    """How far a point of the world is from the cube's surface [m]."""
    beyond = np.abs(about_z(-TURN) @ (np.subtract(point, CUBE))) - SIDE / 2
    return np.linalg.norm(np.maximum(beyond, 0)) + abs(min(beyond.max(), 0))


class Gazebo:
    """A simulated world on Gazebo's transport: clock, poses of camera and cube, and a camera at 10 Hz.

    Attributes:
        frame: What headers name.
        k: What `camera_info` says.
        now: The time of the world [ms]; None while it says nothing.
        shows: Whether the camera publishes.
    """

    def __init__(self, relay, environment):
        self._relay = Relay(relay, [], environment)
        self.frame, self.k, self.now, self.shows = SENSOR_FRAME, SDF_DEFAULT, None, True
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def set(self, frame=OPTICAL_FRAME, k=LENS):
        self.frame, self.k = frame, k

    def show(self, taken):
        """One picture with depth and calibration of that time [ms]."""
        rgb, depth = TABLETOP["rgb"], TABLETOP["depth"]
        info = self._made("CameraInfo", taken, width=640, height=480)
        info.distortion.k.extend([0.0] * 5)
        info.intrinsics.k.extend(self.k)
        info.projection.p.extend([*self.k[:3], 0.0, *self.k[3:6], 0.0, 0.0, 0.0, 1.0, 0.0])
        info.rectification_matrix.extend(np.eye(3).ravel())
        for topic, pixels, encoding in (("depth_image", depth, "32FC1"), ("image", rgb, "rgb8")):
            step = pixels[0].nbytes
            image = self._made("Image", taken, width=640, height=480, step=step, data=pixels.tobytes())
            image.pixel_format_type = PIXEL_FORMATS[encoding]
            self._relay.publish(f"/camera/{topic}", image)
        self._relay.publish("/camera/camera_info", info)

    def place(self, model, at, rotation):
        """Where a model is, as its pose publisher tells it: a place in the world [m] and a quaternion."""
        poses = self._relay.make("Pose_V")
        pose = poses.pose.add()
        self._head(pose.header, self.now, WORLD, child_frame_id=model)
        pose.position.x, pose.position.y, pose.position.z = at
        pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w = rotation
        self._relay.publish(f"/model/{model}/pose", poses)

    def close(self):
        self._over.set()
        self._thread.join()
        self._relay.close()

    def _run(self):
        while not self._over.wait(0.01):
            if self.now is None:
                continue
            self.now += 10
            clock = self._relay.make("Clock")
            clock.sim.sec, clock.sim.nsec = self.now // 1000, self.now % 1000 * 10**6
            self._relay.publish("/clock", clock)
            if self.now % 20 == 0:
                self.place("camera", CAMERA, CAMERA_TURN)
                self.place("red_cube", CUBE, (0.0, 0.0, math.sin(TURN / 2), math.cos(TURN / 2)))
            if self.shows and self.now % 100 == 0:
                self.show(self.now)

    def _made(self, kind, taken, **fields):
        message = self._relay.make(kind)
        self._head(message.header, taken, self.frame)
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    def _head(self, header, taken, frame, **more):
        header.stamp.sec, header.stamp.nsec = taken // 1000, taken % 1000 * 10**6
        for key, value in {"frame_id": frame, **more}.items():
            pair = header.data.add()
            pair.key = key
            pair.value.append(value)


@pytest.fixture(scope="module")
def gazebo(robot, tmp_path_factory):
    """The world, with its bridge and the node running."""
    folder = tmp_path_factory.mktemp("gazebo")
    release = RELEASES[NAMES[installed()].package]
    config = ROOT / "gazebo" / release / f"{WORLD}_bridge.yaml"
    partition = f"molmo_ros_{os.getpid()}"
    environment = os.environ | LOOPBACK | {"IGN_PARTITION": partition, "GZ_PARTITION": partition}
    topics = {"image": "/camera/image", "depth": "/camera/depth_image", "camera_info": "/camera/camera_info"}
    remapped = [word for ours, theirs in topics.items() for word in ("-r", f"{ours}:={theirs}")]
    started = ["-p", "use_sim_time:=true", "-p", f"target_frame:={WORLD}", *remapped]
    relay = build(folder)
    robot.start(*started, script=NODE, depth=True, sim_time=True, image="camera/image")
    bridge = subprocess.Popen(
        [sys.executable, HERE / "bridge.py", relay, config],
        stdin=subprocess.PIPE,
        env=environment | {"ROS_DOMAIN_ID": str(robot.domain)},
    )
    world = Gazebo(relay, environment)
    try:
        fixed = robot.node.create_publisher(TFMessage, "/tf_static", LATCHED)
        fixed.publish(TFMessage(transforms=[*FIXED]))
        world.now = 17_000
        yield world
    finally:
        world.close()
        bridge.stdin.close()
        bridge.wait(20)


def answered(robot, text, *wanted):
    """Ask for the red cube until one of these statuses comes with that reason; returns the result."""
    for _ in range(20):
        result = robot.ask("the red cube")
        if result["status"] in wanted and text in result["reason"]:
            return result
        robot.spin(0.2)
    pytest.fail(f"{wanted} with {text!r} never came, but {result['status']}: {result['reason']}")


def test_messages_arrive_as_gazebo_made_them(gazebo, robot):
    heard = {"image": [], "depth_image": [], "camera_info": [], "pose": []}
    kinds = {"image": Image, "depth_image": Image, "camera_info": CameraInfo}
    subscriptions = [
        robot.node.create_subscription(kind, f"/camera/{name}", heard[name].append, 10)
        for name, kind in kinds.items()
    ]
    subscriptions.append(robot.node.create_subscription(TFMessage, "/gazebo/poses", heard["pose"].append, 10))
    robot.spin_until(lambda: all(heard.values()))
    for one in subscriptions:
        robot.node.destroy_subscription(one)
    image, depth, info = (heard[name][-1] for name in kinds)
    assert (image.encoding, image.step, image.data) == (
        "rgb8",
        1920,
        array.array("B", TABLETOP["rgb"].tobytes()),
    )
    assert (depth.encoding, depth.step, depth.data) == (
        "32FC1",
        2560,
        array.array("B", TABLETOP["depth"].tobytes()),
    )
    assert info.k.tolist() == SDF_DEFAULT and info.distortion_model == "plumb_bob"
    for message in (image, depth, info):
        assert message.header.frame_id == "camera/link/rgbd"
        assert message.header.stamp.sec >= 17 and message.header.stamp.nanosec % 100_000_000 == 0
    (pose,) = heard["pose"][-1].transforms
    assert (pose.header.frame_id, pose.child_frame_id) == (WORLD, "red_cube")
    assert (pose.transform.translation.x, pose.transform.rotation.z) == (CUBE[0], math.sin(TURN / 2))


def test_what_gazebo_says_by_itself_is_told_with_its_cure(gazebo, robot):
    """The sensor's frame, and then the K that SDF has by default."""
    gazebo.set(frame=SENSOR_FRAME)
    result = answered(robot, f"set optical_frame to {OPTICAL_FRAME!r}", *WITHOUT_METRES)
    assert result["points"][0]["xyz"] is None
    gazebo.set(k=SDF_DEFAULT)
    result = answered(robot, "camera_matrix", *WITHOUT_METRES)
    assert "cx=160, cy=120" in result["reason"] and result["points"][0]["xyz"] is None


def test_the_point_lies_on_the_cube(gazebo, robot):
    """By the header, and by the parameter for the header's frame."""
    gazebo.set()
    result = answered(robot, "", "FOUND")
    assert result["position_frame"] == WORLD
    assert from_surface(result["points"][0]["xyz"]) < 0.01
    gazebo.set(frame=SENSOR_FRAME)
    assert robot.set(optical_frame=OPTICAL_FRAME) == ""
    robot.spin(0.5)
    result = answered(robot, "", "FOUND")
    assert result["frame_id"] == "camera/link/rgbd" and from_surface(result["points"][0]["xyz"]) < 0.01
    assert robot.set(optical_frame="") == ""
    assert robot.ask("the screwdriver")["status"] == "NOT_FOUND"


def test_a_reset_forgets_what_was_seen(gazebo, robot):
    gazebo.set()
    answered(robot, "", "FOUND")
    gazebo.shows = False
    before, gazebo.now = gazebo.now, 0
    answered(robot, "since the clock went back", "NO_IMAGE")
    gazebo.show(before)  # the last picture, late
    robot.spin(0.5)
    assert robot.ask("the red cube")["status"] == "NO_IMAGE"
    gazebo.shows = True
    result = answered(robot, "", "FOUND")
    assert result["stamp"]["sec"] < 17
