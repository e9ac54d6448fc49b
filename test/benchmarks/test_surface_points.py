# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points on objects, held against other views of the same scene."""

import numpy as np
import pytest

from benchmarks.surface_points import SurfacePoints
from molmo_ros.sim.camera_path import CameraPath
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import Scene


@pytest.fixture(scope="module")
def scene():
    return Scene.random(5)


@pytest.fixture(scope="module")
def frame(scene):
    return render(scene, 320, 240)


@pytest.fixture(scope="module")
def points(scene, frame):
    return SurfacePoints.inside_objects(frame, scene.camera)


def test_every_object_in_view_has_one_point_inside_it(scene, frame, points):
    assert points.objects.tolist() == sorted(
        set(range(len(scene.objects))) & set(np.unique(frame.segmentation))
    )
    column, row = points.pixels.astype(int).T
    assert (frame.segmentation[row, column] == points.objects).all()


def test_points_lie_near_their_objects_and_above_the_table(scene, points):
    centres = np.array([scene.object_position(index) for index in points.objects])
    assert np.linalg.norm(points.world - centres, axis=1).max() < 0.08
    assert points.world[:, 2].min() > -1e-3


def test_the_same_view_sees_them_where_they_are(scene, frame, points):
    view = points.seen_in(frame, scene.camera)
    np.testing.assert_allclose(view.pixels, points.pixels, atol=1e-3)
    assert view.visible.all()


def test_another_view_sees_them_on_the_same_object_or_hidden(scene, points):
    path = CameraPath(scene.camera, "orbit", 0.3)
    still = scene.camera
    try:
        scene.camera = path.at(1.0)
        moved = render(scene, 320, 240)
    finally:
        scene.camera = still
    view = points.seen_in(moved, path.at(1.0))
    assert view.visible.any()
    column, row = view.pixels[view.visible].astype(int).T
    assert (moved.segmentation[row, column] == points.objects[view.visible]).all()
    assert np.linalg.norm(view.pixels - points.pixels, axis=1).max() > 3


def test_a_camera_that_looks_away_sees_none(scene, points):
    away = CameraPath(scene.camera, "orbit", 0.3).at(0.0)
    turned = type(away)(away.position, away.world_from_optical @ np.diag([-1.0, 1, -1]), away.fovy)
    still = scene.camera
    try:
        scene.camera = turned
        view = points.seen_in(render(scene, 64, 48), turned)
    finally:
        scene.camera = still
    assert not view.visible.any()
