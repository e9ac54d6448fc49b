# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Rigid transforms by their invariants, and against homogeneous matrices of OpenCV's rotations."""

import math

import cv2
import numpy as np
import pytest

from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError

RNG = np.random.default_rng(5)
POINTS = RNG.normal(size=(20, 3))


def random_transform():
    """A transform and its homogeneous matrix [4, 4], made by OpenCV."""
    vector, translation = RNG.normal(size=3), RNG.normal(size=3)
    angle = np.linalg.norm(vector)
    q = [*(vector / angle * np.sin(angle / 2)), np.cos(angle / 2)]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = cv2.Rodrigues(vector)[0], translation
    return RigidTransform(tuple(translation), tuple(q)), matrix


def applied(matrix):
    return POINTS @ matrix[:3, :3].T + matrix[:3, 3]


def test_apply_is_the_homogeneous_matrix():
    for transform, matrix in (random_transform() for _ in range(20)):
        np.testing.assert_allclose(transform.apply(POINTS), applied(matrix), atol=1e-12)
        np.testing.assert_allclose(transform.rotate(POINTS), POINTS @ matrix[:3, :3].T, atol=1e-12)


def test_compose_and_inverse_are_those_of_matrices():
    for _ in range(20):
        (a, ma), (b, mb) = random_transform(), random_transform()
        np.testing.assert_allclose((a @ b).apply(POINTS), applied(ma @ mb), atol=1e-12)
        np.testing.assert_allclose(a.inverse().apply(POINTS), applied(np.linalg.inv(ma)), atol=1e-12)
        np.testing.assert_allclose((a.inverse() @ a).apply(POINTS), POINTS, atol=1e-12)


def test_compose_is_associative():
    (a, _), (b, _), (c, _) = random_transform(), random_transform(), random_transform()
    left, right = (a @ b) @ c, a @ (b @ c)
    np.testing.assert_allclose(left.apply(POINTS), right.apply(POINTS), atol=1e-12)


def test_identity_changes_nothing_from_either_side():
    identity = RigidTransform()
    for transform, _ in (random_transform() for _ in range(20)):
        for same in (identity @ transform, transform @ identity):
            np.testing.assert_allclose(same.apply(POINTS), transform.apply(POINTS), atol=1e-12)
    np.testing.assert_array_equal(identity.apply(POINTS), POINTS)
    np.testing.assert_array_equal(identity.inverse().apply(POINTS), POINTS)


def test_inverse_undoes_from_either_side_and_turns_products_round():
    for _ in range(20):
        (a, _), (b, _) = random_transform(), random_transform()
        for nothing in (a @ a.inverse(), a.inverse() @ a):
            np.testing.assert_allclose(nothing.apply(POINTS), POINTS, atol=1e-12)
        round_, back = (a @ b).inverse(), b.inverse() @ a.inverse()
        np.testing.assert_allclose(round_.apply(POINTS), back.apply(POINTS), atol=1e-12)
        np.testing.assert_allclose(a.inverse().inverse().apply(POINTS), a.apply(POINTS), atol=1e-12)


def test_distances_are_kept():
    for transform, _ in (random_transform() for _ in range(20)):
        moved = transform.apply(POINTS)
        before, after = (np.linalg.norm(one[:, None] - one, axis=-1) for one in (POINTS, moved))
        np.testing.assert_allclose(after, before, atol=1e-12)


def test_rotation_stays_of_unit_length_over_a_long_chain():
    step, whole = random_transform()[0], RigidTransform()
    for _ in range(5000):
        whole = whole @ step
    assert math.hypot(*whole.rotation) == pytest.approx(1.0, abs=1e-12)


def test_interpolation_ends_where_it_should_and_is_symmetric():
    (a, _), (b, _) = random_transform(), random_transform()
    for fraction, expected in ((0.0, a), (1.0, b)):
        np.testing.assert_allclose(
            a.interpolate(b, fraction).apply(POINTS), expected.apply(POINTS), atol=1e-12
        )
    np.testing.assert_allclose(
        a.interpolate(b, 0.3).apply(POINTS), b.interpolate(a, 0.7).apply(POINTS), atol=1e-12
    )


def test_quarter_turn_half_way():
    turned = RigidTransform((2.0, 0.0, 0.0), (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)))
    half = RigidTransform().interpolate(turned, 0.5)
    expected = [[1 + math.sqrt(0.5), math.sqrt(0.5), 0.0]]
    np.testing.assert_allclose(half.apply(np.array([[1.0, 0.0, 0.0]])), expected, atol=1e-12)


def test_rounded_quaternion_is_made_unit():
    assert math.hypot(*RigidTransform(rotation=(0.0, 0.0, 0.707, 0.707)).rotation) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("translation", "rotation", "said"),
    [
        ((0, 0, 0), (0, 0, 0, 0), "has length 0"),
        ((0, 0, 0), (0.1, 0.2, 1.5, 0), "of length 1"),
        ((0, float("nan"), 0), (0, 0, 0, 1), "translation has values that are not finite"),
        ((0, 0, 0), (0, 0, float("inf"), 1), "rotation has values that are not finite"),
        ((0, 0), (0, 0, 0, 1), "translation takes 3 values, got 2"),
    ],
)
def test_what_is_no_transform_is_refused(translation, rotation, said):
    with pytest.raises(TransformError, match=said):
        RigidTransform(translation, rotation)
