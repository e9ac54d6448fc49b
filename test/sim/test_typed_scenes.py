# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Typed scenes: what somebody types first, all of it to be seen, and told apart by its words."""

import math

import cv2
import numpy as np
import pytest

from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR
from molmo_ros.sim.typed_scenes import FARTHEST, NARROWEST, NEAREST, WIDEST, typed_scene

SEEDS = range(40, 70)


@pytest.fixture(scope="module")
def scenes():
    return [typed_scene(seed) for seed in SEEDS]


def test_equal_seeds_give_equal_scenes(scenes):
    again = typed_scene(SEEDS[0])
    np.testing.assert_array_equal(again.data.qpos, scenes[0].data.qpos)
    np.testing.assert_array_equal(render(again, 64, 48).rgb, render(scenes[0], 64, 48).rgb)


def test_things_are_the_three_that_a_world_file_has_a_word_for(scenes):
    shapes = [thing.shape for scene in scenes for thing in scene.objects]
    assert set(shapes) == {"cube", "ball", "cylinder"}  # SDF's box, sphere, cylinder
    assert all(2 <= len(scene.objects) <= 6 for scene in scenes)


def test_cameras_are_those_of_a_first_world(scenes):
    distances = []
    for scene in scenes:
        fx = scene.camera.intrinsics(*scene.camera.sensor)[0, 0]
        assert NARROWEST - 1e-6 <= 2 * math.atan(scene.camera.sensor[0] / 2 / fx) <= WIDEST + 1e-6
        distances.append(np.linalg.norm(scene.camera.position - (0, 0, 0.02)))
    assert NEAREST - 0.06 < min(distances) < 0.55 and 1.1 < max(distances) < FARTHEST + 0.06


def test_everything_stands_and_is_seen(scenes):
    for scene in scenes:
        seen = render(scene, *SENSOR).segmentation
        for index in range(len(scene.objects)):
            assert scene.object_position(index)[2] > 0, "it fell off the table"
            assert np.count_nonzero(seen == index) >= 20


def test_a_thing_has_its_words_colour_in_the_picture(scenes):
    hues = {"red": 0, "yellow": 60, "green": 120, "blue": 240, "purple": 300}
    for scene in scenes:
        frame = render(scene, *SENSOR)
        for index, thing in enumerate(scene.objects):
            pixels = frame.rgb[frame.segmentation == index]
            if thing.color in hues:
                hsv = cv2.cvtColor(pixels[None].astype(np.float32) / 255, cv2.COLOR_RGB2HSV)[0]
                hue = hsv[hsv[:, 1] > 0.3, 0]  # a highlight has no colour
                apart = np.abs((hue - hues[thing.color] + 180) % 360 - 180)
                assert np.median(apart) < 20, thing.name
            elif thing.color == "black":
                assert np.median(pixels) < 60
            elif thing.color == "white":
                assert np.ptp(np.median(pixels, axis=0)) < 8


def test_a_dark_patch_is_no_thing(scenes):
    with_patch = [scene for scene in scenes if scene.model.ngeom > len(scene.objects) + 2]
    assert 0 < len(with_patch) < len(scenes)
    for scene in with_patch:
        patch = scene.model.ngeom - len(scene.objects) - 1  # table and floor come first, things last
        assert scene.geom_object[patch] == -1
        assert scene.model.geom_rgba[patch, :3].max() == pytest.approx(scene.model.geom_rgba[patch, :3].min())
