# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Parity of the mixture of experts with the published code, and that its arrays are really compared."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.reference.parity import check_folder, first_block_experts
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
ARRAYS = {"moe_block0_out", "moe_block0_router_logits"}


@pytest.mark.parametrize("attention", ["sdpa", "explicit"])
@pytest.mark.parametrize(("variant", "greedy"), [("molmoe-1b-tiny", 0), ("molmoe-deep-tiny", 6)])
def test_reference_vectors_agree(variant, greedy, attention):
    report = check_folder(VECTORS / variant, attention)
    assert (report.status, report.reason) == ("ok", "")
    assert {"logits", "vision_features", "hidden_states", "text_only_logits", *ARRAYS} <= report.errors.keys()
    assert max(report.errors.values()) < 1e-4
    assert report.greedy_agree is (True if greedy else None)
    assert len(report.greedy_tokens) == greedy
    assert report.preprocessing["pixels"] <= 1e-5
    assert {value for name, value in report.preprocessing.items() if name != "pixels"} == {0.0}


@pytest.mark.parametrize("name", sorted(ARRAYS | {"greedy_logits"}))
def test_a_difference_is_seen(tmp_path, name):
    folder = tmp_path / "vectors"
    shutil.copytree(VECTORS / "molmoe-deep-tiny", folder)
    with np.load(folder / "logits.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    arrays[name].flat[3] += 2e-4
    np.savez(folder / "logits.npz", **arrays)
    report = check_folder(folder)
    assert report.status == "failed"
    assert report.reason.startswith(f"{name} differs by 2.0")


def test_arrays_of_experts_need_a_model_with_experts():
    model = load_checkpoint(VECTORS / "molmo-7b-o-tiny")
    with pytest.raises(MolmoError, match="first block of the model has no experts"):
        first_block_experts(model, torch.zeros(1, 1, model.config.decoder.width))
