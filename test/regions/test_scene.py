# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Regions of clean tabletop scenes, held against the simulator's masks; and what has no region."""

from __future__ import annotations

import numpy as np
import pytest

from molmo_ros.geometry import PinholeCamera
from molmo_ros.regions.region import PointsOn
from molmo_ros.regions.scene import find_regions
from molmo_ros.sim.arranged_scenes import ARRANGEMENTS
from molmo_ros.sim.depth_noise import DEPTH_MODELS
from molmo_ros.sim.renderer import Rendering, render
from molmo_ros.sim.scene import Scene

SIZE = 640, 480


def camera_of(frame: Rendering) -> PinholeCamera:
    k = frame.intrinsics
    height, width = frame.depth.shape
    return PinholeCamera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], width, height)


def middles(frame: Rendering, count: int) -> np.ndarray:
    """[n, 2] the pixel of each object that is nearest to its mask's centroid."""
    found = []
    for index in range(count):
        rows, columns = np.nonzero(frame.segmentation == index)
        nearest = np.hypot(rows - rows.mean(), columns - columns.mean()).argmin()
        found.append((columns[nearest], rows[nearest]))
    return np.array(found)


@pytest.mark.parametrize("seed", range(50_000, 50_004))
def test_objects_on_a_table_have_the_simulators_masks(seed: int) -> None:
    scene = Scene.random(seed)
    frame = render(scene, *SIZE)
    noise = np.random.default_rng(seed).normal(0, 0.001, frame.depth.shape).astype(np.float32)
    points = middles(frame, len(scene.objects))
    found = find_regions(frame.depth + noise, camera_of(frame), points)
    for index, region in enumerate(found.regions):
        truth = frame.segmentation == index
        mask = np.zeros(truth.shape, bool)
        mask[region.rows, region.columns] = True
        overlap = (mask & truth).sum() / (mask | truth).sum()
        assert overlap > 0.85, scene.objects[index].name
        assert region.on is PointsOn.OBJECT


def test_the_table_is_a_support_and_its_normal_is_the_simulators() -> None:
    scene = Scene.random(50_000)
    frame = render(scene, *SIZE)
    table = np.argwhere(frame.segmentation[200:460:20, 20:620:40] < 0)[-1] * (20, 40) + (200, 20)
    region = find_regions(frame.depth, camera_of(frame), table[None, ::-1]).regions[0]
    assert region.on is PointsOn.SUPPORT
    assert not region.valid and region.reason
    assert region.support is not None
    up = scene.camera.world_from_optical.T @ (0, 0, 1)
    assert np.degrees(np.arccos(up @ region.support.normal)) < 0.5
    assert region.support.offset == pytest.approx(-scene.camera.position[2], abs=0.002)


@pytest.mark.parametrize("depth", [0.0, np.nan])
def test_depth_without_a_value_gives_a_reason(depth: float) -> None:
    camera = PinholeCamera(500, 500, 319.5, 239.5, *SIZE)
    region = find_regions(np.full(SIZE[::-1], depth), camera, np.array([(320, 240)])).regions[0]
    assert not region.valid
    assert "no valid depth" in region.reason


@pytest.mark.parametrize("kind", ["bin", "shelf", "wall", "flat", "rim", "air"])
@pytest.mark.parametrize("model", ["gaussian", "stereo"])
def test_arranged_scenes_have_the_simulators_masks(kind: str, model: str) -> None:
    scene = ARRANGEMENTS[kind](31_002)
    frame = render(scene, *SIZE)
    depth = DEPTH_MODELS[model](frame.depth, frame.intrinsics[0, 0], np.random.default_rng(1))
    found = find_regions(depth, camera_of(frame), middles(frame, len(scene.objects)))
    for index, region in enumerate(found.regions):
        truth = frame.segmentation == index
        mask = np.zeros(truth.shape, bool)
        mask[region.rows, region.columns] = True
        assert (mask & truth).sum() / (mask | truth).sum() > 0.8, scene.objects[index].name


def sphere_on_a_plane(
    width: int, height: int, roll: float
) -> tuple[np.ndarray, np.ndarray, PinholeCamera, float]:
    """Depth and mask in closed form of a ball on a table, seen from 45 degrees by a camera turned about its axis."""
    focal = width * 0.9
    camera = PinholeCamera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    x, y = (columns - camera.cx) / focal, (rows - camera.cy) / focal
    x, y = np.cos(roll) * x - np.sin(roll) * y, np.sin(roll) * x + np.cos(roll) * y
    radius, middle = 0.04, np.array([0.0, 0.0, 0.6])
    normal = np.array([0.0, -np.sqrt(0.5), -np.sqrt(0.5)])
    foot = middle - radius * normal
    plane = (foot @ normal) / (normal[1] * y + normal[2])
    b, a = middle[2], x**2 + y**2 + 1
    inside = b**2 - a * (middle @ middle - radius**2)
    mask = inside > 0
    return np.where(mask, (b - np.sqrt(np.maximum(inside, 0))) / a, plane), mask, camera, radius


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1280, 720)])
@pytest.mark.parametrize("roll", [0.0, 0.7, 3.0])
def test_a_ball_on_a_plane_in_closed_form(size: tuple[int, int], roll: float) -> None:
    depth, truth, camera, radius = sphere_on_a_plane(*size, roll)
    middle = np.array([((size[0] - 1) / 2, (size[1] - 1) / 2)])
    region = find_regions((depth * 1000).round().astype(np.uint16), camera, middle).regions[0]
    mask = np.zeros(truth.shape, bool)
    mask[region.rows, region.columns] = True
    assert (mask & truth).sum() / (mask | truth).sum() > 0.93
    assert region.box is not None and region.support is not None
    assert region.box.size[2] == pytest.approx(2 * radius, abs=0.003)
    # Its far side is hidden, and whichever way the rectangle is turned, it holds no more than the ball.
    assert 1.4 * radius < min(region.box.size[:2]) <= max(region.box.size[:2]) < 2 * radius + 0.002


@pytest.mark.parametrize("seed", [31_002, 31_007])
def test_things_that_touch_are_two_though_one_was_pointed_at(seed: int) -> None:
    scene = ARRANGEMENTS["touching"](seed)
    frame = render(scene, *SIZE)
    for index, point in enumerate(middles(frame, 2)):
        region = find_regions(frame.depth, camera_of(frame), point[None]).regions[0]
        truth = frame.segmentation == index
        mask = np.zeros(truth.shape, bool)
        mask[region.rows, region.columns] = True
        assert (mask & truth).sum() / (mask | truth).sum() > 0.85


def test_a_point_one_pixel_off_an_object_means_it() -> None:
    frame = render(Scene.random(50_000), *SIZE)
    truth = frame.segmentation == 0
    rows, columns = np.nonzero(truth)
    left = np.array([(columns.min() - 1, rows[columns.argmin()])])
    region = find_regions(frame.depth, camera_of(frame), left).regions[0]
    assert region.valid
    assert truth[region.rows, region.columns].mean() > 0.9


def test_what_hangs_in_the_air_stands_on_nothing() -> None:
    scene = ARRANGEMENTS["air"](31_002)
    frame = render(scene, *SIZE)
    for region in find_regions(frame.depth, camera_of(frame), middles(frame, len(scene.objects))).regions:
        assert region.support is None
        assert region.box is not None and max(region.box.size) < 0.25
