# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The moving camera: where it starts, how fast it moves, and that the table stays in view."""

import math

import numpy as np
import pytest

from molmo_ros.sim.camera_path import MOTIONS, SPEEDS, TURN_LIMIT, CameraPath
from molmo_ros.sim.scene import Camera, Scene

STEP = 1e-3
TIMES = np.linspace(0, 2, 21)


def paths():
    rng = np.random.default_rng(0)
    for seed in range(12):
        camera = Scene.random(seed).camera
        for motion in MOTIONS:
            yield CameraPath(camera, motion, rng.uniform(*SPEEDS), rng.uniform(0, 2 * math.pi))


@pytest.fixture(scope="module", params=paths(), ids=lambda path: f"{path.motion} {path.speed:.2f} m/s")
def path(request):
    return request.param


def test_starts_at_the_start(path):
    first = path.at(0.0)
    np.testing.assert_allclose(first.position, path.start.position, atol=1e-12)
    np.testing.assert_allclose(first.world_from_optical, path.start.world_from_optical, atol=1e-12)
    assert first.fovy == path.start.fovy


def test_is_a_rotation_at_all_times(path):
    for seconds in TIMES:
        rotation = path.at(seconds).world_from_optical
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1)


def test_moves_but_no_faster_than_it_says(path):
    speeds, turns = [], []
    for seconds in TIMES:
        now, then = path.at(seconds), path.at(seconds + STEP)
        speeds.append(np.linalg.norm(then.position - now.position) / STEP)
        cos = (np.trace(now.world_from_optical.T @ then.world_from_optical) - 1) / 2
        turns.append(math.acos(min(1.0, cos)) / STEP)
    assert max(speeds) <= path.speed * 1.001
    assert np.mean(speeds) > 0.3 * path.speed * (0.5 if path.motion == "translate" else 1)
    if path.motion == "approach":
        assert max(turns) < 1e-3
    else:
        assert max(turns) <= 1.05 * TURN_LIMIT
    if path.motion == "orbit":
        assert np.ptp(speeds) < 1e-3


def test_looks_at_the_table_from_above(path):
    for seconds in TIMES:
        camera = path.at(seconds)
        forward = camera.world_from_optical[:, 2]
        assert camera.position[2] > 0.1 and forward[2] < 0
        on_table = camera.position - camera.position[2] / forward[2] * forward
        assert np.abs(on_table[:2]).max() < 0.3


def test_random_paths_have_every_motion():
    camera, rng = Scene.random(0).camera, np.random.default_rng(1)
    several = [CameraPath.random(camera, rng) for _ in range(40)]
    assert {path.motion for path in several} == set(MOTIONS)
    assert all(SPEEDS[0] <= path.speed <= SPEEDS[1] for path in several)


def test_refuses_other_motions_and_other_views():
    camera = Scene.random(0).camera
    with pytest.raises(ValueError, match="'zoom'.*orbit, translate, approach"):
        CameraPath(camera, "zoom", 0.1)
    upward = Camera(camera.position, camera.world_from_optical @ np.diag([1.0, -1, -1]), camera.fovy)
    with pytest.raises(ValueError, match="look down"):
        CameraPath(upward, "orbit", 0.1)
