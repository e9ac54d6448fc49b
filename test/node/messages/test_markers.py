# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Markers as RViz takes them: first the removal by camera, then balls, labels and arrows, which fade by themselves."""

import numpy as np
import pytest

pytest.importorskip("molmo_msgs.msg")
pytest.importorskip("visualization_msgs.msg")

from geometry_msgs.msg import Point, Vector3  # noqa: E402
from molmo_msgs.msg import Grasp, GraspArray, ObjectGrasps, ObjectPoint, ObjectPointArray  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

from molmo_ros.node.messages.markers import markers_message  # noqa: E402


def object_point(x, track=0, normal=None, placed=True):
    point = ObjectPoint(label="mug", track_id=track, has_position=placed)
    if placed:
        point.position = Point(x=x, y=-0.1, z=0.7)
    if normal:
        point.has_normal, point.normal = True, Vector3(x=normal[0], y=normal[1], z=normal[2])
    return point


def record(*points, camera="wrist"):
    array = ObjectPointArray(camera=camera, points=list(points), frame_id="base_link")
    array.header.frame_id, array.header.stamp.sec = "camera_optical", 12
    return array


class Viewer:
    """What RViz and Foxglove show after messages, by visualization_msgs/Marker.msg and RViz' marker display."""

    def __init__(self):
        self.shown = {}

    def take(self, message):
        for marker in deserialize_message(serialize_message(message), MarkerArray).markers:
            if marker.action == Marker.DELETEALL:
                self.shown = {
                    key: kept for key, kept in self.shown.items() if marker.ns and key[0] != marker.ns
                }
            else:
                assert marker.action == Marker.ADD and (marker.ns, marker.id) not in self.shown
                self.shown[marker.ns, marker.id] = marker
        return self


def test_vanished_points_vanish_and_other_cameras_stay():
    viewer = Viewer()
    viewer.take(markers_message(record(object_point(0.1, normal=(0.0, 0.0, -1.0)), object_point(0.2))))
    viewer.take(markers_message(record(object_point(0.5), camera="head")))
    assert len(viewer.shown) == 5 + 2
    viewer.take(markers_message(record(object_point(0.3))))
    assert sorted(viewer.shown) == [
        ("head/labels", -1),
        ("head/points", -1),
        ("wrist/labels", -1),
        ("wrist/points", -1),
    ]
    viewer.take(markers_message(record()))
    assert {ns for ns, _ in viewer.shown} == {"head/points", "head/labels"}


def test_nothing_found_is_only_the_removal():
    markers = markers_message(record()).markers
    assert [marker.action for marker in markers] == [Marker.DELETEALL] * 5
    parts = ("points", "labels", "normals", "boxes", "grasps")
    assert {marker.ns for marker in markers} == {f"wrist/{part}" for part in parts}


def test_points_without_a_place_have_no_marker():
    shown = Viewer().take(markers_message(record(object_point(0, placed=False), object_point(0.4)))).shown
    assert [marker.pose.position.x for (ns, _), marker in shown.items() if ns == "wrist/points"] == [0.4]


def test_frame_stamp_lifetime_and_sizes():
    message = markers_message(record(object_point(0.1, normal=(0.0, -1.0, 0.0))))
    assert {(m.header.frame_id, m.header.stamp.sec, m.frame_locked) for m in message.markers} == {
        ("base_link", 12, False)
    }
    for marker in message.markers[5:]:
        assert 1 <= marker.lifetime.sec <= 60
        assert marker.color.a > 0 and marker.pose.orientation.w == 1
        sizes = [marker.scale.z] if marker.type == Marker.TEXT_VIEW_FACING else [*_xyz(marker.scale)]
        assert all(0.002 < size < 0.1 for size in sizes), "for things on a table"


def test_the_arrow_starts_at_the_point_and_leads_along_the_normal():
    normal = (0.6, 0.0, -0.8)
    (arrow,) = (
        m
        for m in markers_message(record(object_point(0.1, normal=normal))).markers
        if m.action == Marker.ADD and m.type == Marker.ARROW
    )
    start, tip = np.array(_xyz(arrow.points[0])), np.array(_xyz(arrow.points[1]))
    assert np.allclose(start, (0.1, -0.1, 0.7)) and _xyz(arrow.pose.position) == (0, 0, 0)
    assert np.allclose((tip - start) / np.linalg.norm(tip - start), normal)


def test_the_label_says_what_where_and_how_sure():
    array = record(object_point(0.1))
    array.points[0].has_score, array.points[0].score = True, 0.874
    (label,) = (m for m in markers_message(array).markers if m.ns == "wrist/labels" and m.text)
    assert label.type == Marker.TEXT_VIEW_FACING
    assert label.text == "mug 0.87\n0.100 -0.100 0.700 m"


@pytest.mark.parametrize("frame,up", [("base_link", (0, 0, 1)), ("camera_optical", (0, -1, 0))])
def test_the_label_is_above_the_ball(frame, up):
    array = record(object_point(0.1))
    array.frame_id = frame
    ball, label = markers_message(array).markers[5:]
    rise = np.subtract(_xyz(label.pose.position), _xyz(ball.pose.position))
    assert np.dot(rise, up) == pytest.approx(np.linalg.norm(rise)) and np.linalg.norm(rise) > 0.02


def test_a_tracked_object_keeps_its_id_and_long_ones_fit():
    array = record(object_point(0.1, track=2), object_point(0.2), object_point(0.3, track=2**63 + 5))
    ids = {ident for _, ident in Viewer().take(markers_message(array)).shown}
    assert ids == {2, -2, 5}, "no two are the same"


def _xyz(vector):
    return vector.x, vector.y, vector.z


def test_the_box_of_an_object_comes_and_goes_with_it():
    array = record(object_point(0.1, track=3), object_point(0.2))
    array.points[0].region_valid = True
    array.points[0].box_pose.position, array.points[0].box_size = (
        Point(x=0.1, z=0.7),
        Vector3(x=0.1, y=0.2, z=0.3),
    )
    viewer = Viewer().take(markers_message(array))
    box = viewer.shown["wrist/boxes", 3]
    assert box.type == Marker.CUBE and 0 < box.color.a < 1, "one looks through it"
    assert box.scale == array.points[0].box_size and box.pose == array.points[0].box_pose
    assert [key for key in viewer.shown if key[0] == "wrist/boxes"] == [("wrist/boxes", 3)]
    assert not [key for key in viewer.take(markers_message(record())).shown if key[0] == "wrist/boxes"]


def test_the_best_grasp_is_drawn_as_wide_as_the_gripper_opens():
    array = record(object_point(0.1), object_point(0.2))
    best, other = Grasp(opening=0.06), Grasp(opening=0.08)
    best.pose.position.x = 0.4
    objects = [ObjectGrasps(number=1, reason="too wide"), ObjectGrasps(number=2, grasps=[best, other])]
    viewer = Viewer().take(markers_message(array, GraspArray(objects=objects)))
    ((key, drawn),) = ((key, one) for key, one in viewer.shown.items() if key[0] == "wrist/grasps")
    assert key[1] == -2 and drawn.type == Marker.LINE_LIST and drawn.pose == best.pose
    assert max(point.y for point in drawn.points) == -min(point.y for point in drawn.points) == 0.03
    assert max(point.z for point in drawn.points) == 0 > min(point.z for point in drawn.points)
