# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Quaternions against OpenCV's rotation vectors."""

import cv2
import numpy as np
import pytest

from molmo_ros.geometry import quaternion

RNG = np.random.default_rng(11)


def rotation(axis, angle):
    """The quaternion and the matrix of a turn by `angle` about `axis`; the matrix by OpenCV."""
    axis = np.asarray(axis, np.float64) / np.linalg.norm(axis)
    q = tuple((axis * np.sin(angle / 2)).tolist()) + (float(np.cos(angle / 2)),)
    return q, cv2.Rodrigues(axis * angle)[0]


def random_rotations(count):
    return [rotation(RNG.normal(size=3), RNG.uniform(-np.pi, np.pi)) for _ in range(count)]


def test_matrix_is_that_of_opencv():
    for q, matrix in random_rotations(50):
        np.testing.assert_allclose(quaternion.to_matrix(q), matrix, atol=1e-12)


def test_product_is_the_matrices_product():
    for (q1, m1), (q2, m2) in zip(random_rotations(20), random_rotations(20), strict=True):
        np.testing.assert_allclose(quaternion.to_matrix(quaternion.product(q1, q2)), m1 @ m2, atol=1e-12)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -1, 0), (1, 2, 3)])
@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, np.pi / 2, np.pi, 3.2])
def test_from_matrix_inverts_to_matrix_also_at_half_turns(axis, angle):
    matrix = rotation(axis, angle)[1]
    q = quaternion.from_matrix(matrix)
    np.testing.assert_allclose(quaternion.to_matrix(q), matrix, atol=1e-12)
    assert q[3] >= 0
    assert np.linalg.norm(q) == pytest.approx(1.0)


def test_conjugate_undoes():
    for q, _ in random_rotations(5):
        np.testing.assert_allclose(quaternion.product(q, quaternion.conjugate(q)), (0, 0, 0, 1), atol=1e-12)


@pytest.mark.parametrize("total", [1e-8, 1e-3, 1.0, 3.0])
def test_slerp_turns_at_constant_speed(total):
    axis = (1, 2, -1)
    start, base = rotation((0, 1, 1), 0.7)
    end = quaternion.from_matrix(base @ rotation(axis, total)[1])
    for fraction in (0.0, 0.25, 0.5, 1.0):
        expected = base @ rotation(axis, fraction * total)[1]
        np.testing.assert_allclose(
            quaternion.to_matrix(quaternion.slerp(start, end, fraction)), expected, atol=1e-12
        )


def test_slerp_takes_the_shorter_way():
    start, end = rotation((0, 0, 1), 0.1)[0], rotation((0, 0, 1), 0.5)[0]
    negative = tuple(-value for value in end)
    expected = rotation((0, 0, 1), 0.3)[1]
    np.testing.assert_allclose(
        quaternion.to_matrix(quaternion.slerp(start, negative, 0.5)), expected, atol=1e-12
    )
