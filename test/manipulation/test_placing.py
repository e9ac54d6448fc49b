# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Free room on a support, against discs drawn on the true table."""

import numpy as np
import pytest
from simulated import plane_of, seen, surface_of

from molmo_ros.geometry import RigidTransform, quaternion
from molmo_ros.manipulation.placing import STANDS_ON, free_places
from molmo_ros.regions.region import Plane, PointsOn, SceneRegions

K = np.array([[565.0, 0, 319.5], [0, 565.0, 239.5], [0, 0, 1]])
DOWN = Plane((0.0, 0.0, -1.0), -0.5)
"""A table that a camera looks down at from 0.5 m."""


def bare(depth, supports=(DOWN,)):
    return SceneRegions(surface_of(depth, K), supports, ())


@pytest.fixture
def table():
    return np.full((480, 640), 0.5, np.float32)


def test_room_beside_a_box_ends_where_the_box_stands(table):
    table[200:280, 400:480] = 0.45  # its left side is at column 399.5 of the upper surface
    (place,) = free_places(bare(table), [(300, 240)])
    left_of_box = (399.5 - 319.5) / 565 * 0.45
    hidden_from = (399.5 - 319.5) / 565 * 0.5
    here = (300 - 319.5) / 565 * 0.5
    assert place.valid and place.on == PointsOn.SUPPORT
    assert place.position == pytest.approx((here, (240 - 239.5) / 565 * 0.5, 0.5), abs=1e-6)
    assert left_of_box - here - 0.001 <= place.free_radius <= hidden_from - here + 0.0005
    assert place.support is DOWN


def test_room_ends_at_the_images_rim(table):
    (place,) = free_places(bare(table), [(40, 240)])
    assert place.free_radius == pytest.approx(40 / 565 * 0.5, abs=0.001)


def test_room_ends_at_the_supports_edge_and_where_nothing_was_measured(table):
    lower = table.copy()
    lower[:, 500:] = 0.9
    hole = table.copy()
    hole[:, 500:560] = np.nan
    for depth in (lower, hole):
        (place,) = free_places(bare(depth), [(440, 240)])
        assert place.free_radius == pytest.approx(60 / 565 * 0.5, abs=0.0015)


def test_what_hangs_over_the_support_takes_its_room_and_a_shelf_above_does_not(table):
    table[:, 360:380] = 0.42
    over = free_places(bare(table), [(340, 240)])[0].free_radius
    assert over == pytest.approx((360 - 319.5) / 565 * 0.42 - (340 - 319.5) / 565 * 0.5, abs=0.001)
    table[:, 360:380] = 0.30
    assert free_places(bare(table), [(340, 240)])[0].free_radius == pytest.approx(20 / 565 * 0.5, abs=0.001)


@pytest.mark.parametrize("sigma", [0.001, 0.002])
def test_noise_and_small_holes_are_neither_things_nor_edges(table, sigma):
    rng = np.random.default_rng(3)
    noisy = table + rng.normal(0, sigma, table.shape).astype(np.float32)
    noisy[rng.random(table.shape) < 0.01] = np.nan
    (place,) = free_places(bare(noisy), [(320, 240)])
    assert place.free_radius == pytest.approx(240 / 565 * 0.5, abs=0.006)


def test_nothing_here_in_free_space_on_objects_and_outside(table):
    table[100:200, 100:200] = np.nan
    table[300:340, 300:340] = 0.46
    table[:, 560:] = 2.0
    scene = bare(table)
    gap, box, far, outside, no_pixel = free_places(
        scene, [(150, 150), (320, 320), (600, 240), (640, 3), (np.nan, 0)]
    )
    assert (gap.on, far.on, box.on) == (PointsOn.NOTHING, PointsOn.NOTHING, PointsOn.OBJECT)
    assert "nothing here" in gap.reason and "nothing here" in far.reason and box.reason == STANDS_ON
    assert "outside" in outside.reason and no_pixel.reason
    assert not any(place.valid or place.free_radius for place in (gap, box, far, outside, no_pixel))
    with pytest.raises(ValueError, match="no place"):
        gap.height()


def test_a_wall_takes_nothing_where_the_vertical_is_known(table):
    assert free_places(bare(table), [(320, 240)])[0].valid
    (place,) = free_places(bare(table), [(320, 240)], up=(0.0, -1.0, 0.0))
    assert not place.valid and "90 degrees" in place.reason
    assert free_places(bare(table), [(320, 240)], up=(0.0, 0.1, -1.0))[0].valid


def test_height_is_along_the_normal_above_the_target_frames_origin(table):
    (place,) = free_places(bare(table), [(100, 100)])
    turned = RigidTransform((0.0, 0.0, 1.2), quaternion.from_matrix(np.diag([1.0, -1.0, -1.0])))
    assert place.height() == pytest.approx(-0.5)
    assert place.height(turned) == pytest.approx(0.7)


def test_no_support_in_view(table):
    assert "no support" in free_places(bare(table, ()), [(320, 240)])[0].reason
    assert not free_places(bare(np.full_like(table, np.nan)), [(320, 240)])[0].valid


def test_discs_on_simulated_tables_are_free_of_every_object():
    places = 0
    for seed in range(4):
        scene, frame, regions = seen(seed, 320, 240)
        table = plane_of(scene.camera)
        rng = np.random.default_rng(seed)
        pixels = np.stack([rng.integers(5, 315, 12), rng.integers(5, 235, 12)], axis=1)
        bodies = [
            points.points - table.heights(points.points)[:, None] * table.normal for points in regions.regions
        ]
        for (column, row), place in zip(pixels, free_places(regions, pixels), strict=True):
            on_table = abs(table.heights(regions.surface[row, column])) < 0.003
            assert place.valid == (on_table and frame.segmentation[row, column] < 0)
            if place.valid:
                places += 1
                away = min(np.linalg.norm(body - place.position, axis=1).min() for body in bodies)
                assert place.free_radius <= away + 1e-3
    assert places > 20
