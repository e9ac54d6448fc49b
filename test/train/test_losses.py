# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Windows: a part of a view has the labels of its place, and the tower sees it as it sees the whole."""

import numpy as np
import torch

from molmo_ros.train import losses
from molmo_ros.train.batches import WINDOW, BatchStream, window_corner
from molmo_ros.train.shape import GRID, POOLED
from molmo_ros.train.trainer import TrainingRun


def batch_of(folder, windows):
    return next(iter(BatchStream(folder / "scenes", 4, 0, seed=0, windows=windows)))


def test_a_window_is_a_square_of_its_view_with_its_labels(folder, monkeypatch):
    monkeypatch.setattr("molmo_ros.train.batches.window_corner", lambda points, rng: (3, 1))
    whole, window = batch_of(folder, False), batch_of(folder, True)
    cells = (slice(None), slice(3, 3 + WINDOW), slice(1, 1 + WINDOW))
    patches = (slice(None), slice(6, 6 + 2 * WINDOW), slice(2, 2 + 2 * WINDOW))
    assert torch.equal(window.patches, whole.patches.unflatten(1, (GRID, GRID))[patches].flatten(1, 2))
    for name in ("shape", "color", "peak", "center"):
        seen, all_of_it = getattr(window, name), getattr(whole, name).unflatten(1, (POOLED, POOLED))
        torch.testing.assert_close(seen, all_of_it[cells].flatten(1, 2), equal_nan=True)
    assert window.corner.tolist() == [[3, 1]] * 4 and whole.corner.tolist() == [[0, 0]] * 4


def test_a_window_lies_inside_and_holds_a_thing():
    rng = np.random.default_rng(0)
    points = np.array([[20.0, 980.0], [np.nan, np.nan], [500.0, 500.0]])
    cells = {
        divmod(int(y / 1000 * POOLED) * POOLED + int(x / 1000 * POOLED), POOLED) for x, y in points[[0, 2]]
    }
    for _ in range(50):
        row, column = window_corner(points, rng)
        assert 0 <= row <= POOLED - WINDOW and 0 <= column <= POOLED - WINDOW
        assert any(row <= r < row + WINDOW and column <= c < column + WINDOW for r, c in cells)


def test_a_window_of_everything_has_the_view_s_features_and_teaches_the_tower(folder, monkeypatch):
    monkeypatch.setattr(losses, "WINDOW", POOLED)
    trainee = TrainingRun(folder, seed=1).trainee
    batch = batch_of(folder, False)
    seen = trainee.window_features(batch)
    torch.testing.assert_close(seen, trainee.features(batch), atol=1e-4, rtol=1e-4)
    seen.square().sum().backward()
    assert all(value.grad is not None for value in trainee.model.vision.parameters())
    assert len(list(trainee.parameters())) == len({id(one) for one in trainee.parameters()})


def test_a_window_knows_its_place(folder):
    """The same patches elsewhere have other features: what is learned of places holds for whole views."""
    trainee = TrainingRun(folder, seed=1).trainee
    batch = batch_of(folder, True)
    here = trainee.window_features(batch)
    batch.corner = POOLED - WINDOW - batch.corner
    moved = (batch.corner != POOLED - WINDOW - batch.corner).any(dim=1)
    there = trainee.window_features(batch)
    assert (here - there)[moved].abs().max() > 1e-3
