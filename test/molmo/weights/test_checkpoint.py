# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Reading and writing checkpoint folders, sound and damaged."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Molmo2ForConditionalGeneration

from molmo_ros.molmo.catalog.checksums import CHECKSUMS, read_checksums, write_checksums
from molmo_ros.molmo.errors import CheckpointError, MolmoError
from molmo_ros.molmo.families.table import family
from molmo_ros.molmo.weights.checkpoint import _allocate, load_checkpoint, save_checkpoint
from molmo_ros.molmo.weights.weight_reader import CHUNK_BYTES, WeightReader

ROOT = Path(__file__).parents[3]


VECTORS = ROOT / "test" / "vectors"


DENSE = ["molmo-7b-d", "molmo-7b-o", "molmo-72b", "molmo2-4b", "molmo2-8b", "molmo2-o-7b"]


WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def equal(one, other):
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("variant", DENSE)
def test_every_stored_tensor_is_loaded(variant):
    model = load_checkpoint(VECTORS / f"{variant}-tiny")
    stored = load_file(VECTORS / f"{variant}-tiny" / WEIGHTS)
    loaded = {
        family(model.config.family).tensor_names.name(name): value
        for name, value in model.state_dict().items()
    }
    unused = {name for name in stored if ".resblocks.9." in name} if variant.startswith("molmo-") else set()
    assert stored.keys() - unused == loaded.keys()
    assert all(torch.equal(stored[name], value) for name, value in loaded.items())
    assert not model.training
    assert not any(value.is_meta for value in model.state_dict().values())


def test_shards_equal_one_file(folder, shard):
    whole = load_checkpoint(folder)
    shard(folder)
    assert equal(whole, load_checkpoint(folder))


def test_weights_outlive_a_rewritten_file(folder):
    model = load_checkpoint(folder)
    before = model.decoder.norm.weight.clone()
    (folder / WEIGHTS).write_bytes(b"\0" * (folder / WEIGHTS).stat().st_size)
    assert torch.equal(model.decoder.norm.weight, before)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", torch.bfloat16])
def test_dtypes(folder, dtype):
    model = load_checkpoint(folder, dtype=dtype)
    expected = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    assert {value.dtype for value in model.parameters()} == {expected}
    assert torch.equal(model.decoder.head.weight, load_checkpoint(folder).decoder.head.weight.to(expected))


@pytest.mark.parametrize("dtype", ["int8", "fp32", torch.float64, None])
def test_other_dtypes_are_refused(folder, dtype):
    with pytest.raises(CheckpointError, match="float32, bfloat16, float16"):
        load_checkpoint(folder, dtype=dtype)


@pytest.mark.parametrize("variant", DENSE)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_saved_loads_again(tmp_path, variant, dtype):
    model = load_checkpoint(VECTORS / f"{variant}-tiny", dtype=dtype)
    save_checkpoint(model, tmp_path / "new" / "folder", dtype)
    again = load_checkpoint(tmp_path / "new" / "folder", dtype=dtype)
    assert again.config == model.config
    assert equal(model, again)
    stored = load_file(tmp_path / "new" / "folder" / WEIGHTS)
    assert stored.keys() <= load_file(VECTORS / f"{variant}-tiny" / WEIGHTS).keys()
    assert {value.dtype for value in stored.values()} == {getattr(torch, dtype)}


def test_vision_blocks_above_the_features_may_be_stored_or_not(tmp_path):
    source = VECTORS / "molmo-7b-d-tiny"
    shutil.copyfile(source / "config.json", tmp_path / "config.json")
    tensors = load_file(source / WEIGHTS)
    assert any(".resblocks.9." in name for name in tensors)
    save_file(
        {name: value for name, value in tensors.items() if ".resblocks.9." not in name}, tmp_path / WEIGHTS
    )
    assert equal(load_checkpoint(tmp_path), load_checkpoint(source))


def test_vision_blocks_above_the_features_are_not_read(tmp_path, rewrite):
    source = VECTORS / "molmo-7b-d-tiny"
    for name in ("config.json", WEIGHTS):
        shutil.copyfile(source / name, tmp_path / name)

    def spoil(tensors):  # A number that is none is an error wherever it is read.
        spoilt = [value.fill_(float("nan")) for name, value in tensors.items() if ".resblocks.9." in name]
        assert len(spoilt) == 16

    rewrite(tmp_path, spoil)
    assert equal(load_checkpoint(tmp_path), load_checkpoint(source))
    rewrite(tmp_path, lambda tensors: tensors["model.transformer.ln_f.weight"].fill_(float("nan")))
    with pytest.raises(CheckpointError, match="ln_f.weight holds 56 values that are NaN or infinite"):
        load_checkpoint(tmp_path)


PEAK = """
import sys
from pathlib import Path
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

def kilobytes(what):
    return int(Path("/proc/self/status").read_text().split(what + ":")[1].split()[0])

load_checkpoint(sys.argv[1])  # Whatever torch imports and allocates the first time.
before = kilobytes("VmRSS")
model = load_checkpoint(sys.argv[2], dtype="bfloat16", tie_equal_head=True)
print(kilobytes("VmHWM") - before, sum(value.nbytes for value in model.parameters()) // 1024)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system does not tell a process' memory"
)
def test_peak_memory_is_the_model_and_two_chunks(folder, rewrite, set_config):
    """Float32 on disk, so that a mapped or copied file would be twice the model."""
    rows = 1_000_000
    set_config(folder, "text_config", vocab_size=rows)
    table = torch.randn(rows // 100, 48).repeat(100, 1)
    names = ("model.transformer.wte.embedding", "lm_head.weight")
    rewrite(folder, lambda tensors: tensors.update({name: table.clone() for name in names}))
    command = [sys.executable, "-c", PEAK, str(VECTORS / "molmo2-4b-tiny"), str(folder)]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    peak, size = (int(word) for word in output.split())
    assert 90_000 < size < 100_000
    assert peak < 1.05 * size + 2 * (CHUNK_BYTES >> 10) + 20_000


def test_the_own_layout_of_transformers(folder):
    reference = Molmo2ForConditionalGeneration.from_pretrained(folder)
    reference.save_pretrained(folder, save_original_format=False)
    with pytest.raises(CheckpointError, match=r"transformers' own names; .* save_original_format=False"):
        load_checkpoint(folder)


def test_numbers_that_float16_cannot_hold(folder, rewrite):
    rewrite(folder, lambda tensors: tensors["model.transformer.ln_f.weight"].fill_(1e5))
    assert load_checkpoint(folder).decoder.norm.weight[0].item() == 1e5
    with pytest.raises(
        CheckpointError, match="48 values of model.transformer.ln_f.weight do not fit float16"
    ):
        load_checkpoint(folder, dtype="float16")


def test_a_corrupted_shard(folder, shard):
    shard(folder)
    write_checksums(folder)
    assert load_checkpoint(folder) is not None
    path = folder / "model-00002-of-00003.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=f"{path.name}: found SHA-256 [0-9a-f]{{64}}, expected [0-9a-f]{{64}}"
    ):
        load_checkpoint(folder)


def test_verification_on_request(folder):
    write_checksums(folder)
    path, state = folder / WEIGHTS, (folder / WEIGHTS).stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert load_checkpoint(folder) is not None
    with pytest.raises(CheckpointError, match="found SHA-256"):
        load_checkpoint(folder, verify=True)


def test_saving_into_a_folder_with_checksums(folder):
    write_checksums(folder)
    save_checkpoint(load_checkpoint(folder), folder, "bfloat16")
    assert read_checksums(folder) is None and not (folder / CHECKSUMS).exists()
    assert load_checkpoint(folder, dtype="bfloat16") is not None


def test_a_device_without_room():
    with pytest.raises(
        CheckpointError, match=r"needs 2.25e\+06 GB as bfloat16, which device 'cpu' does not give: .+"
    ) as error:
        _allocate({"weight": (2**50,)}, torch.bfloat16, torch.device("cpu"))
    assert len(str(error.value)) < 500


def test_one_file_and_shards_are_two_models(folder, shard):
    whole = (folder / WEIGHTS).read_bytes()
    shard(folder)
    (folder / WEIGHTS).write_bytes(whole)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    message = str(error.value)
    assert "two sets of weights: model.safetensors, and the shards of model.safetensors.index.json" in message
    assert "model-00001-of-00003.safetensors" in message and "Move one of them away" in message


def test_an_index_of_the_one_file(folder):
    names = dict.fromkeys(load_file(folder / WEIGHTS), WEIGHTS)
    (folder / INDEX).write_text(json.dumps({"weight_map": names}))
    assert load_checkpoint(folder) is not None


def test_config_of_another_size(folder):
    raw = json.loads((folder / "config.json").read_text())
    raw["text_config"]["hidden_size"] = 64
    (folder / "config.json").write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match=r"ln_f.weight \(found \[48\], expected \[64\]\)|and \d+ more"):
        load_checkpoint(folder)


def test_errors_are_value_errors():
    assert issubclass(CheckpointError, MolmoError)
    assert issubclass(MolmoError, ValueError)


def test_a_file_that_changes_while_it_is_read(folder, monkeypatch, shard):
    """Rows of two checkpoints would make a model that is neither."""
    shard(folder)
    other = {
        name: value + 1 for name, value in load_file(folder / "model-00003-of-00003.safetensors").items()
    }
    copy = WeightReader.copy

    def replaced_meanwhile(*arguments):
        if not (folder / "new").exists():
            (folder / "new").touch()
            save_file(other, folder / "model-00003-of-00003.safetensors")
        copy(*arguments)

    monkeypatch.setattr(WeightReader, "copy", replaced_meanwhile)
    with pytest.raises(
        CheckpointError, match="changed while they were read: model-00003-of-00003.safetensors"
    ):
        load_checkpoint(folder)
    load_checkpoint(folder)


@pytest.mark.parametrize(
    "variant, key, count, hint",
    [
        ("molmo-7b-d", "num_hidden_layers", 1000, "decoder layers 2, config.json says 1000"),
        ("molmoe-1b", "moe_num_experts", 4000, r"experts \d+, config.json says 4000"),
    ],
)
def test_more_blocks_or_experts_than_tensors(tmp_path, monkeypatch, variant, key, count, hint, set_config):
    """Told from the headers: no model is built."""
    for name in ("config.json", WEIGHTS):
        shutil.copyfile(VECTORS / f"{variant}-tiny" / name, tmp_path / name)
    set_config(tmp_path, None, **{key: count})
    monkeypatch.setattr("molmo_ros.molmo.weights.checkpoint.MolmoModel", None)
    with pytest.raises(
        CheckpointError, match=f"look like {hint}.*; found .* tensors, expected more than one"
    ):
        load_checkpoint(tmp_path)
