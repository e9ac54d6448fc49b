# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from molmo_ros.geometry import PinholeCamera, depth_at, metres

CAMERA = PinholeCamera(600.0, 600.0, 319.5, 239.5, 640, 480)


def slanted_plane():
    """Depth image of the plane 0.4 x - 0.3 y + z = 1.2 m, and the plane's normal."""
    v, u = np.mgrid[0:480, 0:640]
    normal = np.array([0.4, -0.3, 1.0])
    rays = CAMERA.deproject(np.stack([u.ravel(), v.ravel()], axis=1), np.ones(640 * 480))
    return (1.2 / (rays @ normal)).reshape(480, 640).astype(np.float32), normal


@pytest.mark.parametrize(
    "pixel", [(0, 0), (639, 479), (-0.5, -0.5), (639.5, 479.5), (0.0, 479.0), (320.3, 17.8), (5.0, 200.0)]
)
def test_plane_is_recovered_everywhere_even_at_corners(pixel):
    depth, normal = slanted_plane()
    sample = depth_at(depth, *pixel, window=9)
    point = CAMERA.deproject([pixel], [sample.depth])[0]
    # Half a pixel outside the outermost centre the depth is that of the nearest pixel.
    tolerance = 1e-6 if min(pixel) >= 0 and pixel[0] <= 639 else 2e-3
    assert point @ normal == pytest.approx(1.2, abs=tolerance)
    assert sample.spread < 1e-5


def test_noise_averages_out():
    depth, normal = slanted_plane()
    depth = depth + np.random.default_rng(1).normal(0, 0.004, depth.shape)
    sample = depth_at(depth, 300.0, 200.0, window=9)
    point = CAMERA.deproject([(300.0, 200.0)], [sample.depth])[0]
    assert point @ normal == pytest.approx(1.2, abs=0.003)
    assert 0.002 < sample.spread < 0.008


def test_object_wins_over_background_at_its_rim():
    depth = np.full((40, 40), 2.0, np.float32)
    depth[10:30, 10:30] = 0.8
    for column in range(8, 32):
        near = depth_at(depth, column, 20, window=7).depth
        expected = 0.8 if 8 <= column <= 31 else 2.0
        assert near == pytest.approx(expected), column


def test_a_few_flying_pixels_do_not_win():
    depth = np.full((20, 20), 1.0, np.float32)
    depth[9:11, 9:11] = 0.3
    sample = depth_at(depth, 7, 7, window=7)
    assert sample.depth == pytest.approx(1.0)


def test_hole_at_the_pixel_is_bridged():
    depth = np.full((20, 20), 1000, np.uint16)
    depth[9:12, 9:12] = 0
    assert depth_at(depth, 10, 10, window=7).depth == pytest.approx(1.0)


def test_all_invalid_has_a_reason_and_no_depth():
    for depth in (
        np.zeros((9, 9), np.uint16),
        np.full((9, 9), np.nan, np.float32),
        np.full((9, 9), np.inf, np.float32),
        np.full((9, 9), -1.0, np.float32),
    ):
        sample = depth_at(depth, 4, 4)
        assert sample.depth is None
        assert "no valid depth within 7x7 px" in sample.reason


def test_single_valid_pixel():
    depth = np.full((9, 9), np.nan, np.float32)
    depth[2, 6] = 0.7
    sample = depth_at(depth, 4, 4, window=7)
    assert (sample.depth, sample.valid, sample.spread) == (pytest.approx(0.7), 1, 0.0)


def test_one_pixel_image():
    assert depth_at(np.array([[1500]], np.uint16), 0, 0).depth == pytest.approx(1.5)
    assert depth_at(np.array([[1500]], np.uint16), 0.5, 0.5).depth == pytest.approx(1.5)


@pytest.mark.parametrize("pixel", [(-1, 5), (9, 5), (5, 9), (float("nan"), 5), (5, float("inf"))])
def test_outside_the_image(pixel):
    sample = depth_at(np.ones((9, 9), np.float32), *pixel)
    assert sample.depth is None
    assert "outside" in sample.reason


def test_range_is_respected_and_named():
    depth = np.full((9, 9), 0.05, np.float32)
    sample = depth_at(depth, 4, 4, minimum=0.1, maximum=5.0)
    assert sample.depth is None
    assert "0.1 to 5 m" in sample.reason


def test_nothing_invalid_ever_leaks():
    """Random mixtures of every invalid value: a sample is a finite positive depth or a reason."""
    rng = np.random.default_rng(3)
    values = np.array([np.nan, 0.0, np.inf, -np.inf, -2.0, 0.4, 0.41, 3.0], np.float32)
    for _ in range(300):
        sample = depth_at(rng.choice(values, (12, 12)), *rng.uniform(-0.5, 11.5, 2), window=5)
        if sample.depth is None:
            assert sample.reason
        else:
            assert 0.39 < sample.depth < 3.1
            assert np.isfinite(sample.spread)


def test_millimetres_and_metres_agree():
    millimetres = np.array([[0, 1, 65535]], np.uint16)
    np.testing.assert_allclose(metres(millimetres), [[np.nan, 0.001, 65.535]], rtol=1e-6)
    assert metres(millimetres).dtype == np.float32
    with pytest.raises(TypeError, match="uint8"):
        metres(np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize(("value", "words"), [(np.inf, "<clip><far>"), (-np.inf, "<clip><near>")])
def test_infinite_depth_is_called_beyond_the_range(value, words):
    sample = depth_at(np.full((20, 20), value, np.float32), 19.4, 10)
    assert sample.depth is None and words in sample.reason
    assert words not in depth_at(np.full((20, 20), np.nan, np.float32), 10, 10).reason
