# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import cv2
import numpy as np
import pytest

from molmo_ros.geometry import CameraInfoError, PinholeCamera

K = [615.3, 0.0, 320.9, 0.0, 614.1, 241.2, 0.0, 0.0, 1.0]
WIDE = (0.45, 0.08, 0.0003, -0.0004, 0.01, 0.78, 0.18, 0.02)
LENSES = {
    "none": ("plumb_bob", ()),
    "plumb_bob": ("plumb_bob", (-0.31, 0.12, 0.001, -0.0007, -0.02)),
    "rational_polynomial": ("rational_polynomial", WIDE),
    "thin_prism": ("rational_polynomial", (*WIDE, 0.002, -0.001, 0.0015, 0.0004)),
    "tilted": ("rational_polynomial", (*WIDE, 0.002, -0.001, 0.0015, 0.0004, 0.01, -0.02)),
    "equidistant": ("equidistant", (-0.012, 0.004, -0.002, 0.0004)),
}


def camera(lens="none", **changes):
    model, d = LENSES[lens]
    fields = {"k": K, "width": 640, "height": 480, "d": d, "model": model}
    return PinholeCamera.from_camera_info(**(fields | changes))


def grid():
    u, v = np.meshgrid(np.linspace(0, 639, 17), np.linspace(0, 479, 13))
    return np.stack([u.ravel(), v.ravel()], axis=1)


@pytest.mark.parametrize("lens", LENSES)
def test_project_inverts_deproject(lens):
    pixels = grid()
    depth = np.linspace(0.2, 9.0, len(pixels))
    points = camera(lens).deproject(pixels, depth)
    np.testing.assert_allclose(points[:, 2], depth)
    np.testing.assert_allclose(camera(lens).project(points), pixels, atol=1e-6)


@pytest.mark.parametrize("lens", LENSES)
def test_projection_equals_opencv(lens):
    points = np.random.default_rng(0).uniform([-0.5, -0.4, 1.0], [0.5, 0.4, 3.0], (50, 3))
    model, d = LENSES[lens]
    matrix = np.array(K).reshape(3, 3)
    if model == "equidistant":
        expected, _ = cv2.fisheye.projectPoints(
            points[:, None], np.zeros(3), np.zeros(3), matrix, np.array(d)
        )
    else:
        expected, _ = cv2.projectPoints(
            points[:, None], np.zeros(3), np.zeros(3), matrix, np.array(d or [0.0] * 4)
        )
    np.testing.assert_allclose(camera(lens).project(points), expected[:, 0], atol=1e-9)


def random_lens(rng, size):
    """Coefficients of a lens that maps the picture one to one, as a calibration gives them."""
    scales = {4: [0.2, 0.05, 0.002, 0.002], 5: [0.2, 0.05, 0.002, 0.002, 0.01]}
    scale = scales.get(size, scales[5] + [0.05, 0.02, 0.005] + [0.002] * 4 + [0.02] * 2)
    return rng.normal(0, 0.5, size) * scale[:size]


def undistort_points(points, matrix, d, criteria):
    """cv2.undistortPoints until it converges; OpenCV 4 has a function of its own for that."""
    if hasattr(cv2, "undistortPointsIter"):
        return cv2.undistortPointsIter(points, matrix, d, None, None, criteria)
    return cv2.undistortPoints(points, matrix, d, None, None, None, criteria)


@pytest.mark.parametrize("size", [4, 5, 8, 12, 14])
@pytest.mark.parametrize("model", ["plumb_bob", "rational_polynomial"])
def test_rays_equal_opencv_on_random_cameras(model, size):
    rng = np.random.default_rng(size)
    criteria = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 500, 1e-14)
    for _ in range(20):
        d = random_lens(rng, size)
        fx, cx, fy, cy = rng.uniform([500, 305, 500, 225], [900, 335, 900, 255])
        k = [fx, 0, cx, 0, fy, cy, 0, 0, 1]
        matrix = np.array(k).reshape(3, 3)
        expected = undistort_points(grid()[:, None], matrix, d, criteria)[:, 0]
        points = camera(k=k, d=d, model=model).deproject(grid(), np.ones(len(grid())))
        np.testing.assert_allclose(points[:, :2], expected, atol=1e-6)


def test_rays_equal_opencv_on_random_fisheyes():
    rng = np.random.default_rng(1)
    for _ in range(20):
        d = rng.normal(0, [0.03, 0.01, 0.005, 0.001])
        fx, cx, fy, cy = rng.uniform([350, 305, 350, 225], [600, 335, 600, 255])
        k = [fx, 0, cx, 0, fy, cy, 0, 0, 1]
        matrix = np.array(k).reshape(3, 3)
        expected = cv2.fisheye.undistortPoints(grid()[:, None], matrix, d)[:, 0]
        points = camera(k=k, d=d, model="equidistant").deproject(grid(), np.ones(len(grid())))
        np.testing.assert_allclose(points[:, :2], expected, atol=1e-6)


def test_the_calibration_of_a_real_wide_camera():
    """An OAK-D Lite as its driver publishes it: large coefficients that nearly cancel."""
    d = (-4.09339666, 9.19078159, 0.00125439, -0.00103044, -8.91724586, -4.18795681, 9.55683136, -9.30353355)
    k = [196.787674, 0, 123.862076, 0, 196.787674, 127.050232, 0, 0, 1]
    oak = camera(k=k, d=d, model="rational_polynomial", width=250, height=250)
    pixels = np.random.default_rng(0).uniform(-0.5, 249.5, (100, 2))
    np.testing.assert_allclose(oak.project(oak.deproject(pixels, np.full(100, 2.0))), pixels, atol=1e-6)


def test_no_points_are_no_points():
    for lens in LENSES:
        assert camera(lens).deproject(np.zeros((0, 2)), np.zeros(0)).shape == (0, 3)
        assert camera(lens).project(np.zeros((0, 3))).shape == (0, 2)


def test_other_names_of_the_same_lenses():
    model, d = LENSES["equidistant"]
    assert camera(model="fisheye", d=d) == camera(model=model, d=d)
    assert camera(model="fisheye", d=()) == camera(model=model, d=())
    assert camera(model="", d=LENSES["plumb_bob"][1]) == camera("plumb_bob")


def test_points_of_a_plane_stay_on_it():
    rays = camera("plumb_bob").deproject(grid(), np.ones(len(grid())))
    normal = np.array([0.2, -0.3, 1.0])
    depth = 1.5 / (rays @ normal)
    np.testing.assert_allclose(camera("plumb_bob").deproject(grid(), depth) @ normal, 1.5)


@pytest.mark.parametrize("lens", LENSES)
def test_a_binned_region_sees_along_the_same_rays(lens):
    """A delivered pixel is the sum of a block of the sensor's (REP-104), so its ray is that of the block's centre."""
    rng = np.random.default_rng(0)
    full = camera(lens)
    for _ in range(20):
        bin_x, bin_y = rng.integers(1, 5, 2)
        x0, y0 = rng.integers(0, [200, 150])
        width, height = (
            bin_x * rng.integers(1, (640 - x0) // bin_x + 1),
            bin_y * rng.integers(1, (480 - y0) // bin_y + 1),
        )
        part = camera(lens, roi=(x0, y0, width, height), binning=(bin_x, bin_y))
        assert (part.width, part.height) == (width // bin_x, height // bin_y)
        delivered = rng.integers(0, [part.width, part.height], (10, 2))
        blocks = [
            (x0 + u * bin_x + np.arange(bin_x).mean(), y0 + v * bin_y + np.arange(bin_y).mean())
            for u, v in delivered
        ]
        depth = rng.uniform(0.3, 5, 10)
        points = full.deproject(blocks, depth)
        np.testing.assert_allclose(part.deproject(delivered, depth), points, atol=1e-9)
        np.testing.assert_allclose(part.project(points), delivered, atol=1e-6)


def test_the_borders_of_a_binned_image_are_those_of_the_sensor():
    full, binned = camera(), camera(binning=(4, 4))
    corners = np.array([[-0.5, -0.5], [639.5, 479.5]])
    binned_corners = np.array([[-0.5, -0.5], [159.5, 119.5]])
    np.testing.assert_allclose(binned.deproject(binned_corners, [1, 1]), full.deproject(corners, [1, 1]))


def test_binning_zero_and_empty_roi_mean_the_full_image():
    assert camera(binning=(0, 0), roi=(0, 0, 0, 0)) == camera()


def test_behind_the_camera_has_no_pixel():
    assert np.isnan(camera().project([[0.0, 0.0, -1.0], [0.0, 0.0, 0.0]])).all()


def test_no_inverse_outside_the_lens_model_is_nan():
    """A barrel lens never reaches a pixel this far out: there is no ray to return."""
    points = camera("plumb_bob", d=(-0.4, 0.0, 0.0, 0.0, 0.0)).deproject(
        [[5000.0, 240.0], [320.0, 240.0]], [1, 1]
    )
    assert np.isnan(points[0]).all()
    assert np.isfinite(points[1]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": [0.0] * 9}, "not calibrated"),
        ({"k": [float("nan")] * 9}, "not finite"),
        ({"k": K[:4]}, "9 values"),
        # A simulator's default K with another image size.
        ({"k": [277.0, 0, 160.0, 0, 277.0, 120.0, 0, 0, 1]}, "640x480.*SDF's default, that of about 320x240"),
        ({"k": [615.0, 0, 640.0, 0, 615.0, 360.0, 0, 0, 1]}, "contradicts the image size"),
        ({"width": 0}, "positive"),
        ({"model": "mystery", "d": (0.1, 0, 0, 0)}, "plumb_bob, rational_polynomial, equidistant"),
        ({"model": "plumb_bob", "d": (0.1,)}, "4 or 5 or 8 or 12 or 14"),
        ({"model": "inverse_brown_conrady", "d": (0.1, 0, 0, 0, 0)}, "known: plumb_bob"),
        ({"model": "equidistant", "d": (0.1,) * 5}, "equidistant takes 4"),
        ({"model": "plumb_bob", "d": (0.1,) * 7}, "4 or 5 or 8 or 12 or 14"),
        ({"d": (float("inf"), 0, 0, 0)}, "not finite"),
        ({"roi": (600, 0, 100, 480)}, "leaves the image"),
    ],
)
def test_bad_camera_info_is_named(changes, message):
    with pytest.raises(CameraInfoError, match=message):
        camera(**changes)


def test_unknown_model_without_coefficients_is_a_pinhole():
    assert camera(model="none", d=()) == camera()


def test_other_image_size_is_refused():
    with pytest.raises(CameraInfoError, match="640x480.*320x240"):
        camera().require_size(320, 240)


@pytest.mark.parametrize(
    ("model", "written", "meant"),
    [
        ("equidistant", (0.01, 0.02, 0.03, 0.04, 0.0), (0.01, 0.02, 0.03, 0.04)),
        ("fisheye", (0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), (0.01, 0.0, 0.0, 0.0)),
        ("plumb_bob", (0.1, 0.2, 0.0, 0.0, 0.3, 0.0), (0.1, 0.2, 0.0, 0.0, 0.3)),
        ("rational_polynomial", (0.1,) * 8 + (0.0,) * 2, (0.1,) * 8),
        ("rational_polynomial", (0.1,) * 14 + (0.0,), (0.1,) * 14),
    ],
)
def test_zeros_behind_the_last_coefficient_are_nothing(model, written, meant):
    assert camera(model=model, d=written) == camera(model=model, d=meant)
    assert camera(model=model, d=written).distortion == meant
