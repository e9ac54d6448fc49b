# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Solids against MuJoCo, which knows nothing of them."""

import mujoco
import numpy as np
import pytest

from molmo_ros.gazebo.sdf_pose import parent_from_child
from molmo_ros.gazebo.solid import Solid

PLACE = parent_from_child((0.1, -0.2, 0.3), (0.4, -0.7, 1.9))
SOLIDS = [
    Solid("box", (0.2, 0.1, 0.3), PLACE),
    Solid("sphere", (0.15,), PLACE),
    Solid("cylinder", (0.1, 0.3), PLACE),
]
MUJOCO_SIZE = {"box": (0.1, 0.05, 0.15), "sphere": (0.15, 0, 0), "cylinder": (0.1, 0.15, 0)}


def in_mujoco(solid):
    x, y, z, w = PLACE.rotation
    size, place = (" ".join(map(str, v)) for v in (MUJOCO_SIZE[solid.kind], PLACE.translation))
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><worldbody><geom type="{solid.kind}" size="{size}" pos="{place}" quat="{w} {x} {y} {z}"/>'
        f'<body mocap="true"><geom name="probe" type="sphere" size="1e-6"/></body></worldbody></mujoco>'
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.mark.parametrize("solid", SOLIDS, ids=lambda solid: solid.kind)
def test_rays_meet_it_where_mujocos_do(solid):
    model, data = in_mujoco(solid)
    random = np.random.default_rng(3)
    origins = random.normal(size=(200, 3))
    origins *= 1.5 / np.linalg.norm(origins, axis=1, keepdims=True)
    hits = 0
    for origin in origins:
        direction = np.array(PLACE.translation) + random.normal(size=3) * 0.12 - origin
        direction /= np.linalg.norm(direction)
        expected = mujoco.mj_ray(model, data, origin, direction, None, 1, 1, np.array([-1], np.int32))
        (found,) = solid.hit(origin, direction[None])
        assert found == pytest.approx(np.inf if expected < 0 else expected, abs=1e-9)
        hits += expected >= 0
    assert 30 < hits < 200


@pytest.mark.parametrize("solid", SOLIDS, ids=lambda solid: solid.kind)
def test_distances_are_mujocos(solid):
    model, data = in_mujoco(solid)
    points = np.array(PLACE.translation) + np.random.default_rng(4).uniform(-0.5, 0.5, (60, 3))
    for point in points:
        data.mocap_pos[0] = point
        mujoco.mj_forward(model, data)
        expected = mujoco.mj_geomDistance(model, data, 0, 1, 10.0, None)
        if expected < 0:  # inside: only how deep, along one axis; see below
            continue
        assert solid.distance(point[None])[0] == pytest.approx(expected, abs=1e-4)


def test_inside_it_is_the_way_out_that_counts():
    for solid, expected in zip(SOLIDS, (0.05, 0.15, 0.1), strict=True):
        assert solid.distance(np.array([PLACE.translation]))[0] == pytest.approx(expected)


def test_rays_along_a_cylinders_axis():
    tin = Solid("cylinder", (0.1, 0.3))
    assert tin.hit(np.array([0.05, 0, 1.0]), np.array([[0, 0, -1.0]])) == pytest.approx([0.85])
    assert tin.hit(np.array([0.15, 0, 1.0]), np.array([[0, 0, -1.0]])) == [np.inf]


def test_lengths_are_checked():
    with pytest.raises(ValueError, match="a box has 3 lengths"):
        Solid("box", (0.1, 0.1))
