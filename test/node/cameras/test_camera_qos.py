# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which publishers a camera hears, over DDS, and what `qos_overrides` change."""

import os
import time

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402

from molmo_ros.node.cameras.camera_input import CameraInput, Transport  # noqa: E402
from molmo_ros.node.cameras.camera_qos import warn_of_unknown_overrides  # noqa: E402
from molmo_ros.node.cameras.image_transport import depth_of  # noqa: E402

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
PATIENCE = 15.0


class Graph:
    """Nodes of this process in a domain of their own."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=1 + (os.getpid() + 53) % 100)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.count = 0

    def node(self, **overrides):
        self.count += 1
        parameters = [
            Parameter(f"qos_overrides.{name.replace('__', '.')}", value=value)
            for name, value in overrides.items()
        ]
        node = rclpy.create_node(f"node{self.count}", context=self.context, parameter_overrides=parameters)
        self.executor.add_node(node)
        return node

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            self.executor.spin_once(timeout_sec=0.05)


@pytest.fixture(scope="module")
def graph():
    one = Graph()
    yield one
    one.executor.shutdown()
    rclpy.shutdown(context=one.context)


def listening(node, name="camera"):
    camera = CameraInput(name, f"{name}/", lambda *_: None)
    camera.subscribe(node, Transport())
    return camera


class Logged:
    """What a node logs."""

    def __init__(self, monkeypatch, node):
        self.lines = []
        logger = type("Logger", (), {"warning": self.lines.append, "error": self.lines.append})
        monkeypatch.setattr(node, "get_logger", lambda: logger)


@pytest.mark.parametrize(
    "profile", [LATCHED, QoSProfile(depth=1), BEST_EFFORT], ids=["latched", "reliable", "sensor"]
)
def test_a_calibration_is_heard_however_it_is_published(graph, profile):
    """The latched one is published once, before the camera listens."""
    name = f"camera{graph.count}"
    out = graph.node().create_publisher(CameraInfo, f"{name}/camera_info", profile)
    latched = profile is LATCHED
    if latched:
        out.publish(CameraInfo(width=7))
    camera = listening(graph.node(), name)

    def heard():
        if not latched:
            out.publish(CameraInfo(width=7))
        return camera.info is not None

    graph.until(heard)
    assert camera.info.width == 7


def test_a_picture_on_demand_is_heard_where_durability_says_so(graph):
    name = f"camera{graph.count}"
    out = graph.node().create_publisher(Image, f"{name}/image", LATCHED)
    out.publish(Image(width=9))
    node = graph.node(**{f"/{name}/image.subscription.durability": "transient_local"})
    camera = listening(node, name)
    graph.until(lambda: camera.frames.newest() is not None)
    assert camera.frames.newest().message.width == 9


def test_an_override_holds_for_its_topic_alone(graph):
    name = f"camera{graph.count}"
    node = graph.node(**{f"/{name}/image.subscription.reliability": "reliable"})
    listening(node, name)
    kinds = {
        topic: {
            info.qos_profile.reliability for info in node.get_subscriptions_info_by_topic(f"/{name}/{topic}")
        }
        for topic in ("image", "depth")
    }
    assert kinds == {"image": {ReliabilityPolicy.RELIABLE}, "depth": {ReliabilityPolicy.BEST_EFFORT}}


def test_what_no_topic_takes_is_named_with_what_there_is(graph, monkeypatch):
    node = graph.node(
        **{
            "/left/imag.subscription.reliability": "reliable",
            "/left/image.subscription.reliabilty": "reliable",
            "/left/image.subscription.depth": 3,
        }
    )
    logged = Logged(monkeypatch, node)
    listening(node, "left")
    warn_of_unknown_overrides(node)
    (line,) = logged.lines
    given, known = line.split("known:")
    assert (
        "/left/imag.subscription" in given
        and "reliabilty" in given
        and "image.subscription.depth" not in given
    )
    assert "qos_overrides./left/image.subscription.durability" in known


def test_a_value_that_is_none_is_left_out_and_named(graph, monkeypatch):
    node = graph.node(**{"/right/image.subscription.reliability": "reliabel"})
    logged = Logged(monkeypatch, node)
    listening(node, "right")
    (line,) = logged.lines
    assert "reliabel" in line and "best_effort" in line and "right/image" in line
    assert len(node.get_subscriptions_info_by_topic("/right/image")) == 1


def test_depth_of_the_transport_compressed_is_heard(graph):
    """A depth camera behind image_transport's plugin `compressed`, which sends 16-bit PNG."""
    camera = CameraInput("png", "png/", lambda *_: None)
    camera.subscribe(graph.node(), Transport(depth="compressed"))
    heard = []
    camera.depths.put = heard.append
    publisher = graph.node().create_publisher(CompressedImage, "png/depth/compressed", 1)
    millimetres = np.array([[0, 1500], [65535, 7]], np.uint16)
    data = cv2.imencode(".png", millimetres)[1].tobytes()
    graph.until(lambda: publisher.get_subscription_count())
    publisher.publish(CompressedImage(format="16UC1; png compressed ", data=data))
    graph.until(lambda: heard)
    np.testing.assert_array_equal(depth_of(heard[0]), millimetres)
