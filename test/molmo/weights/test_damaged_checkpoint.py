# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Folders whose files are missing, damaged, or of another model."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[3]


VECTORS = ROOT / "test" / "vectors"


DENSE = ["molmo-7b-d", "molmo-7b-o", "molmo-72b", "molmo2-4b", "molmo2-8b", "molmo2-o-7b"]
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def test_missing_unexpected_and_misshapen_tensors_in_one_error(folder, rewrite):
    def damage(tensors):
        del tensors["model.transformer.ln_f.weight"]
        tensors["model.transformer.blocks.7.attn_norm.weight"] = torch.zeros(48)
        tensors["lm_head.weight"] = torch.zeros(300, 48)

    rewrite(folder, damage)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    message = str(error.value)
    assert "missing: model.transformer.ln_f.weight (expected [48])" in message
    assert "unexpected: model.transformer.blocks.7.attn_norm.weight (found [48])" in message
    assert "wrong shape: lm_head.weight (found [300, 48], expected [320, 48])" in message
    assert str(folder) in message


def test_long_lists_end_in_a_count(folder, rewrite):
    rewrite(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if "image_vit" in name])
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    total = 10 * 16 + 3
    assert str(error.value).count("(expected") == 12
    assert f"and {total - 12} more" in str(error.value)


def test_embedding_tables_with_the_wrong_number_of_rows_in_all(folder, rewrite):
    rewrite(
        folder, lambda tensors: tensors.update({"model.transformer.wte.new_embedding": torch.zeros(127, 48)})
    )
    with pytest.raises(CheckpointError, match=r"new_embedding \(found \[127, 48\], expected \[128, 48\]\)"):
        load_checkpoint(folder)


def test_missing_files(tmp_path, folder):
    with pytest.raises(CheckpointError, match="no such checkpoint folder"):
        load_checkpoint(tmp_path / "absent")
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match="neither model.safetensors nor model.safetensors.index.json"):
        load_checkpoint(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match="has no config.json"):
        load_checkpoint(folder)


def test_missing_shards_are_named(folder, shard):
    shard(folder)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match="not there: model-00002-of-00003.safetensors"):
        load_checkpoint(folder)


def test_a_tensor_in_two_shards_is_named(folder, shard):
    shard(folder)
    first, second = (folder / f"model-0000{i}-of-00003.safetensors" for i in (1, 2))
    tensors = load_file(second)
    name = min(load_file(first))
    save_file(tensors | {name: torch.zeros(3)}, second)
    with pytest.raises(CheckpointError, match=f"tensors twice: {name}$"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 3}}', '{"weight_map": null}', "\x00"],
)
def test_damaged_index(folder, content):
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_text(content)
    with pytest.raises(CheckpointError, match="index.json holds no weight map"):
        load_checkpoint(folder)


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, -1])
def test_truncated_safetensors(folder, kept):
    content = (folder / WEIGHTS).read_bytes()
    count = int(len(content) * kept) if isinstance(kept, float) else kept
    (folder / WEIGHTS).write_bytes(content[:count])
    with pytest.raises(CheckpointError, match="model.safetensors is not a readable safetensors file"):
        load_checkpoint(folder)


def test_a_file_that_is_no_safetensors(folder):
    (folder / WEIGHTS).write_bytes(b"PK\x03\x04" + b"pickle" * 1000)
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_checkpoint(folder)


def test_tensors_of_integers_are_refused(folder, rewrite):
    rewrite(
        folder,
        lambda tensors: tensors.update({"model.transformer.ln_f.weight": torch.ones(48, dtype=torch.int8)}),
    )
    with pytest.raises(CheckpointError, match=r"ln_f.weight.*I8"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "part, values, hint",
    [
        ("text_config", {"num_hidden_layers": 5}, "decoder layers 2, config.json says 5"),
        ("text_config", {"num_hidden_layers": 1}, "decoder layers 2, config.json says 1"),
        ("text_config", {"hidden_size": 64}, "decoder width 48, config.json says 64"),
        ("text_config", {"intermediate_size": 96}, "MLP width 80, config.json says 96"),
        ("text_config", {"vocab_size": 300}, "vocabulary 320, config.json says 300"),
        ("text_config", {"additional_vocab_size": 64}, "additional tokens 128, config.json says 64"),
        ("vit_config", {"hidden_size": 64}, "vision width 32, config.json says 64"),
        ("adapter_config", {"vit_layers": [-1, -9]}, "vision layers 10, config.json says 12"),
    ],
)
def test_what_the_tensors_look_like_instead(folder, part, values, hint, set_config):
    set_config(folder, part, **values)
    with pytest.raises(CheckpointError, match=f"the tensors look like {hint}"):
        load_checkpoint(folder)


@pytest.mark.parametrize("config, weights", [(0, 4), (4, 0), (3, 5), (0, 6), (6, 0), (3, 7), (7, 3)])
def test_weights_of_another_family(tmp_path, config, weights):
    variants = [*DENSE, "molmoe-1b", "molmopoint-8b"]
    shutil.copyfile(VECTORS / f"{variants[config]}-tiny" / "config.json", tmp_path / "config.json")
    shutil.copyfile(VECTORS / f"{variants[weights]}-tiny" / WEIGHTS, tmp_path / WEIGHTS)
    families = {0: "molmo", 3: "molmo2", 4: "molmo2", 5: "molmo2", 6: "molmoe", 7: "molmo_point"}
    said, found = families[config], families[weights]
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(tmp_path)
    told = f"the tensors have the names of family {found!r}" in str(error.value)
    assert told == (said != found)
    assert not told or f"config.json says {said!r}" in str(error.value)
