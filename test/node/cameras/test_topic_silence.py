# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Why nothing comes on a topic: with real publishers that are not there, of another type, or not compatible."""

import os
import time

import pytest

rclpy = pytest.importorskip("rclpy")

from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from molmo_ros.node.cameras import topic_silence  # noqa: E402
from molmo_ros.node.cameras.topic_silence import silence  # noqa: E402
from molmo_ros.node.fast_dds import installed_fast_dds  # noqa: E402

RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


@pytest.fixture(scope="module")
def contexts(domain):
    """Of two: in one, the middleware refuses two types on a topic."""
    both = rclpy.Context(), rclpy.Context()
    for context in both:
        rclpy.init(context=context, domain_id=domain)
    yield both
    for context in both:
        rclpy.shutdown(context=context)


@pytest.fixture
def nodes(contexts):
    node = rclpy.create_node("molmo_node", context=contexts[0])
    camera = rclpy.create_node("driver", namespace="camera", context=contexts[1])
    yield node, camera
    camera.destroy_node()
    node.destroy_node()


def told(node, subscription, *words):
    """What is said, once the graph knows enough."""
    deadline = time.monotonic() + 10
    while not all(word in (text := silence(node, subscription)) for word in words):
        assert time.monotonic() < deadline, text
        time.sleep(0.02)
    return text


def listen(node, qos=qos_profile_sensor_data):
    return node.create_subscription(Image, "image", lambda _: None, qos)


def test_nobody_and_where_there_are_pictures(nodes):
    node, camera = nodes
    subscription = listen(node)
    assert silence(node, subscription) == "nobody publishes it"
    camera.create_publisher(Image, "color/image_raw", 1)
    text = told(node, subscription, "remap")
    assert text == (
        "nobody publishes it; sensor_msgs/msg/Image is published on /camera/color/image_raw: "
        "remap it, -r image:=TOPIC"
    )


def test_another_type(nodes):
    node, camera = nodes
    camera.create_publisher(CompressedImage, "/image", 1)
    text = told(node, listen(node), "/camera/driver")
    assert text == (
        "/camera/driver publishes it as sensor_msgs/msg/CompressedImage, and sensor_msgs/msg/Image is wanted"
    )


def test_qualities_that_do_not_match(nodes):
    node, camera = nodes
    camera.create_publisher(Image, "/image", qos_profile_sensor_data)
    text = told(node, listen(node, RELIABLE), "/camera/driver")
    assert "other qualities of service" in text and "reliab" in text.lower() and "qos_overrides" in text


def test_another_user_s_shared_memory(nodes, monkeypatch, tmp_path):
    node, camera = nodes
    monkeypatch.setattr(topic_silence, "SHARED_MEMORY", tmp_path)
    camera.create_publisher(Image, "/image", 1)
    subscription = listen(node)
    assert told(node, subscription, "/camera/driver") == (
        "/camera/driver publishes it, but nothing has been sent, or nothing gets here"
    )
    (tmp_path / installed_fast_dds().shared_memory.replace("*", "0123456789abcdef")).touch()
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    text = silence(node, subscription)
    if "fastrtps" in rclpy.get_rmw_implementation_identifier():
        assert f"shared memory of user {(tmp_path.stat().st_uid)}" in text and "user 4242" in text


def test_shared_memory_of_nobody_here_hides_no_other_cause(contexts, nodes, monkeypatch, tmp_path):
    """It may be what a process left that is no more."""
    monkeypatch.setattr(topic_silence, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    (tmp_path / installed_fast_dds().shared_memory.replace("*", "port7411")).touch()
    bridge = rclpy.create_node("ros_gz_bridge", context=contexts[1])
    try:
        bridge.create_publisher(Image, "/image", 1)
        text = told(nodes[0], listen(nodes[0]), "/ros_gz_bridge")
        assert "is there a sensor" in text and "nothing has been sent" in text
        if "fastrtps" in rclpy.get_rmw_implementation_identifier():
            assert "shared memory of user" in text
    finally:
        bridge.destroy_node()
