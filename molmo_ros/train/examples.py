# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of the simulator for whoever builds an engine: to calibrate quantisation on, and for the quality gate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from molmo_ros.engine.quality_gate import AskedPicture
from molmo_ros.engine.quantisation.decoder_prompts import Example
from molmo_ros.sim.renderer import add_noise, render
from molmo_ros.sim.scene import Scene
from molmo_ros.train.held_out import HEIGHT, HELD_OUT, WIDTH
from molmo_ros.train.precision import scenes_with_queries
from molmo_ros.train.queries import QueryMaker, mask_points

SIMULATED_SEED = 500_000
"""Scenes from this seed on are for calibration: neither trained nor evaluated on."""
PER_SCENE = 2
"""Questions of the quality gate about each scene."""


def simulated_examples(count: int) -> Iterator[Example]:
    """So many pictures of the simulator, each with a query and its true answer."""
    for seed in range(SIMULATED_SEED, SIMULATED_SEED + count):
        scene, rng = Scene.random(seed), np.random.default_rng(seed)
        frame = render(scene, WIDTH, HEIGHT)
        points = mask_points(frame.segmentation, len(scene.objects))
        query = QueryMaker([(thing.color, thing.shape) for thing in scene.objects], points, rng).draw()
        yield Example(add_noise(frame.rgb, rng), query.prompt, query.answer)


def simulated_questions(count: int) -> list[AskedPicture]:
    """So many held-out questions (an even number): pictures uint8 RGB [h, w, 3] with what is asked about each."""
    scenes = scenes_with_queries(range(HELD_OUT, HELD_OUT + count // PER_SCENE), PER_SCENE)
    return [(picture, query.prompt) for _, picture, queries in scenes for query in queries]
