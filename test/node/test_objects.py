# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The objects at the points over DDS: asked for, on topics, late and from bad input; held against the simulator."""

import array
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mujoco")

from geometry_msgs.msg import Point as PixelMessage  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from molmo_msgs.msg import GraspArray, ObjectPointArray  # noqa: E402
from molmo_msgs.srv import Point  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, PointCloud2  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

from molmo_ros.sim.renderer import render  # noqa: E402
from molmo_ros.sim.scene import Scene  # noqa: E402

DEPTH = True
SIZE = 640, 480
KINDS = {
    "object_regions": ObjectPointArray,
    "regions": Image,
    "clouds": PointCloud2,
    "grasps": GraspArray,
    "markers": MarkerArray,
    "annotated": Image,
    "pose": PoseStamped,
    "pixel": PixelMessage,
    "answered/image": Image,
    "answered/depth": Image,
    "answered/camera_info": CameraInfo,
}


class Table:
    """A simulated table: its pictures as messages, and where its objects are in them.

    Attributes:
        query: What makes the fake model point at the middle of each object.
        masks: By object, its pixels, bool [h, w].
    """

    def __init__(self, make, seed=3):
        self.scene = Scene.random(seed)
        self.view = render(self.scene, *SIZE)
        seen = [
            number
            for number in range(len(self.scene.objects))
            if (self.view.segmentation == number).sum() > 400
        ]
        self.masks = [self.view.segmentation == number for number in seen]
        middles = [_inside(mask) for mask in self.masks]
        self.query = "at " + " ".join(
            f"{(column + 0.5) / SIZE[0]:.5f},{(row + 0.5) / SIZE[1]:.5f}" for row, column in middles
        )
        self._make = make

    def top(self):
        """The pixels of the table's top, bool [h, w]: most of what is seen is as high."""
        columns, rows = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
        rays = np.dstack([columns, rows, np.ones(columns.shape)]) @ np.linalg.inv(self.view.intrinsics).T
        places = rays * self.view.depth[..., None] @ self.scene.camera.world_from_optical.T
        heights = np.round(places[..., 2], 3)
        levels, counts = np.unique(heights[np.isfinite(heights)], return_counts=True)
        return np.abs(heights - levels[np.argmax(counts)]) < 0.0015

    def send(self, robot, depth=None, **options):
        """Publish a frame; returns its stamp."""
        picture = Image(height=SIZE[1], width=SIZE[0], encoding="rgb8", step=3 * SIZE[0])
        picture.data = array.array("B", self.view.rgb.tobytes())
        k = self.view.intrinsics
        info = CameraInfo(
            height=SIZE[1], width=SIZE[0], k=k.ravel(), d=[0.0] * 5, distortion_model="plumb_bob"
        )
        metres = self.view.depth if depth is None else depth
        return robot.send_frame(picture, self._make.depth(metres), info, **options)


def _inside(mask):
    """Row and column of the pixel of a mask that is furthest from its rim."""
    framed = np.pad(mask, 1).astype(np.uint8)
    return np.unravel_index(np.argmax(cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]), mask.shape)


def _rectangle(mask):
    """The smallest rectangle around a mask, as a mask."""
    return np.logical_and.outer(_between(mask.any(axis=1)), _between(mask.any(axis=0)))


def _between(some):
    return np.maximum.accumulate(some) & np.maximum.accumulate(some[::-1])[::-1]


@pytest.fixture(scope="module")
def table(make):
    return Table(make)


@pytest.fixture
def listen(running):
    """Listens to topics; returns what was heard, by name."""
    heard, subscriptions = {}, []

    def on(*names):
        for name in names:
            heard[name] = []
            subscriptions.append(
                running.node.create_subscription(KINDS[name], f"molmo_node/{name}", heard[name].append, 10)
            )
        running.spin_until(
            lambda: all(running.node.count_publishers(f"/molmo_node/{name}") for name in names)
        )
        running.meet()
        return heard

    yield on
    for one in subscriptions:
        running.node.destroy_subscription(one)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def values(message, kind):
    return np.frombuffer(bytes(message.data), kind)


def test_a_service_call_answers_with_the_objects_and_how_to_take_hold_of_them(running, table):
    stamp = table.send(running)
    plain = running.call(Point, "point_at", labels=[table.query])
    assert {point.on for point in plain.result.points} == {""} and not plain.grasps.objects
    response = running.call(Point, "point_at", labels=[table.query], grasps=True)
    result, grasps = response.result, response.grasps
    assert len(result.points) == len(table.masks) == len(grasps.objects) > 2
    assert result.header.stamp == stamp == grasps.header.stamp
    assert grasps.header.frame_id == result.frame_id == "camera_optical"
    assert {"regions", "grasps"} <= {one.stage for one in result.timings}
    for number, (point, mask) in enumerate(zip(result.points, table.masks, strict=True), start=1):
        assert point.on == "object" and point.region_valid, point.region_reason
        box, rectangle = point.box_2d, np.zeros_like(mask)
        rectangle[box.y_offset : box.y_offset + box.height, box.x_offset : box.x_offset + box.width] = True
        assert iou(rectangle, _rectangle(mask)) > 0.7
        assert 0.01 < point.box_size.x < 0.4 and 0.01 < point.box_size.y < 0.4
        assert grasps.objects[number - 1].number == number
        assert bool(grasps.objects[number - 1].grasps) != bool(grasps.objects[number - 1].reason)
    said = [one for one in running.heard["result"] if one.source == "service"]
    assert len(said) == 2 and {point.region_valid for point in said[-1].points} == {False}


def test_topics_show_the_objects_of_the_answered_frame(running, table, listen):
    heard = listen("object_regions", "regions", "clouds", "grasps", "markers")
    stamp = table.send(running)
    running.ask(table.query)
    running.spin_until(lambda: all(heard[name] for name in heard))
    (objects,), (labels,), (cloud,), (grasps,) = (
        heard[name] for name in ("object_regions", "regions", "clouds", "grasps")
    )
    assert labels.header == objects.header and objects.header.stamp == stamp
    assert labels.encoding == "mono16"
    numbers = values(labels, np.uint16).reshape(SIZE[::-1])
    for number, mask in enumerate(table.masks, start=1):
        assert iou(numbers == number, mask) > 0.85
    points = values(cloud, np.dtype([("xyz", "f4", 3), ("rgb", "u4"), ("number", "u4")]))
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "rgb", "number"]
    assert cloud.header.stamp == stamp and cloud.header.frame_id == "camera_optical"
    assert set(points["number"]) == set(range(1, len(table.masks) + 1))
    at = points["xyz"] @ table.view.intrinsics.T
    columns, rows = np.rint(at[:, :2] / at[:, 2:]).astype(int).T
    assert (numbers[rows, columns] == points["number"]).all()
    red, green, blue = points["rgb"] >> 16, points["rgb"] >> 8 & 255, points["rgb"] & 255
    assert (np.stack([red, green, blue], axis=1) == table.view.rgb[rows, columns]).all()
    np.testing.assert_allclose(points["xyz"][:, 2], table.view.depth[rows, columns], atol=1e-5)
    assert len(grasps.objects) == len(table.masks)
    boxes = [
        one for one in heard["markers"][0].markers if one.type == Marker.CUBE and one.action == Marker.ADD
    ]
    assert len(boxes) == len(table.masks) and boxes[0].scale == objects.points[0].box_size


def test_the_points_come_before_a_slow_search_for_their_objects(running, table, listen, gate):
    heard = listen("object_regions", "pixel")
    table.send(running)
    running.ask(f"regions after {gate.path} {table.query}")
    running.spin_until(lambda: running.heard["objects"] and heard["pixel"] and running.heard["point"])
    assert not heard["object_regions"]
    gate.open()
    running.spin_until(lambda: heard["object_regions"])
    assert heard["object_regions"][0].points[0].region_valid


def exact_sets(heard):
    """What an exact synchroniser hands out: the messages of all topics of equal stamps, whenever they came."""
    by_stamp = [{(one.header.stamp.sec, one.header.stamp.nanosec): one for one in some} for some in heard]
    common = set(by_stamp[0]).intersection(*by_stamp[1:])
    return [[one[stamp] for one in by_stamp] for stamp in sorted(common)]


def test_the_answered_frame_comes_once_more_for_readers_that_synchronise_exactly(running, table, listen):
    heard = listen("answered/image", "answered/depth", "answered/camera_info", "object_regions", "regions")
    stamps = []
    for number in range(3):
        stamps.append(table.send(running))
        table.send(running)  # what came later is not answered
        stamps[-1] = running.ask(f"{table.query} again {number}")["stamp"]
    running.spin_until(lambda: all(len(heard[name]) == 3 for name in heard))
    sets = exact_sets([*heard.values()])
    assert [one[0].header.stamp.nanosec for one in sets] == [stamp["nanosec"] for stamp in stamps]
    for image, depth, info, objects, labels in sets:
        assert image.encoding == "rgb8" and bytes(image.data) == table.view.rgb.tobytes()
        np.testing.assert_array_equal(values(depth, np.float32), table.view.depth.ravel())
        assert info.k.tolist() == table.view.intrinsics.ravel().tolist()
        assert image.header == labels.header == objects.header


def test_the_best_object_is_a_pixel_and_a_pose_out_of_its_surface(running, table, listen):
    heard = listen("pose", "pixel")
    table.send(running)
    running.ask(table.query)
    running.spin_until(lambda: heard["pixel"] and heard["pose"])
    running.spin_until(lambda: running.heard["point"] and running.heard["objects"])
    (pose,), points = heard["pose"], running.heard["objects"][-1].points
    assert pose.header.frame_id == "camera_optical" and pose.pose.position == running.heard["point"][-1].point
    (best,) = (point for point in points if point.position == pose.pose.position)
    assert {(one.x, one.y) for one in heard["pixel"]} == {(best.pixel.x, best.pixel.y)}
    x, y, z, w = (getattr(pose.pose.orientation, name) for name in "xyzw")
    out = 2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)
    assert np.dot(out, (best.position.x, best.position.y, best.position.z)) < 0, "toward the camera"
    assert not any(point.has_normal for point in points), "nobody asked for those"


def test_an_action_answers_with_the_objects_too(running, table):
    table.send(running)
    status, result = running.goal(prompt=table.query, regions=True).end()
    assert status == "SUCCEEDED" and all(point.region_valid for point in result.points)


def test_room_to_put_something_is_part_of_the_answer(running, table):
    table.send(running)
    row, column = _inside(table.top())
    labels = [f"at {column / SIZE[0]:.5f},{row / SIZE[1]:.5f}", table.query]
    points = running.call(Point, "point_at", labels=labels, place=True).result.points
    assert points[0].on == "support" and points[0].has_normal and points[0].free_radius > 0.02
    assert {point.free_radius for point in points[1:]} == {0.0}
    assert all(point.region_reason for point in points[1:])


def test_what_was_searched_in_vain_is_told_and_counted_and_the_points_stand(running, table, listen):
    heard = listen("object_regions", "markers", "regions")
    table.send(running)
    running.ask(f"regions fail {table.query}")
    running.spin_until(lambda: heard["object_regions"] and heard["markers"])
    (objects,) = heard["object_regions"]
    assert {"no regions today" in point.region_reason for point in objects.points} == {True}
    assert all(point.has_position for point in objects.points)
    assert not heard["regions"], "an empty image would say that there is nothing"
    balls = [one for one in heard["markers"][0].markers if one.type == Marker.SPHERE and not one.action]
    assert len(balls) == len(objects.points)
    response = running.call(Point, "point_at", labels=[f"regions fail {table.query}"], grasps=True)
    assert response.result.status == "FOUND"
    assert all("no regions today" in one.reason for one in response.grasps.objects)


@pytest.mark.parametrize("value", [0.0, np.nan, 1.0, 65.0])
def test_depth_that_shows_nothing_is_a_reason_and_hurts_no_point(running, table, value):
    table.send(running, np.full(SIZE[::-1], value, np.float32))
    response = running.call(Point, "point_at", labels=[table.query, "at 0,0 1,1"], grasps=True)
    assert response.result.status in ("FOUND", "NO_DEPTH")
    points = response.result.points
    assert len(points) == len(table.masks) + 2 == len(response.grasps.objects)
    assert all(point.region_reason and not point.region_valid for point in points)
    assert all(one.reason and not one.grasps for one in response.grasps.objects)


def test_an_image_that_came_with_the_call_has_no_objects_for_a_reason(running, make):
    response = running.call(Point, "point_at", labels=["at 0.5,0.5"], grasps=True, image=make.picture())
    (point,), (grasps,) = response.result.points, response.grasps.objects
    assert response.result.status == "FOUND" and not point.region_valid
    assert "without depth" in point.region_reason and grasps.reason == point.region_reason
    assert running.call(Point, "point_at", labels=["none"], grasps=True).grasps.objects == []


def test_hundreds_of_points_are_answered(running, table):
    table.send(running)
    rng = np.random.default_rng(0)
    places = [f"{x:.4f},{y:.4f}" for x, y in rng.uniform(0, 1, (500, 2))]
    labels = [" ".join(["at", *places[::2]]), " ".join(["at", *places[1::2]])]
    response = running.call(Point, "point_at", labels=labels, grasps=True)
    assert len(response.result.points) == len(response.grasps.objects) == 500
    assert all(point.region_valid != bool(point.region_reason) for point in response.result.points)


def test_a_reader_that_leaves_while_its_objects_are_looked_for_harms_nobody(running, table, gate):
    leaving = running.node.create_subscription(ObjectPointArray, "molmo_node/object_regions", print, 1)
    running.meet()
    table.send(running)
    running.ask(f"regions after {gate.path} {table.query}")
    running.node.destroy_subscription(leaving)
    running.meet()
    gate.open()
    response = running.call(Point, "point_at", labels=[table.query], regions=True)
    assert all(point.region_valid for point in response.result.points)


@pytest.mark.parametrize("value", [0.0, -0.01, 85.0, float("nan"), float("inf")])
def test_measures_that_no_gripper_has_are_refused_with_the_range(running, value):
    for name in ("gripper_opening", "finger_thickness", "finger_width", "finger_depth"):
        assert f"{name} = " in running.set(**{name: value}) and "0." in running.set(**{name: value})


def test_objects_follow_tracked_points_with_their_ids_and_at_a_rate(running, table, listen):
    heard = listen("object_regions", "regions")
    assert not running.set(queries=[table.query], tracking=True, rate=5.0)

    def show(until, patience=20.0):
        deadline = time.monotonic() + patience
        while not until() and time.monotonic() < deadline:
            table.send(running, settle=0.05)
        return until()

    def tracked(name):
        return [one for one in heard.get(name, running.heard["objects"]) if one.tracked]

    assert show(lambda: len(tracked("object_regions")) >= 5)
    points = {(one.header.stamp.sec, one.header.stamp.nanosec): one for one in tracked("objects")}
    for objects in tracked("object_regions"):
        same = points[objects.header.stamp.sec, objects.header.stamp.nanosec]
        assert [one.track_id for one in objects.points] == [one.track_id for one in same.points]
        assert all(one.region_valid for one in objects.points)
    assert len({tuple(one.track_id for one in some.points) for some in tracked("object_regions")}) == 1
    stamps = {(one.header.stamp.sec, one.header.stamp.nanosec) for one in heard["regions"]}
    assert {
        (one.header.stamp.sec, one.header.stamp.nanosec) for one in tracked("object_regions")[:-1]
    } <= stamps
    assert not running.set(region_rate=2.0)
    for messages in (*heard.values(), running.heard["objects"]):
        messages.clear()
    began = time.monotonic()
    assert show(lambda: len(running.heard["objects"]) > 12 and len(heard["object_regions"]) >= 2, 30.0)
    assert len(heard["object_regions"]) <= 2.0 * (time.monotonic() - began) + 2
    assert not running.set(queries=[""], tracking=False, rate=1.0, region_rate=0.0)


def test_a_deactivation_leaves_nobody_waiting(running, table, gate):
    table.send(running)
    wanted = Point.Request(labels=[f"regions after {gate.path} {table.query}"], grasps=True)
    future = running.client(Point, "point_at").call_async(wanted)
    running.spin_until(lambda: any(one.source == "service" for one in running.heard["result"]))
    assert running.change_state("deactivate")
    running.spin_until(future.done)  # what is looked for never ends
    result = future.result().result
    assert result.status == "FOUND" and len(result.points) == len(table.masks)
    assert all("deactivated" in point.region_reason for point in result.points)
    gate.open()
    assert running.change_state("activate")
    running.spin_until(lambda: running.node.count_subscribers("/image"))
    running.meet()
    table.send(running)
    assert running.call(Point, "point_at", labels=[table.query], regions=True).result.points[0].region_valid
