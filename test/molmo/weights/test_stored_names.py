# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Names that training programs put around a model's: what torch itself writes loads, two models in one do not."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.weights.checkpoint import load_checkpoint
from molmo_ros.molmo.weights.stored_names import TELLING, hub_names

VECTORS = Path(__file__).parents[2] / "vectors"
WEIGHTS = "model.safetensors"


@pytest.fixture(params=["molmo2-4b-tiny", "molmoe-1b-tiny", "molmo-7b-d-tiny", "molmopoint-8b-tiny"])
def folder(tmp_path, request):
    for name in ("config.json", WEIGHTS):
        shutil.copyfile(VECTORS / request.param / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "base_model.model.", "module._orig_mod.", "policy.vlm."]
)
def test_a_prefix_before_all_names(folder, prefix):
    whole = load_checkpoint(folder).state_dict()
    tensors = load_file(folder / WEIGHTS)
    save_file({prefix + name: value for name, value in tensors.items()}, folder / WEIGHTS)
    found = load_checkpoint(folder).state_dict()
    assert found.keys() == whole.keys() and all(torch.equal(found[name], whole[name]) for name in whole)


def test_names_as_torch_writes_them():
    """Wrappers at the top and in the middle: their own state_dict tells what they add."""

    class Norm(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2))

    def tree(norm):
        transformer = torch.nn.Module()
        transformer.ln_f = norm
        model = torch.nn.Module()
        model.transformer = transformer
        top = torch.nn.Module()
        top.model = model
        return top

    compiled = torch.compile(tree(Norm()))
    inner = tree(torch.compile(Norm()))
    parallel = torch.nn.DataParallel(tree(Norm()))
    for module in (compiled, inner, parallel):
        (name,) = module.state_dict()
        assert name != TELLING and hub_names([name]) == {name: TELLING}


def test_two_models_in_one_file(folder):
    tensors = load_file(folder / WEIGHTS)
    ema = {f"ema.{name}": value.clone() for name, value in tensors.items()}
    save_file(tensors | ema, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="of 2 models, told apart by the prefixes '', 'ema.'"):
        load_checkpoint(folder)


def test_a_tensor_under_two_names():
    with pytest.raises(CheckpointError, match="stored twice.*: a.weight and module.a.weight"):
        hub_names([TELLING, "module.a.weight", "a.weight"])
