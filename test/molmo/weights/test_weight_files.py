# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Headers and indexes of safetensors files: against the library's own reader, and damaged in every way."""

import json
import struct
import warnings
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.weights.weight_files import INDEX, SINGLE, read_header, stored_tensors

VECTORS = sorted((Path(__file__).parents[2] / "vectors").glob("*/model.safetensors"))
TENSORS = {"a": torch.ones(3, 4), "b": torch.zeros(5, dtype=torch.bfloat16), "c": torch.ones(2, 2)}
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def shards(tmp_path):
    """Two shards and their index; returns a function that rewrites the index."""
    save_file({name: TENSORS[name] for name in "ab"}, tmp_path / ONE)
    save_file({"c": TENSORS["c"]}, tmp_path / TWO)

    def index(weight_map, **metadata):
        (tmp_path / INDEX).write_text(json.dumps({"metadata": metadata, "weight_map": weight_map}))
        return tmp_path

    index({"a": ONE, "b": ONE, "c": TWO}, total_size=48 + 10 + 16)
    return index


def write(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.parent.name)
def test_headers_as_the_library_reads_them(path):
    found = {tensor.name: (tensor.dtype, list(tensor.shape), tensor.size) for tensor in read_header(path)}
    with safe_open(path, framework="pt") as file:
        expected = {
            name: (
                file.get_slice(name).get_dtype(),
                file.get_slice(name).get_shape(),
                file.get_tensor(name).nbytes,
            )
            for name in file.keys()  # noqa: SIM118
        }
    assert found == expected


def test_order_of_places_is_the_order_in_the_file(tmp_path):
    save_file(TENSORS, tmp_path / SINGLE)
    content = (tmp_path / SINGLE).read_bytes()
    data = content[8 + struct.unpack("<Q", content[:8])[0] :]
    for tensor in read_header(tmp_path / SINGLE):
        raw = TENSORS[tensor.name].view(torch.uint8).numpy().tobytes()
        assert data[tensor.begin : tensor.begin + tensor.size] == raw


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "found 0 bytes, expected at least 8"),
        (b"1234567", "found 7 bytes, expected at least 8"),
        (b"PK\x03\x04" + b"pickle" * 100, "no header's length"),
        (struct.pack("<Q", 1000) + b"{}", "found 10 bytes, expected 1008 for its header alone"),
        (struct.pack("<Q", 2) + b"{{", "Expecting property name"),
        (struct.pack("<Q", 2) + b"[]", "its header is a list"),
        (struct.pack("<Q", 100_000) + b"[" * 100_000, "(recursion|Stack)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "Git LFS pointer"),
    ],
)
def test_what_is_no_safetensors_file(tmp_path, content, reason):
    (tmp_path / SINGLE).write_bytes(content)
    with pytest.raises(
        CheckpointError, match=f"model.safetensors is not a readable safetensors file: .*{reason}"
    ):
        stored_tensors(tmp_path)


@pytest.mark.parametrize(
    "change, kind", [(-1, "truncated"), (-20, "truncated"), (3, "with something appended")]
)
def test_size_against_header(tmp_path, change, kind):
    save_file(TENSORS, tmp_path / SINGLE)
    content = (tmp_path / SINGLE).read_bytes()
    (tmp_path / SINGLE).write_bytes((content + b"xyz")[: len(content) + change])
    expected = (
        f"found {len(content) + change} bytes, expected {len(content)} from its header: the file is {kind}"
    )
    with pytest.raises(CheckpointError, match=expected):
        stored_tensors(tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 15]},
        {"dtype": "F32", "shape": [2, 2], "data_offsets": [16, 0]},
        {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [2, 2], "data_offsets": [0]},
        {"dtype": "F32", "shape": [2, 2]},
        {"dtype": "F32", "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": 4, "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [float("inf")], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4], "data_offsets": [0, float("inf")]},
        [],
    ],
)
def test_entries_that_contradict_themselves(tmp_path, entry):
    write(tmp_path / SINGLE, {"a": entry}, bytes(16))
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        stored_tensors(tmp_path)


def test_files_of_another_framework(tmp_path):
    save_file(TENSORS, tmp_path / SINGLE, metadata={"format": "mlx"})
    with pytest.raises(CheckpointError, match="framework 'mlx'; expected 'pt'"):
        stored_tensors(tmp_path)
    save_file(TENSORS, tmp_path / SINGLE, metadata={"format": "pt"})
    assert stored_tensors(tmp_path).keys() == TENSORS.keys()


def test_pickles_are_not_read(tmp_path):
    torch.save(TENSORS, tmp_path / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"only pytorch_model.bin: pickled weights are not read.*safetensors"
    ):
        stored_tensors(tmp_path)


def test_shards_without_an_index(tmp_path):
    save_file(TENSORS, tmp_path / ONE)
    with pytest.raises(CheckpointError, match=f"nor {INDEX} for the files {ONE}"):
        stored_tensors(tmp_path)


def test_sound_shards(shards, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = stored_tensors(tmp_path)
    assert {name: tensor.path.name for name, tensor in found.items()} == {"a": ONE, "b": ONE, "c": TWO}


def test_a_missing_shard_and_what_it_would_hold(shards, tmp_path):
    (tmp_path / ONE).unlink()
    with pytest.raises(CheckpointError, match=rf"not there: {ONE} \(2 tensors: a, b\)$"):
        stored_tensors(tmp_path)


def test_a_truncated_shard(shards, tmp_path):
    (tmp_path / TWO).write_bytes((tmp_path / TWO).read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=f"{TWO} is not a readable.*truncated"):
        stored_tensors(tmp_path)


def test_tensors_that_no_shard_has(shards):
    with pytest.raises(
        CheckpointError, match=rf"does not fit its shards: d \(expected in {TWO}, found nowhere\)"
    ):
        stored_tensors(shards({"a": ONE, "b": ONE, "c": TWO, "d": TWO}))


def test_tensors_in_another_shard(shards):
    with pytest.raises(CheckpointError, match=rf"b \(expected in {TWO}, found in {ONE}\)$"):
        stored_tensors(shards({"a": ONE, "b": TWO, "c": TWO}))


@pytest.mark.parametrize("shard", ["../secret.safetensors", "/secret.safetensors"])
def test_shards_outside_of_the_folder(shards, shard):
    with pytest.raises(CheckpointError, match="outside of its folder"):
        stored_tensors(shards({"a": shard}))


def test_another_total_size_is_told(shards):
    folder = shards({"a": ONE, "b": ONE, "c": TWO}, total_size=148)
    with pytest.warns(UserWarning, match="speaks of 148 bytes of weights; its shards hold 74"):
        assert stored_tensors(folder).keys() == TENSORS.keys()


@pytest.mark.parametrize("size", [float("inf"), float("nan"), 10**400])
def test_a_total_size_that_is_none_is_told(shards, size):
    folder = shards({"a": ONE, "b": ONE, "c": TWO}, total_size=size)
    with pytest.warns(UserWarning, match=f"speaks of {size} bytes of weights; its shards hold 74"):
        assert stored_tensors(folder).keys() == TENSORS.keys()


@pytest.mark.parametrize("shard", ["s" * 300, "s" * 5000, "s\0"])
def test_shard_names_that_no_file_can_have(shards, shard):
    with pytest.raises(CheckpointError, match=r"lists shards that are not there: s.* \(1 tensors: a\)$"):
        stored_tensors(shards({"a": shard}))


def test_an_index_nested_too_deeply(tmp_path):
    (tmp_path / INDEX).write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="holds no weight map: RecursionError"):
        stored_tensors(tmp_path)
