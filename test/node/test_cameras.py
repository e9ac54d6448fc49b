# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Several cameras, each with its own topics, and pictures and depth that come compressed."""

import struct

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from molmo_msgs.srv import Point
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String

TWO = ("-p", "cameras:=[wrist, head]", "-p", "max_frame_age:=60.0")


@pytest.fixture(scope="module")
def two(robot):
    """A node with the cameras wrist and head, and publishers of their topics."""
    robot.start(*TWO, image="wrist/image", depth=True)
    robot.camera = {
        f"{camera}/{name}": robot.node.create_publisher(kind, f"{camera}/{name}", 5)
        for camera in ("wrist", "head")
        for name, kind in (("image", Image), ("depth", Image), ("camera_info", CameraInfo))
    }
    robot.spin_until(lambda: all(out.get_subscription_count() for out in robot.camera.values()))
    robot.spin(0.3)
    yield robot
    if robot.process:
        robot.stop()


def see(robot, make, camera, color, distance=None):
    """A frame of a camera, with depth where a distance [m] is given."""
    header = make.picture().header
    header.stamp, header.frame_id = robot.now(), f"{camera}_optical"
    image = make.picture(color=color)
    messages = {"image": image}
    if distance:
        messages = {
            "camera_info": make.info(),
            "depth": make.depth(np.full((48, 64), distance)),
            "image": image,
        }
    for name, message in messages.items():
        message.header = header
        robot.camera[f"{camera}/{name}"].publish(message)
    robot.spin(0.2)
    return header


def test_queries_name_their_camera_and_otherwise_mean_the_first(two, make):
    wrist = see(two, make, "wrist", (1, 1, 1), 1.0)
    head = see(two, make, "head", (2, 2, 2), 3.0)
    for query, camera, header, color, distance in (
        ("@wrist size at 0.5,0.5", "wrist", wrist, 1, 1.0),
        ("@head size at 0.5,0.5", "head", head, 2, 3.0),
        ("size at 0.5,0.5", "wrist", wrist, 1, 1.0),
    ):
        result = two.ask(query)
        assert (result["status"], result["camera"], result["query"]) == ("FOUND", camera, query)
        assert result["text"] == f"64x48 [{color}, {color}, {color}]"
        assert (result["frame_id"], result["stamp"]["nanosec"]) == (header.frame_id, header.stamp.nanosec)
        assert result["points"][0]["xyz"][2] == pytest.approx(distance)


def test_services_and_goals_name_their_camera(two, make):
    see(two, make, "wrist", (1, 1, 1))
    see(two, make, "head", (2, 2, 2))
    response = two.call(Point, "point_at", labels=["size"], camera="head").result
    assert (response.camera, response.text) == ("head", "64x48 [2, 2, 2]")
    _, result = two.goal(prompt="size", camera="head").end()
    assert (result.camera, result.text) == ("head", "64x48 [2, 2, 2]")


def test_unknown_camera_is_refused_with_the_list(two):
    result = two.ask("@elbow cube")
    assert (result["status"], result["reason"]) == (
        "ERROR",
        "there is no camera 'elbow'; cameras: wrist, head",
    )
    assert two.set(queries=["cube", "@elbow cube"]) == (
        "queries is refused: there is no camera 'elbow'; cameras: wrist, head"
    )


def test_frozen_camera_does_not_block_the_other(two, make):
    two.set(max_frame_age=2.0, rate=10.0, queries=["size"])
    old = make.picture()
    old.header.stamp = Time(sec=two.now().sec - 30)
    two.camera["wrist/image"].publish(old)
    two.clear()
    for _ in range(12):
        see(two, make, "head", (2, 2, 2))
    results = two.results()
    two.set(queries=[""], max_frame_age=60.0)
    answered = [result for result in results if result["camera"] == "head" and result["text"]]
    assert len(answered) >= 5
    assert {result["status"] for result in results if result["camera"] == "wrist"} == {"STALE"}
    assert two.ask("@head size")["status"] == "NOT_FOUND"


def test_continuous_queries_are_about_every_camera_or_the_named_one(two, make):
    two.set(rate=50.0, queries=["size", "@head limits"])
    two.clear()
    for shade in range(5):
        see(two, make, "wrist", (1, 1, shade))
        see(two, make, "head", (2, 2, shade))
    two.spin(0.3)
    two.set(queries=[""])
    asked = {(result["camera"], result["query"]) for result in two.results()}
    assert asked == {("wrist", "size"), ("head", "size"), ("head", "@head limits")}
    for camera, red in (("wrist", 1), ("head", 2)):
        texts = [one["text"] for one in two.results() if (one["camera"], one["query"]) == (camera, "size")]
        assert len(texts) >= 3 and all(text.startswith(f"64x48 [{red}, {red},") for text in texts)


def test_waiting_queries_about_different_cameras_are_about_their_own_frames(two, make):
    see(two, make, "wrist", (1, 1, 1))
    see(two, make, "head", (2, 2, 2))
    for index in range(6):
        two.publish("query", String(data=f"@{('wrist', 'head')[index % 2]} size {index}"))
    two.spin_until(lambda: len(two.heard["result"]) == 6)
    for result in two.results():
        wrist = int(result["query"][-1]) % 2 == 0
        assert result["text"] == ("64x48 [1, 1, 1]" if wrist else "64x48 [2, 2, 2]")


def test_compressed_pictures_and_depth(robot, make):
    """A module's second node: the first one's is ended."""
    if robot.process:
        robot.stop()
    pictures = robot.node.create_publisher(CompressedImage, "image/compressed", 5)
    depths = robot.node.create_publisher(CompressedImage, "depth/compressedDepth", 5)
    transports = ("-p", "image_transport:=compressed", "-p", "depth_transport:=compressedDepth")
    robot.start(*transports, "-p", "max_frame_age:=60.0", image="image/compressed", depth=True)
    robot.spin_until(lambda: pictures.get_subscription_count() and depths.get_subscription_count())
    robot.spin(0.3)
    assert robot.node.count_subscribers("image") == robot.node.count_subscribers("depth") == 0

    pixels = np.full((48, 64, 3), (200, 30, 10), np.uint8)
    millimetres = np.full((48, 64), 2500, np.uint16)
    stamp, info = robot.now(), make.info()
    picture = CompressedImage(format="rgb8; png compressed bgr8")
    picture.data = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    depth = CompressedImage(format="16UC1; compressedDepth png")
    depth.data = struct.pack("iff", 0, 0.0, 0.0) + cv2.imencode(".png", millimetres)[1].tobytes()
    for message in (picture, depth, info):
        message.header.stamp, message.header.frame_id = stamp, "optical"
    robot.publish("camera_info", info)
    depths.publish(depth)
    pictures.publish(picture)
    robot.spin(0.3)
    result = robot.ask("size at 0.75,0.5")
    assert (result["status"], result["text"]) == ("FOUND", "64x48 [200, 30, 10]")
    assert result["stamp"] == {"sec": stamp.sec, "nanosec": stamp.nanosec}
    assert result["points"][0]["xyz"] == pytest.approx([2.5 * 16 / 60, 0.0, 2.5], abs=1e-6)

    picture.data = picture.data[:60]
    pictures.publish(picture)
    robot.spin(0.3)
    assert robot.ask("size")["status"] == "ERROR"
