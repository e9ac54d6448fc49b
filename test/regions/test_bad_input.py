# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Depth and points that no region can be found for: a reason each, never an exception."""

from __future__ import annotations

import numpy as np
import pytest

from molmo_ros.geometry import PinholeCamera
from molmo_ros.regions.region import PointsOn
from molmo_ros.regions.scene import find_regions
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import Scene

WIDTH, HEIGHT = 320, 240
CAMERA = PinholeCamera(280, 280, 159.5, 119.5, WIDTH, HEIGHT)
MIDDLE = np.array([(160, 120)])


@pytest.mark.parametrize(
    "depth",
    [
        np.zeros((HEIGHT, WIDTH), np.uint16),
        np.full((HEIGHT, WIDTH), np.nan, np.float32),
        np.full((HEIGHT, WIDTH), np.inf, np.float32),
        np.full((HEIGHT, WIDTH), 700, np.uint16),
        np.full((HEIGHT, WIDTH), 65535, np.uint16),
        np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16),
    ],
    ids=["zeros", "nan", "infinite", "one value", "largest value", "noise"],
)
def test_depth_without_an_object_gives_a_reason(depth: np.ndarray) -> None:
    region = find_regions(depth, CAMERA, MIDDLE).regions[0]
    assert not region.valid
    assert region.reason
    assert region.on is not PointsOn.OBJECT


@pytest.mark.parametrize(
    "point", [(-1, 5), (WIDTH, 5), (5, HEIGHT), (np.nan, 5), (1e300, 0), (np.inf, -np.inf)]
)
def test_points_outside_have_no_region(point: tuple[float, float]) -> None:
    depth = np.full((HEIGHT, WIDTH), 0.7, np.float32)
    region = find_regions(depth, CAMERA, np.array([point])).regions[0]
    assert not region.valid
    assert "outside" in region.reason


def test_no_points_are_no_regions() -> None:
    found = find_regions(np.full((HEIGHT, WIDTH), 0.7, np.float32), CAMERA, np.zeros((0, 2)))
    assert found.regions == ()
    assert not found.labels().any()


def test_five_hundred_points_on_one_scene_share_its_objects() -> None:
    scene = Scene.random(50_001)
    frame = render(scene, WIDTH, HEIGHT)
    k = frame.intrinsics
    camera = PinholeCamera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], WIDTH, HEIGHT)
    rng = np.random.default_rng(0)
    points = rng.integers(0, (WIDTH, HEIGHT), (500, 2))
    found = find_regions(frame.depth, camera, points)
    assert len(found.regions) == 500
    valid = {id(region) for region in found.regions if region.valid}
    assert 1 <= len(valid) <= 2 * len(scene.objects)
    for (column, row), region in zip(points.tolist(), found.regions, strict=True):
        if frame.segmentation[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5].max() < 0:
            assert region.on is not PointsOn.OBJECT


def test_an_object_larger_than_the_view_is_no_region() -> None:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    ball = 0.5 + 0.4 * (((columns - 160) / 280) ** 2 + ((rows - 120) / 280) ** 2)
    region = find_regions(ball.astype(np.float32), CAMERA, MIDDLE).regions[0]
    assert not region.valid
    assert region.reason
