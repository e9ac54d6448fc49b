# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Scenes: equal seeds, objects at rest on the table and in view."""

import mujoco
import numpy as np
import pytest

from molmo_ros.sim.objects import COLORS, SHAPES, make_object
from molmo_ros.sim.scene import MAX_OBJECTS, SENSOR, Scene


def test_equal_seeds_give_equal_scenes_and_others_differ():
    first, again, other = Scene.random(5), Scene.random(5), Scene.random(6)
    assert [thing.name for thing in first.objects] == [thing.name for thing in again.objects]
    np.testing.assert_array_equal(first.data.qpos, again.data.qpos)
    np.testing.assert_array_equal(first.camera.position, again.camera.position)
    assert first.data.qpos.shape != other.data.qpos.shape or not np.allclose(first.data.qpos, other.data.qpos)


@pytest.mark.parametrize("seed", range(20, 28))
def test_objects_rest_on_the_table_in_view(seed):
    scene = Scene.random(seed)
    assert 1 <= len(scene.objects) <= MAX_OBJECTS
    for index, thing in enumerate(scene.objects):
        assert thing.color in COLORS and thing.shape in SHAPES
        position = scene.object_position(index)
        assert 0.005 < position[2] < 0.09, thing.name
        optical = scene.camera.world_from_optical.T @ (position - scene.camera.position)
        u, v, w = scene.camera.intrinsics(*SENSOR) @ optical
        assert 0 < u / w < SENSOR[0] and 0 < v / w < SENSOR[1]


def test_physics_moves_what_is_pushed():
    scene = Scene.random(3)
    before = scene.object_position(0)
    scene.data.qvel[0] = 1.0
    mujoco.mj_step(scene.model, scene.data, 20)
    assert np.linalg.norm(scene.object_position(0) - before) > 0.01


def test_camera_axes_are_an_optical_frame():
    rotation = Scene.random(9).camera.world_from_optical
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert rotation[2, 2] < 0, "the camera looks down"
    assert rotation[2, 1] < 0, "the picture's y axis points down"


def test_every_geom_belongs_to_its_object():
    scene = Scene.random(0)
    for index in range(len(scene.objects)):
        body = scene.model.body(f"object{index}")
        geoms = np.flatnonzero(scene.model.geom_bodyid == body.id)
        assert len(geoms) and (scene.geom_object[geoms] == index).all()
    assert scene.geom_object[scene.model.geom("table").id] == -1


def test_unknown_names_are_refused_with_the_choices():
    with pytest.raises(ValueError, match="pink.*red, green"):
        make_object("pink", "cube", np.random.default_rng(0))
    with pytest.raises(ValueError, match="teapot.*cube, ball"):
        make_object("red", "teapot", np.random.default_rng(0))
