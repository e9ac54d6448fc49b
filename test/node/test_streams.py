# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The standard messages beside the full record: each with the image's own header, and made only while wanted."""

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from geometry_msgs.msg import PointStamped, PoseArray  # noqa: E402
from molmo_msgs.msg import ObjectPoint, ObjectPointArray  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

from molmo_ros.node.messages.object_outputs import ObjectOutputs  # noqa: E402
from molmo_ros.node.records.found_objects import FoundObjects  # noqa: E402
from molmo_ros.node.records.view import View  # noqa: E402

DEPTH = True
KINDS = {
    "objects": ObjectPointArray,
    "answer": String,
    "point": PointStamped,
    "points": PoseArray,
    "pixels": PoseArray,
    "markers": MarkerArray,
    "annotated": Image,
    "annotated/compressed": CompressedImage,
}
PINK = (240, 82, 156)


class Listener:
    """Subscriptions that come and go; what they heard, by topic."""

    def __init__(self, robot):
        self.robot, self.heard, self._subscriptions = robot, {}, {}

    def listen(self, *names):
        """Returns once the node knows."""
        for name in names:
            self.heard[name] = []
            self._subscriptions[name] = self.robot.node.create_subscription(
                KINDS[name], f"molmo_node/{name}", self.heard[name].append, 10
            )
        self.robot.meet()

    def leave(self, *names):
        for name in names or list(self._subscriptions):
            self.robot.node.destroy_subscription(self._subscriptions.pop(name))
        self.robot.meet()

    def hear(self, text, *names):
        """Asks; returns the newest message of each topic once all came."""
        for messages in self.heard.values():
            messages.clear()
        result = self.robot.ask(text)
        self.robot.spin_until(lambda: all(self.heard[name] for name in names))
        return result, [self.heard[name][-1] for name in names]


@pytest.fixture
def listener(running):
    listening = Listener(running)
    yield listening
    listening.leave()


def send(robot, make, **options):
    """A frame of 64x48 that is 2 m away everywhere."""
    return robot.send_frame(make.picture(), make.depth(np.full((48, 64), 2.0)), make.info(), **options)


def test_every_stream_carries_the_images_header(running, make, listener):
    with_header = [name for name in KINDS if name not in ("answer", "markers")]
    listener.listen(*KINDS)
    stamp = send(running, make)
    _, messages = listener.hear("at 0.5,0.5 0.25,0.25~0.9", *with_header, "markers")
    for message in messages[:-1]:
        assert (message.header.stamp, message.header.frame_id) == (stamp, "camera_optical")
    for marker in messages[-1].markers:
        assert (marker.header.stamp, marker.header.frame_id) == (stamp, "camera_optical")


def test_objects_are_the_full_record(running, make, listener):
    listener.listen("objects")
    send(running, make)
    result, (objects,) = listener.hear("at 0.5,0.5 0.25,0.25~0.9", "objects")
    assert (objects.camera, objects.image_width, objects.image_height) == ("camera", 64, 48)
    assert (objects.query, objects.kind, objects.source) == (result["query"], "point", "topic")
    assert (objects.status, objects.tracked, objects.frame_id) == ("FOUND", False, "camera_optical")
    assert len(objects.request_id) == 32
    first, second = objects.points
    assert (first.pixel.x, first.pixel.y, second.pixel.x, second.pixel.y) == (32, 24, 16, 12)
    assert (first.has_score, second.has_score) == (False, True) and second.score == pytest.approx(0.9)
    assert first.has_position and first.position.z == pytest.approx(2.0)
    assert first.track_id == 0 and not first.has_normal
    # No message but the outcome's own is published twice.
    running.settle()
    assert len(listener.heard["objects"]) == len(running.heard["result"]) == 1
    assert running.heard["result"][0].request_id == objects.request_id


def test_listeners_come_and_go(running, make, listener):
    send(running, make)
    running.ask("at 0.5,0.5")
    listener.listen("markers", "annotated", "annotated/compressed")
    send(running, make)
    listener.hear("at 0.5,0.5", "markers", "annotated", "annotated/compressed")
    listener.leave("annotated")
    send(running, make)
    listener.hear("at 0.25,0.5", "markers", "annotated/compressed")
    listener.listen("annotated")
    send(running, make)
    listener.hear("at 0.25,0.5", "annotated")
    assert len(listener.heard["annotated"]) == 1


@pytest.mark.parametrize("topic", ["annotated", "annotated/compressed"])
def test_a_picture_is_drawn_only_while_somebody_looks(robot, topic):
    """The node's own publishers, here in this process, where it can be seen what they ask for."""
    owner = rclpy.create_node("drawing", context=robot.context)
    outputs = ObjectOutputs(owner, owner.get_logger())
    array = ObjectPointArray(status="FOUND", points=[ObjectPoint()])
    asked = []

    def picture():
        asked.append(topic)
        return np.zeros((48, 64, 3), np.uint8)

    found = FoundObjects(array, View(picture))
    outputs.publish(found, 0)
    assert not asked
    subscription = robot.node.create_subscription(KINDS[topic], f"drawing/{topic}", asked.append, 1)
    robot.spin_until(lambda: owner.count_subscribers(f"/drawing/{topic}") == 1)
    robot.spin(0.3)
    outputs.publish(found, 0)
    robot.spin_until(lambda: len(asked) == 2)
    robot.node.destroy_subscription(subscription)
    robot.spin_until(lambda: owner.count_subscribers(f"/drawing/{topic}") == 0)
    robot.spin(0.3)
    outputs.publish(found, 0)
    assert len(asked) == 2
    owner.destroy_node()


def test_the_annotated_picture_raw_and_as_jpeg(running, make, listener):
    listener.listen("annotated", "annotated/compressed")
    gray = make.picture(320, 240, color=(90, 90, 90))
    running.send_frame(gray)
    _, (raw, compressed) = listener.hear("at 0.75,0.5", "annotated", "annotated/compressed")
    assert (raw.encoding, raw.width, raw.height, raw.step) == ("rgb8", 320, 240, 960)
    drawn = np.frombuffer(raw.data, np.uint8).reshape(240, 320, 3)
    rows, columns = np.nonzero((drawn == PINK).all(axis=2))
    assert abs(columns.mean() - 240) < 3 and abs(rows.mean() - 120) < 3
    decoded = cv2.imdecode(np.frombuffer(compressed.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert decoded.shape == drawn.shape
    assert np.abs(decoded.astype(int) - drawn).mean() < 4


def test_what_is_not_found_clears_the_markers(running, make, listener):
    listener.listen("markers", "objects", "points")
    send(running, make)
    _, (markers,) = listener.hear("at 0.5,0.5 0.25,0.5", "markers")
    balls = [
        marker for marker in markers.markers if marker.type == Marker.SPHERE and marker.action == Marker.ADD
    ]
    assert len(balls) == 2
    send(running, make)
    result, (markers, objects, points) = listener.hear("nothing", "markers", "objects", "points")
    assert result["status"] == objects.status == "NOT_FOUND" and not objects.points
    assert {marker.action for marker in markers.markers} == {Marker.DELETEALL}
    assert {ball.ns for ball in balls} <= {marker.ns for marker in markers.markers}
    assert points.poses == []


def test_a_picture_that_cannot_be_drawn_takes_nothing_with_it(running, make, listener):
    """A JPEG has at most 65500 px in a direction."""
    listener.listen("annotated/compressed", "annotated", "objects", "markers", "pixels")
    size = 70000, 8
    running.send_frame(make.picture(*size), make.depth(np.full(size[::-1], 2.0)), make.info(*size))
    result, _ = listener.hear("at 0.5,0.5", "annotated", "objects", "markers", "pixels")
    assert result["status"] == "FOUND" and not listener.heard["annotated/compressed"]
    send(running, make)
    listener.hear("at 0.5,0.5", "annotated/compressed")


def test_a_question_is_answered_in_words(running, make, listener):
    listener.listen("answer", "points", "pixels")
    send(running, make)
    _, (answer,) = listener.hear("what is left of the mug?", "answer")
    assert answer.data == "ask: what is left of the mug?"
    assert not listener.heard["points"] and not listener.heard["pixels"]


def test_a_refused_query_moves_nothing(running, make, listener):
    listener.listen(*KINDS)
    send(running, make)
    result, _ = listener.hear("")
    assert result["status"] == "ERROR"
    running.settle()
    assert not any(listener.heard.values())


tf2_msgs = pytest.importorskip("tf2_msgs.msg")


@pytest.fixture
def world(running):
    """The optical frame stands 1 m above the world's origin, and looks along its z axis."""
    from geometry_msgs.msg import TransformStamped
    from rclpy.duration import Duration
    from rclpy.qos import DurabilityPolicy, QoSProfile

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = running.node.create_publisher(tf2_msgs.TFMessage, "/tf_static", latched)
    place = TransformStamped(child_frame_id="camera_optical")
    place.header.frame_id = "world"
    place.transform.translation.z = 1.0
    publisher.publish(tf2_msgs.TFMessage(transforms=[place]))
    assert not running.set(target_frame="world", surface_normals=True)
    running.meet()
    assert publisher.wait_for_all_acked(Duration(seconds=20))
    running.settle()
    yield
    assert not running.set(target_frame="", surface_normals=False)
    running.node.destroy_publisher(publisher)


def test_what_is_in_metres_names_the_target_frame(running, make, listener, world):
    listener.listen("objects", "point", "points", "pixels", "markers", "annotated")
    stamp = send(running, make)
    _, (objects, point, points, pixels, markers, annotated) = listener.hear(
        "at 0.5,0.5", "objects", "point", "points", "pixels", "markers", "annotated"
    )
    in_metres, in_pixels = [point, points, *markers.markers], [objects, pixels, annotated]
    assert {one.header.frame_id for one in in_metres} == {objects.frame_id} == {"world"}
    assert {one.header.frame_id for one in in_pixels} == {"camera_optical"}
    assert all(one.header.stamp == stamp for one in in_metres + in_pixels)
    assert point.point.z == points.poses[0].position.z == pytest.approx(3.0)
    normal = objects.points[0].normal
    assert objects.points[0].has_normal
    assert (normal.x, normal.y, normal.z) == pytest.approx((0, 0, -1), abs=1e-3)
