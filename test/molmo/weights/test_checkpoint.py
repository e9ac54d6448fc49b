"""Reading and writing checkpoint folders, sound and damaged."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file, save_model
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


@pytest.fixture
def folder(tmp_path):
    """A copy of a checkpoint that a test may damage."""
    for name in ("config.json", WEIGHTS):
        shutil.copyfile(VECTORS / "molmo2-4b-tiny" / name, tmp_path / name)
    return tmp_path


def rewrite(folder, change):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def set_config(folder, part, **values):
    raw = json.loads((folder / "config.json").read_text())
    (raw[part] if part else raw).update(values)
    (folder / "config.json").write_text(json.dumps(raw))


def shard(folder, pieces=3):
    tensors = load_file(folder / WEIGHTS)
    weight_map = {}
    for number in range(pieces):
        name = f"model-{number + 1:05}-of-{pieces:05}.safetensors"
        part = {key: tensors[key] for key in sorted(tensors)[number::pieces]}
        save_file(part, folder / name)
        weight_map |= dict.fromkeys(part, name)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / WEIGHTS).unlink()


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


def test_shards_equal_one_file(folder):
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


def equal_head(tensors):
    tensors["lm_head.weight"] = tensors["model.transformer.wte.embedding"].clone()


def test_equal_head_shares_the_memory_of_the_embedding(folder):
    assert load_checkpoint(folder, tie_equal_head=True).decoder.head.weight is not None
    rewrite(folder, equal_head)
    tied, apart = load_checkpoint(folder, tie_equal_head=True).decoder, load_checkpoint(folder).decoder
    assert tied.head.weight is tied.embedding.base
    assert apart.head.weight.data_ptr() != apart.embedding.base.data_ptr()
    assert torch.equal(tied.head.weight, apart.head.weight)
    hidden = torch.randn(1, 2, tied.config.width)
    assert torch.equal(tied.logits(hidden), apart.logits(hidden))


def test_equal_head_beside_tables_cut_elsewhere(folder):
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
def test_a_head_that_differs_in_one_value_is_never_tied(folder, row):
    assert load_checkpoint(folder).config.decoder.vocab == 320

    def almost(tensors):
        equal_head(tensors)
        tensors["lm_head.weight"][row, 5] += 1

    rewrite(folder, almost)
    decoder = load_checkpoint(folder, tie_equal_head=True).decoder
    assert decoder.head.weight.data_ptr() != decoder.embedding.base.data_ptr()
    assert torch.equal(decoder.head.weight, load_file(folder / WEIGHTS)["lm_head.weight"])


def test_tied_config_needs_no_head(folder):
    raw = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | {"tie_word_embeddings": True}))
    rewrite(folder, lambda tensors: tensors.pop("lm_head.weight"))
    decoder = load_checkpoint(folder).decoder
    hidden = torch.randn(2, decoder.config.width)
    assert torch.equal(decoder.logits(hidden), hidden @ decoder.embedding.base.T)


def test_stored_head_counts_whatever_the_config_says(folder):
    untied = load_checkpoint(folder)
    raw = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | {"tie_word_embeddings": True}))
    assert equal(load_checkpoint(folder), untied)
    rewrite(folder, equal_head)
    decoder = load_checkpoint(folder, tie_equal_head=True).decoder
    assert decoder.head.weight.data_ptr() == decoder.embedding.base.data_ptr()


def test_vision_blocks_above_the_features_may_be_stored_or_not(tmp_path):
    source = VECTORS / "molmo-7b-d-tiny"
    shutil.copyfile(source / "config.json", tmp_path / "config.json")
    tensors = load_file(source / WEIGHTS)
    assert any(".resblocks.9." in name for name in tensors)
    save_file(
        {name: value for name, value in tensors.items() if ".resblocks.9." not in name}, tmp_path / WEIGHTS
    )
    assert equal(load_checkpoint(tmp_path), load_checkpoint(source))


def test_vision_blocks_above_the_features_are_not_read(tmp_path):
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
def test_peak_memory_is_the_model_and_two_chunks(folder):
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


def test_missing_unexpected_and_misshapen_tensors_in_one_error(folder):
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


def test_long_lists_end_in_a_count(folder):
    rewrite(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if "image_vit" in name])
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    total = 10 * 16 + 3
    assert str(error.value).count("(expected") == 12
    assert f"and {total - 12} more" in str(error.value)


def test_embedding_tables_with_the_wrong_number_of_rows_in_all(folder):
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


def test_missing_shards_are_named(folder):
    shard(folder)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match="not there: model-00002-of-00003.safetensors"):
        load_checkpoint(folder)


def test_a_tensor_in_two_shards_is_named(folder):
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


def test_tensors_of_integers_are_refused(folder):
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
def test_what_the_tensors_look_like_instead(folder, part, values, hint):
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


def test_the_own_layout_of_transformers(folder):
    reference = Molmo2ForConditionalGeneration.from_pretrained(folder)
    reference.save_pretrained(folder, save_original_format=False)
    with pytest.raises(CheckpointError, match=r"transformers' own names; .* save_original_format=False"):
        load_checkpoint(folder)


def test_numbers_that_float16_cannot_hold(folder):
    rewrite(folder, lambda tensors: tensors["model.transformer.ln_f.weight"].fill_(1e5))
    assert load_checkpoint(folder).decoder.norm.weight[0].item() == 1e5
    with pytest.raises(
        CheckpointError, match="48 values of model.transformer.ln_f.weight do not fit float16"
    ):
        load_checkpoint(folder, dtype="float16")


def test_a_corrupted_shard(folder):
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


def test_a_head_that_text_config_ties(folder):
    rewrite(folder, lambda tensors: tensors.pop("lm_head.weight"))
    with pytest.raises(CheckpointError, match="missing: lm_head.weight"):
        load_checkpoint(folder)
    set_config(folder, "text_config", tie_word_embeddings=True)
    decoder = load_checkpoint(folder).decoder
    hidden = torch.randn(2, decoder.config.width)
    assert torch.equal(decoder.logits(hidden), hidden @ decoder.embedding.base.T)


def test_one_file_and_shards_are_two_models(folder):
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


def test_a_file_that_changes_while_it_is_read(folder, monkeypatch):
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
def test_more_blocks_or_experts_than_tensors(tmp_path, monkeypatch, variant, key, count, hint):
    """Told from the headers: no model is built."""
    for name in ("config.json", WEIGHTS):
        shutil.copyfile(VECTORS / f"{variant}-tiny" / name, tmp_path / name)
    set_config(tmp_path, None, **{key: count})
    monkeypatch.setattr("molmo_ros.molmo.weights.checkpoint.MolmoModel", None)
    with pytest.raises(
        CheckpointError, match=f"look like {hint}.*; found .* tensors, expected more than one"
    ):
        load_checkpoint(tmp_path)
