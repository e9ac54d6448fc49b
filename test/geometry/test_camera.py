import cv2
import numpy as np
import pytest

from molmo_ros.geometry import CameraInfoError, PinholeCamera

K = [615.3, 0.0, 320.9, 0.0, 614.1, 241.2, 0.0, 0.0, 1.0]
LENSES = {
    "none": ("plumb_bob", ()),
    "plumb_bob": ("plumb_bob", (-0.31, 0.12, 0.001, -0.0007, -0.02)),
    "rational_polynomial": ("rational_polynomial", (0.45, 0.08, 0.0003, -0.0004, 0.01, 0.78, 0.18, 0.02)),
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


def test_points_of_a_plane_stay_on_it():
    rays = camera("plumb_bob").deproject(grid(), np.ones(len(grid())))
    normal = np.array([0.2, -0.3, 1.0])
    depth = 1.5 / (rays @ normal)
    np.testing.assert_allclose(camera("plumb_bob").deproject(grid(), depth) @ normal, 1.5)


def test_roi_and_binning_give_the_same_ray():
    """One scene point, seen at full resolution and in a binned region of interest (REP-104)."""
    full = camera("plumb_bob")
    part = camera("plumb_bob", roi=(100, 60, 400, 300), binning=(2, 4))
    assert (part.width, part.height) == (200, 75)
    pixels = np.array([[120.0, 80.0], [480.0, 340.0]])
    seen = (pixels - (100, 60)) / (2, 4)
    np.testing.assert_allclose(part.deproject(seen, [1.0, 2.0]), full.deproject(pixels, [1.0, 2.0]))


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
        ({"k": [277.0, 0, 160.0, 0, 277.0, 120.0, 0, 0, 1]}, "640x480"),
        ({"k": [615.0, 0, 640.0, 0, 615.0, 360.0, 0, 0, 1]}, "contradicts the image size"),
        ({"width": 0}, "positive"),
        ({"model": "mystery", "d": (0.1, 0, 0, 0)}, "plumb_bob, rational_polynomial, equidistant"),
        ({"model": "plumb_bob", "d": (0.1,)}, "4 or 5"),
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
