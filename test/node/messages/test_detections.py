# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""vision_msgs from an answer: with the real package where it is installed, otherwise with its fields."""

import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import ModuleType

import pytest

pytest.importorskip("molmo_msgs.msg")

from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Vector3  # noqa: E402
from molmo_msgs.msg import ObjectPoint, ObjectPointArray  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from molmo_ros.node.messages.detections import (  # noqa: E402
    detections_2d_message,
    detections_3d_message,
    message_types,
)

REAL = find_spec("vision_msgs") is not None


@dataclass
class Point2D:
    x: float = 0.0
    y: float = 0.0


@dataclass
class Pose2D:
    position: Point2D = field(default_factory=Point2D)
    theta: float = 0.0


@dataclass
class BoundingBox2D:
    center: Pose2D = field(default_factory=Pose2D)
    size_x: float = 0.0
    size_y: float = 0.0


@dataclass
class BoundingBox3D:
    center: Pose = field(default_factory=Pose)
    size: Vector3 = field(default_factory=Vector3)


@dataclass
class ObjectHypothesis:
    class_id: str = ""
    score: float = 0.0


@dataclass
class ObjectHypothesisWithPose:
    hypothesis: ObjectHypothesis = field(default_factory=ObjectHypothesis)
    pose: PoseWithCovariance = field(default_factory=PoseWithCovariance)


@dataclass
class Detection2D:
    header: Header = field(default_factory=Header)
    results: list = field(default_factory=list)
    bbox: BoundingBox2D = field(default_factory=BoundingBox2D)
    id: str = ""


@dataclass
class Detection3D:
    header: Header = field(default_factory=Header)
    results: list = field(default_factory=list)
    bbox: BoundingBox3D = field(default_factory=BoundingBox3D)
    id: str = ""


@dataclass
class Detection2DArray:
    header: Header = field(default_factory=Header)
    detections: list = field(default_factory=list)


@dataclass
class Detection3DArray(Detection2DArray):
    pass


@pytest.fixture(autouse=True)
def vision_msgs(monkeypatch):
    """The fields of vision_msgs 4, where the package itself is not there."""
    if not REAL:
        messages = ModuleType("vision_msgs.msg")
        for kind in (
            Detection2D,
            Detection2DArray,
            Detection3D,
            Detection3DArray,
            ObjectHypothesisWithPose,
        ):
            setattr(messages, kind.__name__, kind)
        monkeypatch.setitem(sys.modules, "vision_msgs", ModuleType("vision_msgs"))
        monkeypatch.setitem(sys.modules, "vision_msgs.msg", messages)


def record():
    array = ObjectPointArray(frame_id="base_link", calibrated=True)
    array.header.frame_id, array.header.stamp.sec = "camera_optical", 12
    placed = ObjectPoint(label="red cube", pixel=Point(x=10.5, y=20.25), track_id=7)
    placed.has_score, placed.score = True, 0.75
    placed.has_position, placed.position = True, Point(x=0.1, y=0.2, z=0.7)
    placed.has_normal, placed.normal = True, Vector3(x=1.0)
    array.points = [ObjectPoint(label="mug", pixel=Point(x=640.0, y=0.0)), placed]
    return array


def over_the_wire(message):
    if not REAL:
        return message
    from rclpy.serialization import deserialize_message, serialize_message

    return deserialize_message(serialize_message(message), type(message))


def test_every_point_is_a_box_without_a_size_at_its_pixel():
    array = record()
    message = over_the_wire(detections_2d_message(array))
    assert message.header == array.header
    assert all(detection.header == array.header for detection in message.detections)
    boxes = [detection.bbox for detection in message.detections]
    assert [(box.center.position.x, box.center.position.y) for box in boxes] == [(640, 0), (10.5, 20.25)]
    assert {(box.size_x, box.size_y, box.center.theta) for box in boxes} == {(0, 0, 0)}


def test_the_score_is_the_points_own_and_never_made_up():
    message = over_the_wire(detections_2d_message(record()))
    results = [detection.results[0].hypothesis for detection in message.detections]
    assert [(result.class_id, result.score) for result in results] == [("mug", 0), ("red cube", 0.75)]


def test_an_id_means_the_same_object_in_the_next_message():
    assert [detection.id for detection in detections_2d_message(record()).detections] == ["", "7"]


def test_points_with_a_place_are_boxes_in_the_frame_of_the_positions():
    array = record()
    message = over_the_wire(detections_3d_message(array))
    assert message.header.stamp == array.header.stamp and message.header.frame_id == "base_link"
    (detection,) = message.detections
    assert detection.header == message.header and detection.id == "7"
    assert detection.results[0].hypothesis.class_id == "red cube"
    assert detection.results[0].hypothesis.score == 0.75
    place, turn = detection.bbox.center.position, detection.bbox.center.orientation
    assert (place.x, place.y, place.z) == (0.1, 0.2, 0.7) and detection.bbox.size == Vector3()
    z_axis_x = 2 * (turn.x * turn.z + turn.y * turn.w)
    assert z_axis_x == pytest.approx(1), "the z axis is the normal"
    assert detection.results[0].pose.pose == detection.bbox.center


def test_no_points_no_detections():
    array = ObjectPointArray(status="NOT_FOUND")
    assert detections_2d_message(array).detections == detections_3d_message(array).detections == []


def test_the_types_are_known_before_the_first_message():
    module = "molmo_ros.node.messages.detections"
    code = f"from {module} import message_types as types; print([t.__name__ for t in types() or ()])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert found.strip() == ("['Detection2DArray', 'Detection3DArray']" if REAL else "[]")
    if REAL:
        made = detections_2d_message(record()), detections_3d_message(record())
        assert tuple(map(type, made)) == message_types()


def test_where_the_object_is_known_the_box_is_its_own_and_the_pose_stays_the_points():
    array = record()
    point = array.points[1]
    point.region_valid = True
    point.box_2d.x_offset, point.box_2d.y_offset, point.box_2d.width, point.box_2d.height = 8, 10, 6, 25
    point.box_pose.position, point.box_size = Point(x=0.1, y=0.2, z=0.75), Vector3(x=0.05, y=0.06, z=0.1)
    flat = over_the_wire(detections_2d_message(array)).detections[1].bbox
    assert (flat.center.position.x, flat.center.position.y) == (
        11,
        22.5,
    )  # its middle, 0 at the image's edges
    assert (flat.size_x, flat.size_y) == (6, 25)
    (detection,) = over_the_wire(detections_3d_message(array)).detections
    assert detection.bbox.center == point.box_pose and detection.bbox.size == point.box_size
    assert detection.results[0].pose.pose.position == point.position
