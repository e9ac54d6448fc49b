# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From an answer's points to their objects: pixels, places, grasps, and whatever goes wrong alone."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import Point  # noqa: E402
from molmo_msgs.msg import ObjectPoint, ObjectPointArray, QueryState  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from molmo_ros.geometry import PinholeCamera, RigidTransform  # noqa: E402
from molmo_ros.node.answers import object_finder  # noqa: E402
from molmo_ros.node.answers.object_finder import ObjectFinder  # noqa: E402
from molmo_ros.node.parameters.declaration import Settings  # noqa: E402
from molmo_ros.node.records.surroundings import Surroundings  # noqa: E402
from molmo_ros.node.records.view import View  # noqa: E402

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
TABLE, TOP = 1.0, 0.94
"""How far the table and the block on it are below the camera, which looks straight down [m]."""
BLOCK = slice(100, 120), slice(60, 120)
"""Its rows and columns."""
HALF = 0.5**0.5


class Log:
    def __init__(self):
        self.said = []

    def error(self, text, **_throttle):
        self.said.append(text)


def seen(depth=None, target_from_optical=None, frame="camera_optical"):
    if depth is None:
        depth = np.full((HEIGHT, WIDTH), TABLE, np.float32)
        depth[BLOCK] = TOP
    camera = PinholeCamera(FOCAL, FOCAL, WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5, WIDTH, HEIGHT)
    surroundings = Surroundings(depth, camera, target_from_optical, frame, Image(), None)
    return View(lambda: np.full((HEIGHT, WIDTH, 3), 90, np.uint8), None, surroundings)


def answer(*pixels, kind="point", frame="camera_optical"):
    array = ObjectPointArray(query="q", kind=kind, frame_id=frame, image_width=WIDTH, image_height=HEIGHT)
    array.points = [ObjectPoint(label="block", pixel=Point(x=x, y=y), has_position=True) for x, y in pixels]
    return array


def finder(**parameters):
    log = Log()
    return ObjectFinder(lambda: Settings.of(parameters), log), log


def test_a_block_on_a_table_is_found_measured_and_can_be_taken_hold_of():
    find, log = finder()
    array = answer((90.0, 110.0), (250.0, 200.0))
    found = find.find(array, seen(), grasps=True)
    block, table = found.array.points
    assert block.region_valid and block.on == "object" and table.on == "support" and not table.region_valid
    rows, columns = BLOCK
    box = block.box_2d
    wanted = columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
    assert np.abs(np.subtract((box.x_offset, box.y_offset, box.width, box.height), wanted)).max() <= 1
    size = sorted((block.box_size.x, block.box_size.y, block.box_size.z))
    truth = sorted((60 * TOP / FOCAL, 20 * TOP / FOCAL, TABLE - TOP))
    np.testing.assert_allclose(size, truth, atol=0.006)
    assert found.grasps[0].grasps and not found.grasps[1].grasps and found.grasps[1].reason
    assert {one.stage for one in found.array.timings} == {"regions", "grasps"} == set(found.timing_ms)
    assert not log.said and not array.timings and not array.points[0].region_valid


def test_grasps_are_planned_for_the_gripper_that_there_is():
    small = finder(gripper_opening=0.03)[0].find(answer((90.0, 110.0)), seen(), grasps=True)
    assert not small.grasps[0].grasps and small.grasps[0].reason
    assert finder()[0].find(answer((90.0, 110.0)), seen(), grasps=False).grasps is None


def test_a_place_has_room_height_and_normal_in_the_robots_frame():
    # The base is 0.4 m below the table; up is against the view.
    down = RigidTransform((0.5, 0.0, 1.4), (1.0, 0.0, 0.0, 0.0))
    array = answer((220.5, 120.5), (90.0, 110.0), kind="place", frame="base_link")
    view = seen(target_from_optical=down, frame="base_link")
    free, taken = finder()[0].find(array, view, grasps=True).array.points
    assert free.on == "support" and free.free_radius == pytest.approx(100 / FOCAL, abs=0.03)
    assert free.support_height == pytest.approx(0.4, abs=0.003)
    assert free.has_normal and free.normal.z == pytest.approx(1, abs=1e-3)
    position = free.position.x, free.position.y, free.position.z
    np.testing.assert_allclose(position, (0.5 + 60.5 / FOCAL, -0.5 / FOCAL, 0.4), atol=0.005)
    assert taken.on == "object" and taken.free_radius == 0 and taken.region_reason and not taken.has_normal
    assert not free.region_valid and not taken.region_valid, "nobody wants to take hold of a place"


def test_places_and_things_of_one_frame_are_told_apart_by_their_query():
    array = answer((220.5, 120.5), (90.0, 110.0), kind="")
    array.queries = [QueryState(query="room", kind="place"), QueryState(query="block", kind="point")]
    array.points[0].query, array.points[1].query = "room", "block"
    place, thing = finder()[0].find(array, seen(), grasps=False).array.points
    assert place.free_radius > 0 and thing.free_radius == 0 and thing.region_valid


BAD_DEPTHS = {
    "zeros": np.zeros((HEIGHT, WIDTH), np.uint16),
    "NaN": np.full((HEIGHT, WIDTH), np.nan, np.float32),
    "one value": np.full((HEIGHT, WIDTH), 1.0, np.float32),
    "infinite": np.full((HEIGHT, WIDTH), np.inf, np.float32),
}


@pytest.mark.parametrize("depth", BAD_DEPTHS.values(), ids=BAD_DEPTHS)
def test_bad_depth_is_a_reason(depth):
    find, log = finder()
    array = answer((90.0, 110.0), (0.0, 0.0), (320.0, 240.0), (-5000.0, 1e9))
    found = find.find(array, seen(depth), grasps=True)
    for point, grasps in zip(found.array.points, found.grasps, strict=True):
        assert not point.region_valid and point.region_reason and not grasps.grasps and grasps.reason
    assert not log.said and not found.error


def test_hundreds_of_points_have_their_objects():
    rng = np.random.default_rng(0)
    array = answer(*rng.uniform((0, 0), (WIDTH, HEIGHT), (500, 2)).tolist())
    found = finder()[0].find(array, seen(), grasps=True)
    rows, columns = BLOCK
    inside = [
        columns.start + 3 < point.pixel.x < columns.stop - 3
        and rows.start + 3 < point.pixel.y < rows.stop - 3
        for point in array.points
    ]
    assert any(inside)
    assert all(point.region_valid for point, here in zip(found.array.points, inside, strict=True) if here)
    assert len(found.grasps) == 500


def test_without_depth_the_reason_is_why_there_is_none():
    array = answer((90.0, 110.0), (1.0, 1.0))
    array.points[0].reason = "no depth image has arrived"
    found = finder()[0].find(array, replace(seen(), surroundings=None), grasps=True)
    assert found.array.points[0].region_reason == "no depth image has arrived"
    assert found.array.points[1].region_reason and found.scene is None


def test_a_search_that_fails_is_told_and_takes_no_point_with_it(monkeypatch):
    find, log = finder()

    def broken(*_arguments, **_named):
        raise ZeroDivisionError("a plane of no size")

    monkeypatch.setattr(object_finder, "plan_grasps", broken)
    found = find.find(answer((90.0, 110.0)), seen(), grasps=True)
    assert found.array.points[0].region_valid and "a plane of no size" in found.grasps[0].reason
    monkeypatch.setattr(object_finder, "find_regions", broken)
    found = find.find(answer((90.0, 110.0)), seen(), grasps=True)
    assert "a plane of no size" in found.error and found.array.points[0].region_reason == found.error
    assert found.array.points[0].has_position and len(log.said) == 2
