# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An output head that is the embedding itself: stored, left out, or said of it wrongly."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_model

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def equal(one, other):
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def equal_head(tensors):
    tensors["lm_head.weight"] = tensors["model.transformer.wte.embedding"].clone()


def test_equal_head_shares_the_memory_of_the_embedding(folder, rewrite):
    assert load_checkpoint(folder, tie_equal_head=True).decoder.head.weight is not None
    rewrite(folder, equal_head)
    tied, apart = load_checkpoint(folder, tie_equal_head=True).decoder, load_checkpoint(folder).decoder
    assert tied.head.weight is tied.embedding.base
    assert apart.head.weight.data_ptr() != apart.embedding.base.data_ptr()
    assert torch.equal(tied.head.weight, apart.head.weight)
    hidden = torch.randn(1, 2, tied.config.width)
    assert torch.equal(tied.logits(hidden), apart.logits(hidden))


def test_equal_head_beside_tables_cut_elsewhere(folder, rewrite):
    def halves(tensors):
        equal_head(tensors)
        names = ["model.transformer.wte.embedding", "model.transformer.wte.new_embedding"]
        whole = torch.cat([tensors[name] for name in names])
        tensors |= {name: part.clone() for name, part in zip(names, whole.chunk(2), strict=True)}

    rewrite(folder, equal_head)
    before = load_checkpoint(folder)
    rewrite(folder, halves)
    tied = load_checkpoint(folder, tie_equal_head=True)
    assert equal(before, tied)
    assert tied.decoder.head.weight is tied.decoder.embedding.base
    rewrite(folder, lambda tensors: tensors["lm_head.weight"].view(-1)[-1:].add_(1))
    apart = load_checkpoint(folder, tie_equal_head=True).decoder
    assert apart.head.weight.data_ptr() != apart.embedding.base.data_ptr()


@pytest.mark.parametrize("row", [0, 160, 319])
def test_a_head_that_differs_in_one_value_is_never_tied(folder, row, rewrite):
    assert load_checkpoint(folder).config.decoder.vocab == 320

    def almost(tensors):
        equal_head(tensors)
        tensors["lm_head.weight"][row, 5] += 1

    rewrite(folder, almost)
    decoder = load_checkpoint(folder, tie_equal_head=True).decoder
    assert decoder.head.weight.data_ptr() != decoder.embedding.base.data_ptr()
    assert torch.equal(decoder.head.weight, load_file(folder / WEIGHTS)["lm_head.weight"])


def test_tied_config_needs_no_head(folder, rewrite):
    raw = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | {"tie_word_embeddings": True}))
    rewrite(folder, lambda tensors: tensors.pop("lm_head.weight"))
    decoder = load_checkpoint(folder).decoder
    hidden = torch.randn(2, decoder.config.width)
    assert torch.equal(decoder.logits(hidden), hidden @ decoder.embedding.base.T)


def test_stored_head_counts_whatever_the_config_says(folder, rewrite):
    untied = load_checkpoint(folder)
    raw = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | {"tie_word_embeddings": True}))
    assert equal(load_checkpoint(folder), untied)
    rewrite(folder, equal_head)
    decoder = load_checkpoint(folder, tie_equal_head=True).decoder
    assert decoder.head.weight.data_ptr() == decoder.embedding.base.data_ptr()


def test_a_head_that_the_file_says_is_the_embedding(folder):
    """safetensors' own `save_model` keeps a shared tensor once, under the first of its names, and notes the others."""

    class Shared(torch.nn.Module):
        def __init__(self, tensors):
            super().__init__()
            for name, value in tensors.items():
                *path, last = name.split(".")
                part = self
                for step in path:
                    if not hasattr(part, step):
                        part.add_module(step, torch.nn.Module())
                    part = getattr(part, step)
                part.register_parameter(last, torch.nn.Parameter(value))
            self.lm_head.weight = self.model.transformer.wte.embedding

    tensors = load_file(folder / WEIGHTS)
    save_model(Shared(tensors), str(folder / WEIGHTS))
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        missing = tensors.keys() - set(file.keys())
        assert len(missing) == 1 and next(iter(missing)) in file.metadata()
    decoder = load_checkpoint(folder, tie_equal_head=True).decoder
    assert torch.equal(decoder.head.weight, tensors["model.transformer.wte.embedding"])
    assert decoder.head.weight is decoder.embedding.base
    before = (folder / WEIGHTS).read_bytes()
    shard_of_it = folder / "model-00001-of-00001.safetensors"
    shard_of_it.write_bytes(before)
    (folder / WEIGHTS).unlink()
    names = dict.fromkeys(sorted(tensors.keys() - missing), shard_of_it.name)
    (folder / INDEX).write_text(json.dumps({"weight_map": names}))
    assert torch.equal(load_checkpoint(folder).decoder.head.weight, decoder.head.weight)


def test_a_head_that_text_config_ties(folder, rewrite, set_config):
    rewrite(folder, lambda tensors: tensors.pop("lm_head.weight"))
    with pytest.raises(CheckpointError, match="missing: lm_head.weight"):
        load_checkpoint(folder)
    set_config(folder, "text_config", tie_word_embeddings=True)
    decoder = load_checkpoint(folder).decoder
    hidden = torch.randn(2, decoder.config.width)
    assert torch.equal(decoder.logits(hidden), hidden @ decoder.embedding.base.T)
