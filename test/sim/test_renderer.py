# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The ray-cast camera against geometry known from elsewhere."""

import numpy as np
import pytest

from molmo_ros.geometry import PinholeCamera
from molmo_ros.sim.renderer import add_noise, render
from molmo_ros.sim.scene import Scene


@pytest.fixture(scope="module")
def scene():
    return Scene.random(2)


@pytest.fixture(scope="module")
def frame(scene):
    return render(scene, 320, 240)


def world_points(scene, frame):
    """[h, w, 3] every pixel's surface point in the world, by the camera model of the geometry package."""
    height, width = frame.depth.shape
    camera = PinholeCamera.from_camera_info(k=frame.intrinsics.ravel(), width=width, height=height)
    v, u = np.mgrid[:height, :width]
    optical = camera.deproject(np.stack([u.ravel(), v.ravel()], axis=1), frame.depth.ravel())
    return (optical @ scene.camera.world_from_optical.T + scene.camera.position).reshape(height, width, 3)


def test_shapes_and_types(frame):
    assert frame.rgb.shape == (240, 320, 3) and frame.rgb.dtype == np.uint8
    assert frame.depth.shape == frame.segmentation.shape == (240, 320)
    assert frame.depth.dtype == np.float32 and frame.segmentation.dtype == np.int32


def test_depth_of_the_table_lies_in_the_table_plane(scene, frame):
    points = world_points(scene, frame)
    floor_or_table = frame.segmentation == -1
    heights = points[floor_or_table][:, 2]
    on_table = np.abs(points[floor_or_table][:, :2]).max(axis=1) < 0.44
    assert on_table.sum() > 1000
    assert np.abs(heights[on_table]).max() < 2e-3, "table top and sheets of paper"


def test_segmented_pixels_lie_on_their_object(scene, frame):
    points = world_points(scene, frame)
    for index in range(len(scene.objects)):
        surface = points[frame.segmentation == index]
        assert len(surface) > 50
        distance = np.linalg.norm(surface - scene.object_position(index), axis=1)
        assert distance.max() < 0.12, "within the object's own reach"
        assert surface[:, 2].min() > -1e-3


def test_a_ball_has_the_depth_of_a_sphere():
    for seed in range(40):
        scene = Scene.random(seed)
        balls = [i for i, thing in enumerate(scene.objects) if thing.shape == "ball"]
        if balls:
            break
    frame = render(scene, 320, 240)
    surface = world_points(scene, frame)[frame.segmentation == balls[0]]
    radius = np.linalg.norm(surface - scene.object_position(balls[0]), axis=1)
    np.testing.assert_allclose(radius, radius.mean(), atol=1e-4)


def test_colours_are_those_of_the_names():
    seen = 0
    for seed in range(12):
        scene = Scene.random(seed)
        frame = render(scene, 160, 120)
        for index, thing in enumerate(scene.objects):
            red, green, blue = np.median(frame.rgb[frame.segmentation == index], axis=0)
            if thing.color == "red":
                assert red > green and red > blue
            elif thing.color == "green":
                assert green > red and green > blue
            elif thing.color == "blue":
                assert blue > red and blue > green
            else:
                continue
            seen += 1
    assert seen > 5


def test_same_view_at_any_size(scene):
    small, large = render(scene, 160, 120), render(scene, 480, 360)
    # Centres of 160x120 pixels are centres of every third pixel of 480x360.
    np.testing.assert_array_equal(small.segmentation, large.segmentation[1::3, 1::3])
    np.testing.assert_allclose(small.depth, large.depth[1::3, 1::3], rtol=1e-6)


def test_noise_is_random_and_keeps_the_range(frame):
    noisy = add_noise(frame.rgb, np.random.default_rng(0))
    difference = noisy.astype(int) - frame.rgb
    middle = (frame.rgb > 20) & (frame.rgb < 235)
    assert abs(difference[middle].mean()) < 0.2 and 2.5 < difference[middle].std() < 3.5
    assert noisy.dtype == np.uint8
