# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The simulated camera as a process of its own, seen by a subscriber."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2")
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from molmo_ros.geometry.quaternion import to_matrix  # noqa: E402
from molmo_ros.sim.camera_path import CameraPath  # noqa: E402
from molmo_ros.sim.renderer import render  # noqa: E402
from molmo_ros.sim.scene import Scene  # noqa: E402

WIDTH, HEIGHT = 320, 240
DOMAIN = int(os.environ["ROS_DOMAIN_ID"])
PATIENCE = 60.0


class Viewer:
    """Collects the camera's messages by stamp."""

    def __init__(self, context, namespace="/"):
        self.node = Node("viewer", context=context, namespace=namespace)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.heard = {"image": {}, "depth": {}, "camera_info": {}}
        for topic, kind in (("image", Image), ("depth", Image), ("camera_info", CameraInfo)):
            self.node.create_subscription(kind, topic, self._keep(topic), qos_profile_sensor_data)
        self.moving, self.static = [], []
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(TFMessage, "/tf", self.moving.append, 100)
        self.node.create_subscription(TFMessage, "/tf_static", self.static.append, latched)
        self.parameters = self.node.create_client(SetParameters, "/molmo_sim_camera/set_parameters")

    def _keep(self, topic):
        def keep(message):
            self.heard[topic][message.header.stamp.sec * 10**9 + message.header.stamp.nanosec] = message

        return keep

    def complete(self, after=0):
        """Stamps of which all three messages came."""
        return sorted(stamp for stamp in set.intersection(*map(set, self.heard.values())) if stamp > after)

    def spin_until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it never came"
            self.executor.spin_once(timeout_sec=0.1)

    def set(self, name, value):
        self.spin_until(self.parameters.service_is_ready)
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        future = self.parameters.call_async(request)
        self.spin_until(future.done)
        return future.result().results[0].successful


def start(*arguments, **values):
    command = [sys.executable, "-m", "molmo_ros.sim.camera_node", "--ros-args", *arguments]
    for name, value in {"width": WIDTH, "height": HEIGHT, "noise": 0.0, **values}.items():
        command += ["-p", f"{name}:={value}"]
    return subprocess.Popen(command, start_new_session=True)


@pytest.fixture(scope="module")
def camera():
    process = start(seed=3, rate=20.0)
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def context():
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture(scope="module")
def viewer(context, camera):
    viewer = Viewer(context)
    viewer.spin_until(lambda: len(viewer.complete()) >= 3)
    yield viewer
    viewer.node.destroy_node()


def assert_stands(message, camera):
    """The transform, of points of the optical frame to the world, is where the camera stands."""
    (stamped,) = message.transforms
    assert (stamped.header.frame_id, stamped.child_frame_id) == ("world", "camera_color_optical_frame")
    move, turn = stamped.transform.translation, stamped.transform.rotation
    np.testing.assert_allclose((move.x, move.y, move.z), camera.position, atol=1e-9)
    np.testing.assert_allclose(
        to_matrix((turn.x, turn.y, turn.z, turn.w)), camera.world_from_optical, atol=1e-9
    )


def assert_shows(viewer, stamp, seed):
    truth = render(Scene.random(seed), WIDTH, HEIGHT)
    image, depth, info = (viewer.heard[topic][stamp] for topic in ("image", "depth", "camera_info"))
    assert (image.encoding, image.step, depth.encoding, depth.step) == ("rgb8", WIDTH * 3, "32FC1", WIDTH * 4)
    np.testing.assert_array_equal(np.frombuffer(image.data, np.uint8).reshape(HEIGHT, WIDTH, 3), truth.rgb)
    np.testing.assert_array_equal(np.frombuffer(depth.data, np.float32).reshape(HEIGHT, WIDTH), truth.depth)
    np.testing.assert_allclose(np.reshape(info.k, (3, 3)), truth.intrinsics)
    np.testing.assert_allclose(np.reshape(info.p, (3, 4))[:, :3], truth.intrinsics)
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    frames = {message.header.frame_id for message in (image, depth, info)}
    assert frames == {"camera_color_optical_frame"}


def test_publishes_the_scene_of_its_seed_under_common_stamps(viewer):
    assert_shows(viewer, viewer.complete()[-1], seed=3)


def test_after_seed_is_set_newer_stamps_show_the_new_scene(viewer):
    assert viewer.set("seed", 12)
    switched = viewer.node.get_clock().now().nanoseconds
    viewer.spin_until(lambda: viewer.complete(after=switched))
    assert_shows(viewer, viewer.complete(after=switched)[0], seed=12)


@pytest.mark.parametrize("name,value", [("seed", -1), ("seed", "red"), ("rate", 5.0), ("width", 99)])
def test_bad_and_fixed_parameters_are_refused_and_it_goes_on(viewer, name, value):
    assert not viewer.set(name, value)
    before = viewer.node.get_clock().now().nanoseconds
    viewer.spin_until(lambda: viewer.complete(after=before))


def test_its_place_in_the_world_is_that_of_the_scene_shown(viewer):
    assert viewer.set("seed", 5)
    camera = Scene.random(5).camera
    viewer.spin_until(lambda: viewer.static and np.allclose(place_of(viewer.static[-1]), camera.position))
    assert_stands(viewer.static[-1], camera)
    assert not viewer.moving


def test_a_moving_camera_says_where_it_was_at_each_stamp(context):
    process = start("-r", "__ns:=/wrist", seed=3, width=64, height=48, rate=10.0, motion="orbit", speed=0.3)
    watching = Viewer(context, "/wrist")
    try:
        watching.spin_until(lambda: len(watching.complete()) >= 5)
        stamps = watching.complete()
        watching.spin_until(lambda: watching.moving and stamp_of(watching.moving[-1]) >= stamps[-1])
        places = {stamp_of(message): message for message in watching.moving}
        first, last = (np.frombuffer(watching.heard["image"][stamps[end]].data, np.uint8) for end in (0, -1))
        assert np.mean(first != last) > 0.1
        path = CameraPath(Scene.random(3).camera, "orbit", 0.3)
        # The start is not told; two stamps differ by as much as their places on the path do.
        begin = min(
            np.arange(0, 10, 1e-3),
            key=lambda t: np.linalg.norm(place_of(places[stamps[0]]) - path.at(t).position),
        )
        for stamp in stamps:
            expected = path.at(begin + (stamp - stamps[0]) * 1e-9)
            assert place_of(places[stamp]) == pytest.approx(expected.position, abs=1e-3)
    finally:
        process.kill()
        process.wait()
        watching.node.destroy_node()


def stamp_of(message):
    stamp = message.transforms[0].header.stamp
    return stamp.sec * 10**9 + stamp.nanosec


def place_of(message):
    place = message.transforms[0].transform.translation
    return np.array([place.x, place.y, place.z])


def test_sigint_ends_it_cleanly(viewer, camera):
    camera.send_signal(signal.SIGINT)
    assert camera.wait(timeout=20) == 0
