# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Wide scenes: what they promise about distance, lens, sizes and colours, and that each thing can be seen."""

import math

import numpy as np
import pytest

from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR
from molmo_ros.sim.wide_scenes import FARTHEST, NARROWEST, NEAREST, SENSORS, WIDEST, wide_scene

SEEDS = range(40, 76)


@pytest.fixture(scope="module")
def scenes():
    return [wide_scene(seed) for seed in SEEDS]


def test_equal_seeds_give_equal_scenes(scenes):
    again = wide_scene(SEEDS[0])
    np.testing.assert_array_equal(again.data.qpos, scenes[0].data.qpos)
    np.testing.assert_array_equal(render(again, 64, 48).rgb, render(scenes[0], 64, 48).rgb)


def test_lenses_and_distances_are_those_of_users_cameras(scenes):
    for scene in scenes:
        fx = scene.camera.intrinsics(*scene.camera.sensor)[0, 0]
        lens = 2 * math.atan(scene.camera.sensor[0] / 2 / fx)
        assert NARROWEST - 1e-6 <= lens <= WIDEST + 1e-6
        assert fx == pytest.approx(scene.camera.intrinsics(*scene.camera.sensor)[1, 1])  # square pixels
    assert {scene.camera.sensor for scene in scenes} == set(SENSORS)
    # The camera looks at a point 2 cm above the table's middle.
    distances = [np.linalg.norm(scene.camera.position - (0, 0, 0.02)) for scene in scenes]
    assert NEAREST - 0.05 < min(distances) < 0.45 and 1.1 < max(distances) < FARTHEST + 0.05


def test_everything_is_seen_and_nothing_fell(scenes):
    for scene in scenes:
        seen = render(scene, 320, 240).segmentation
        for index in range(len(scene.objects)):
            assert scene.object_position(index)[2] > 0, "it fell off the table"
            assert np.count_nonzero(seen == index) >= 5


def test_colours_are_pure_dark_and_usual_and_no_word_means_another(scenes):
    hues = {"red": (0.0,), "yellow": (60.0,), "green": (120.0,), "blue": (240.0,), "purple": (300.0,)}
    values = []
    for scene in scenes:
        for index, thing in enumerate(scene.objects):
            geom = int(np.flatnonzero(scene.geom_object == index)[0])
            rgb = scene.model.geom_rgba[geom, :3].astype(float)
            values.append(rgb.max())
            if thing.color in hues:
                assert _hue_apart(rgb, hues[thing.color][0]) < 35, (thing.name, rgb)
            elif thing.color == "white":
                assert rgb.min() > 0.7
            elif thing.color == "black":
                assert rgb.max() < 0.15
    assert max(values) > 0.98 and min(values) < 0.1


def _hue_apart(rgb, hue):
    """How far [degrees] a colour's hue lies from another; by the hexagon's formula."""
    red, green, blue = rgb
    own = math.degrees(math.atan2(math.sqrt(3) * (green - blue), 2 * red - green - blue)) % 360
    return min(abs(own - hue), 360 - abs(own - hue))


def test_a_picture_of_another_shape_is_not_stretched(scenes):
    scene = next(scene for scene in scenes if scene.camera.sensor != SENSOR)
    k = scene.camera.intrinsics(1280, 720)
    assert k[0, 0] == pytest.approx(k[1, 1])
