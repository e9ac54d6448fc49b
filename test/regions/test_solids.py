# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Regions of solids whose depth has a formula: a truth that no renderer stands between."""

from __future__ import annotations

import numpy as np
import pytest

from molmo_ros.geometry import PinholeCamera
from molmo_ros.regions.region import ObjectRegion
from molmo_ros.regions.scene import find_regions

CAMERA = PinholeCamera(600, 600, 319.5, 239.5, 640, 480)
HEIGHT, RADIUS = 0.8, 0.04


def covered(region: ObjectRegion, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[region.rows, region.columns] = True
    return mask


def overlap(region: ObjectRegion, truth: np.ndarray) -> float:
    mask = covered(region, truth.shape)
    return float((mask & truth).sum() / (mask | truth).sum())


def sphere_on_a_plane(camera: PinholeCamera) -> tuple[np.ndarray, np.ndarray]:
    """Depth float32 [h, w] [m] of a ball on a plane seen straight from above, and the ball's mask, by formula."""
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    centre = HEIGHT - RADIUS
    # The nearer root of |z (x, y, 1) - (0, 0, centre)| = RADIUS.
    a = x**2 + y**2 + 1
    discriminant = centre**2 - a * (centre**2 - RADIUS**2)
    ball = discriminant > 0
    depth = np.where(ball, (centre - np.sqrt(np.maximum(discriminant, 0))) / a, HEIGHT)
    return depth.astype(np.float32), ball


@pytest.mark.parametrize("scale", [1, 2])
def test_a_ball_seen_from_above_has_its_circle_and_its_diameter(scale: int) -> None:
    camera = PinholeCamera(
        600 * scale, 600 * scale, 320 * scale - 0.5, 240 * scale - 0.5, 640 * scale, 480 * scale
    )
    depth, ball = sphere_on_a_plane(camera)
    region = find_regions(depth, camera, np.array([(320 * scale, 240 * scale)])).regions[0]
    assert overlap(region, ball) > 0.97
    assert region.box is not None and region.support is not None
    # The last pixels before the outline, where the ball turns away, are lost to the jump in depth beside them.
    assert region.box.size == pytest.approx((2 * RADIUS,) * 3, abs=0.004)
    assert region.box.optical_from_box.translation == pytest.approx((0, 0, HEIGHT - RADIUS), abs=0.003)
    assert region.support.normal == pytest.approx((0, 0, -1), abs=0.002)
    assert not region.cut


@pytest.mark.parametrize("elevation", [80, 70, 60, 50, 40])
def test_a_ball_stands_on_its_support_from_wherever_it_is_seen(elevation: float) -> None:
    """Its lower half is hidden, and still it does not hang in the air."""
    tilt = np.radians(elevation)
    normal = np.array([0.0, -np.cos(tilt), -np.sin(tilt)])
    foot = np.array([0.0, 0.0, HEIGHT])
    centre = foot + RADIUS * normal
    columns, rows = np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height))
    rays = np.stack(
        [(columns - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, np.ones(columns.shape)], axis=-1
    )
    a, b = (rays**2).sum(axis=-1), rays @ centre
    discriminant = b**2 - a * (centre @ centre - RADIUS**2)
    ball = discriminant > 0
    table = normal @ foot / (rays @ normal)
    depth = np.where(ball, (b - np.sqrt(np.maximum(discriminant, 0))) / a, table).astype(np.float32)
    u, v = CAMERA.project(centre[None])[0]
    region = find_regions(depth, CAMERA, np.array([(u, v)])).regions[0]
    assert overlap(region, ball) > 0.95
    assert region.support is not None and region.box is not None
    assert region.support.normal == pytest.approx(normal, abs=0.002)
    assert region.box.size[2] == pytest.approx(2 * RADIUS, abs=0.004)


def test_every_point_on_an_object_gives_the_same_region() -> None:
    depth, ball = sphere_on_a_plane(CAMERA)
    inside = np.argwhere(ball)[::500, ::-1]
    regions = find_regions(depth, CAMERA, inside).regions
    first = covered(regions[0], depth.shape)
    assert len(regions) > 5
    assert all(np.array_equal(covered(region, depth.shape), first) for region in regions)


def test_the_mirrored_view_has_the_mirrored_region() -> None:
    depth, _ = sphere_on_a_plane(CAMERA)
    depth[:, :200] += 0.02  # so that the view is not symmetric
    point = np.array([(330, 250)])
    region = find_regions(depth, CAMERA, point).regions[0]
    mirrored = find_regions(depth[:, ::-1].copy(), CAMERA, np.array([(639 - 330, 250)])).regions[0]
    both = covered(region, depth.shape)[:, ::-1]
    assert overlap(mirrored, both) > 0.98
    assert region.box is not None and mirrored.box is not None
    assert mirrored.box.size[2] == pytest.approx(region.box.size[2], abs=0.001)


def test_an_object_at_the_images_rim_is_cut() -> None:
    depth, _ = sphere_on_a_plane(CAMERA)
    region = find_regions(
        depth[:, 320:].copy(), PinholeCamera(600, 600, 0, 239.5, 320, 480), np.array([(3, 240)])
    )
    assert region.regions[0].valid
    assert region.regions[0].cut


def test_a_block_seen_from_straight_above_stands_on_its_table_though_only_its_top_shows() -> None:
    depth = np.full((480, 640), HEIGHT, np.float32)
    depth[195:285, 265:375] = HEIGHT - 0.06
    region = find_regions(depth, CAMERA, np.array([(320, 240)])).regions[0]
    assert region.support is not None and region.box is not None
    wide, high = 110 * (HEIGHT - 0.06) / 600, 90 * (HEIGHT - 0.06) / 600
    assert sorted(region.box.size[:2]) == pytest.approx([high, wide], abs=0.005)
    assert region.box.size[2] == pytest.approx(0.06, abs=0.002)
