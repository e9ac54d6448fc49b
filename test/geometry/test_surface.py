# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Normals of surfaces that were rendered from formulas, and orientations by their invariants."""

import cv2
import numpy as np
import pytest

from molmo_ros.geometry import PinholeCamera, depth_at
from molmo_ros.geometry.quaternion import to_matrix
from molmo_ros.geometry.surface import surface_normal, surface_orientation

CAMERA = PinholeCamera(600.0, 600.0, 159.5, 119.5, 320, 240)
V, U = np.mgrid[0:240, 0:320]
CENTRE = (160.0, 120.0)


def unit(*vector):
    return np.asarray(vector, np.float64) / np.linalg.norm(vector)


def rays(camera=CAMERA):
    return camera.deproject(np.stack([U.ravel(), V.ravel()], axis=1), np.ones(U.size)).reshape(240, 320, 3)


def plane(normal, z, camera=CAMERA):
    """Depth image of the plane with this normal that crosses the optical axis at z [m]."""
    return z * normal[2] / (rays(camera) @ normal)


def degrees_between(found, normal):
    assert found.normal is not None, found.reason
    return np.degrees(np.arccos(np.clip(np.dot(found.normal, normal), -1, 1)))


NORMALS = [unit(0, 0, -1), unit(0.4, -0.3, -1), unit(-1, 0, -1), unit(0.1, 2.0, -1)]


@pytest.mark.parametrize("normal", NORMALS)
@pytest.mark.parametrize("pixel", [CENTRE, (0, 0), (319.5, 239.5), (47.3, 201.8)])
def test_exact_plane(normal, pixel):
    found = surface_normal(plane(normal, 0.8), CAMERA, *pixel)
    assert degrees_between(found, normal) < 1e-4
    assert found.residual < 1e-6
    assert np.linalg.norm(found.normal) == pytest.approx(1.0, abs=1e-12)
    assert np.dot(found.normal, CAMERA.deproject([pixel], [1.0])[0]) < 0  # toward the camera


@pytest.mark.parametrize("normal", NORMALS)
def test_noise_of_a_millimetre(normal):
    rng = np.random.default_rng(4)
    errors, expected = [], []
    for _ in range(40):
        noisy = plane(normal, 0.8) + rng.normal(0, 0.001, U.shape)
        found = surface_normal((noisy * 1000).round().astype(np.uint16), CAMERA, *rng.uniform(80, 160, 2))
        errors.append(degrees_between(found, normal))
        expected.append(np.degrees(found.error))
        assert found.residual < 0.0015
    assert max(errors) < 2.0
    # The standard error is that of the worse of two directions: what was found lies around it.
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.mean(expected), rel=0.5)


def test_noise_as_large_as_the_patch():
    """2 cm at 2 m, where 7 px are 2.3 cm: total least squares over the patch would take any direction."""
    rng, normal = np.random.default_rng(4), NORMALS[1]
    noisy = [plane(normal, 2.0) + rng.normal(0, 0.02, U.shape) for _ in range(20)]
    assert max(degrees_between(surface_normal(depth, CAMERA, *CENTRE), normal) for depth in noisy) < 10


def test_object_before_a_wall_up_to_its_rim():
    rng, normal = np.random.default_rng(6), unit(-0.3, 0.2, -1)
    depth = np.where(U < 160, plane(normal, 0.6), 0.9) + rng.normal(0, 0.0005, U.shape)
    for column in range(150, 161):  # from 1 px outside the object on
        assert depth_at(depth, column, 120).depth < 0.7
        assert degrees_between(surface_normal(depth, CAMERA, column, 120), normal) < 3, column
    assert degrees_between(surface_normal(depth, CAMERA, 175, 120), unit(0, 0, -1)) < 2


def test_a_boxs_faces_do_not_mix():
    """Two faces at a right angle meet at the column 160; 4 px away each has its own normal."""
    rng, left, right = np.random.default_rng(7), unit(-1, 0, -1), unit(1, 0, -1)
    depth = np.maximum(plane(left, 0.5), plane(right, 0.5)) + rng.normal(0, 0.0003, U.shape)
    for column in range(145, 157):
        assert degrees_between(surface_normal(depth, CAMERA, column, 120), left) < 2, column
        assert degrees_between(surface_normal(depth, CAMERA, 319 - column, 120), right) < 2, column


def test_ball_of_six_centimetres():
    centre, radius = np.array([0.02, -0.01, 0.5]), 0.03
    r = rays()
    b, a = r @ centre, (r * r).sum(axis=2)
    inside = b * b - a * (centre @ centre - radius**2)
    depth = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, 0.6)
    for x, y in [(0, 0), (0.3, 0.2), (-0.5, 0.3), (0.4, -0.6)]:
        normal = np.array([x, y, -np.sqrt(1 - x * x - y * y)])
        pixel = CAMERA.project(centre + radius * normal)[0]
        assert degrees_between(surface_normal(depth, CAMERA, *pixel), normal) < 4


def test_distorted_lens():
    camera = PinholeCamera(300.0, 300.0, 159.5, 119.5, 320, 240, "plumb_bob", (-0.2, 0.05, 0.001, 0.0, 0.0))
    depth = plane(NORMALS[1], 0.8, camera)
    assert degrees_between(surface_normal(depth, camera, 30.0, 220.0), NORMALS[1]) < 1e-3


def test_a_tenth_of_wild_pixels():
    rng = np.random.default_rng(8)
    depth = plane(NORMALS[1], 0.8)
    wild = rng.random(U.shape) < 0.1
    depth[wild] += rng.uniform(-0.01, 0.01, wild.sum())
    assert degrees_between(surface_normal(depth, CAMERA, *CENTRE), NORMALS[1]) < 1.5


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ((U == 160) & (V == 120), "pixels that show the surface at the point: 1, a plane takes 9"),
        (U == 160, "show the surface at the point: 7,"),
        ((U == 160) | (U == 161), "too little of the surface"),
        (U == V + 40, "show the surface at the point: 7,"),
        (U < 0, "no valid depth within 7x7 px"),
    ],
)
def test_too_little_to_see_a_plane(seen, reason):
    found = surface_normal(np.where(seen, 0.25, np.nan), CAMERA, *CENTRE)
    assert found.normal is None
    assert reason in found.reason


def test_range_and_border_are_respected():
    depth = np.where(U < 160, 0.05, 0.8)
    assert "outside the range" in surface_normal(depth, CAMERA, 100, 120, minimum=0.1).reason
    assert degrees_between(surface_normal(depth, CAMERA, 159, 120, minimum=0.1), unit(0, 0, -1)) < 1e-4
    assert "lies outside" in surface_normal(depth, CAMERA, 320, 120).reason


def test_nothing_invalid_ever_leaks():
    rng = np.random.default_rng(9)
    values = np.array([np.nan, 0.0, np.inf, -np.inf, -2.0, 0.4, 0.41, 3.0], np.float32)
    found = [surface_normal(rng.choice(values, U.shape), CAMERA, *rng.uniform(0, 239, 2)) for _ in range(200)]
    for surface in found:
        if surface.normal is None:
            assert surface.reason
        else:
            assert np.isfinite([*surface.normal, surface.residual, surface.error]).all()
            assert np.linalg.norm(surface.normal) == pytest.approx(1.0)


def directions(count=200):
    vectors = np.random.default_rng(10).normal(size=(count, 3))
    axes = [sign * axis for axis in np.eye(3) for sign in (1.0, -1.0)]
    return [*(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)), *axes]


def test_orientation_turns_z_onto_the_normal():
    for normal in directions():
        q = surface_orientation(tuple(normal))
        assert np.linalg.norm(q) == pytest.approx(1.0, abs=1e-12)
        angle = 2 * np.arccos(np.clip(q[3], -1, 1))
        axis = np.asarray(q[:3]) / max(np.sin(angle / 2), 1e-12)
        np.testing.assert_allclose(cv2.Rodrigues(axis * angle)[0] @ [0, 0, 1], normal, atol=1e-6)


def test_x_axis_is_the_closest_to_the_frames():
    for normal in directions():
        x = to_matrix(surface_orientation(tuple(normal)))[:, 0]
        guide = np.array([0.0, 1.0, 0.0]) if abs(normal[0]) > 0.9 else np.array([1.0, 0.0, 0.0])
        angles = np.linspace(0, 2 * np.pi, 360)[:, None]
        any_x = np.cos(angles) * x + np.sin(angles) * np.cross(normal, x)
        assert x @ guide >= (any_x @ guide).max() - 1e-12


def test_orientation_is_continuous_for_visible_surfaces():
    """A small turn of the normal turns the pose little, while it stays out of the cone around x."""
    for normal in directions():
        near = unit(*(normal + 0.001 * np.array([0.3, -0.5, 0.8])))
        if max(abs(normal[0]), abs(near[0])) < 0.9:
            turn = np.dot(surface_orientation(tuple(normal)), surface_orientation(tuple(near)))
            assert 2 * np.arccos(min(abs(turn), 1.0)) < 0.005
