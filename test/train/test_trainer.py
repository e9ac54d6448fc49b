# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Training learns, stops and goes on as if it had not stopped."""

import contextlib

import numpy as np
import pytest
import torch

from molmo_ros.molmo.pipeline import checkpoint_folder
from molmo_ros.molmo.weights.checkpoint import load_checkpoint
from molmo_ros.train.losses import soft_coordinate_loss
from molmo_ros.train.trainer import Stage, TrainingRun, learning_rate, stages, trained_weights

TEXT = Stage("text", 6, 2, 2, 2, 1e-3)


@contextlib.contextmanager
def single_precision():
    """What autocast would shorten, in float32.

    A processor without bfloat16's instructions takes ten times as long for it, and the same things are learned.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
        yield


@single_precision()
def test_one_batch_is_learned_and_the_written_checkpoint_is_the_model(folder):
    run = TrainingRun(folder, seed=3)
    batch, further = next(run.batches(2, 2, 0)), next(run.batches(2, 0, 1))
    metrics = [run.step(TEXT, batch, further, step, 1e-3) for step in range(8)]
    assert metrics[-1]["text"] < 0.8 * metrics[0]["text"]
    run.save()
    loaded = load_checkpoint(folder / "checkpoint")
    ids = torch.arange(20).unsqueeze(0)
    with torch.no_grad():
        ours, stored = run.trainee.model(ids).logits, loaded(ids).logits
    np.testing.assert_allclose(ours, stored, atol=2e-2)  # stored in half precision
    again = TrainingRun(folder, seed=3)
    following = [r.step(TEXT, batch, further, 8, 1e-3)["text"] for r in (run, again)]
    assert following[0] == pytest.approx(following[1], rel=1e-3)


def test_a_step_in_the_training_s_own_precision_lowers_every_loss(folder):
    run = TrainingRun(folder, seed=4)
    batch = next(run.batches(2, 2, 0))
    before = run.step(TEXT, batch, None, 0, 1e-3)
    with single_precision():
        after = run.step(TEXT, batch, None, 1, 1e-3)
    assert all(after[name] < before[name] for name in ("text", "place", "dense"))
    assert all(parameter.dtype == torch.float32 for parameter in run.trainee.parameters())


def test_soft_coordinates_prefer_the_target_and_then_its_neighbours():
    logits = torch.full((3, 1000), -20.0)
    for row, guess in enumerate((500, 505, 700)):
        logits[row, guess] = 20.0
    near, off, far = soft_coordinate_loss(logits, torch.tensor([500.0] * 3), sigma=6.0).tolist()
    assert near < off < far


def test_learning_rate_warms_up_and_falls():
    stage = stages(100, 1000)[1]
    rates = [learning_rate(stage, step) for step in (0, 60, 500, 999)]
    assert rates[0] < rates[3] < rates[2] < rates[1] <= stage.peak


def test_a_further_run_starts_with_the_checkpoint_s_own_features(tmp_path):
    """Places are stretched to the finer grid: a point of the first grid keeps its neighbours."""
    start = checkpoint_folder("tiny")
    run = TrainingRun(tmp_path, seed=5, start=start)
    stored = load_checkpoint(start)
    for name, value in stored.state_dict().items():
        if name != "vision.position_embedding":
            torch.testing.assert_close(run.trainee.model.state_dict()[name], value)
    rows, columns = stored.config.vision.grid
    finer = trained_weights(start, (2 * rows, 2 * columns))["vision.position_embedding"]
    grid = finer.reshape(rows, 2, columns, 2, -1).mean(dim=(1, 3)).reshape(rows * columns, -1)
    places = stored.vision.position_embedding
    assert (grid - places).norm() < 0.25 * places.norm()
