# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Reading in chunks: equal to reading whole, small in memory, and strict about numbers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.weights.weight_files import SINGLE, read_header
from molmo_ros.molmo.weights.weight_reader import WeightReader

STATUS = Path("/proc/self/status")


def store(folder, **tensors):
    save_file(tensors, folder / SINGLE)
    return {tensor.name: tensor for tensor in read_header(folder / SINGLE)}


def mapped():
    """Resident bytes of this process' mapped files."""
    return int(STATUS.read_text().split("RssFile:")[1].split()[0]) * 1024


@pytest.mark.parametrize("chunk", [1, 100, 1000, 1 << 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_chunks_of_any_size_give_the_whole(tmp_path, chunk, dtype):
    torch.manual_seed(1)
    stored = store(
        tmp_path, table=torch.randn(37, 6), vector=torch.randn(11), cube=torch.randn(5, 3, 2).half()
    )
    whole = load_file(tmp_path / SINGLE)
    reader = WeightReader(chunk)
    for name, tensor in stored.items():
        target = torch.full(tensor.shape, 7.0, dtype=dtype)
        reader.copy(tensor, 0, tensor.shape[0], target)
        assert torch.equal(target, whole[name].to(dtype))
        reader.copy(tensor, 2, 4, target[:2])
        assert torch.equal(target[:2], whole[name][2:4].to(dtype))


@pytest.mark.parametrize("chunk", [1, 50, 1 << 20])
def test_equality_of_rows(tmp_path, chunk):
    one = torch.randn(20, 3)
    other = one[5:15].clone()
    changed = other.clone()
    changed[-1, -1] += 1
    stored = store(tmp_path, one=one, other=other, changed=changed)
    reader = WeightReader(chunk)
    assert reader.equal(stored["one"], 5, stored["other"], 0, 10, torch.float32)
    assert reader.equal(stored["one"], 8, stored["other"], 3, 7, torch.float32)
    assert not reader.equal(stored["one"], 4, stored["other"], 0, 10, torch.float32)
    assert not reader.equal(stored["one"], 5, stored["changed"], 0, 10, torch.float32)
    assert reader.equal(stored["one"], 5, stored["changed"], 0, 9, torch.float32)


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not tell a process' memory")
def test_what_was_read_is_given_back(tmp_path):
    chunk = 4 << 20
    tensor = store(tmp_path, table=torch.ones(50_000, 256))["table"]
    assert tensor.size > 12 * chunk
    before, most = mapped(), 0
    reader = WeightReader(chunk)
    for first, last in reader.chunks(tensor, 0, tensor.shape[0]):
        assert float(reader.rows(tensor, first, last).sum()) == (last - first) * 256
        most = max(most, mapped())
    assert most - before < 3 * chunk


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_numbers_that_are_none(tmp_path, value, dtype):
    table = torch.zeros(8, 4)
    table[6, 1:3] = value
    tensor = store(tmp_path, table=table)["table"]
    with pytest.raises(CheckpointError, match="table holds 2 values that are NaN or infinite"):
        WeightReader().copy(tensor, 0, 8, torch.empty(8, 4, dtype=dtype))
    WeightReader().copy(tensor, 0, 6, torch.empty(6, 4, dtype=dtype))


def test_numbers_too_large_for_float16(tmp_path):
    table = torch.zeros(8, 4)
    table[0, 0], table[7, 3] = -70_000.0, 65_504.0
    tensor = store(tmp_path, table=table)["table"]
    with pytest.raises(
        CheckpointError, match="1 values of table do not fit float16: found up to 70000, .* 65504"
    ):
        WeightReader().copy(tensor, 0, 8, torch.empty(8, 4, dtype=torch.float16))
    target = torch.empty(8, 4, dtype=torch.bfloat16)
    WeightReader().copy(tensor, 0, 8, target)
    assert torch.equal(target, table.bfloat16())


def test_a_sum_that_overflows_is_no_error(tmp_path):
    table = torch.full((8, 4), 60_000.0)
    tensor = store(tmp_path, table=table)["table"]
    target = torch.empty(8, 4, dtype=torch.float16)
    WeightReader().copy(tensor, 0, 8, target)
    assert torch.equal(target, table.half())


def test_a_file_that_is_gone(tmp_path):
    tensor = store(tmp_path, table=torch.ones(2, 2))["table"]
    (tmp_path / SINGLE).unlink()
    with pytest.raises(CheckpointError, match="model.safetensors is not a readable safetensors file"):
        WeightReader().rows(tensor, 0, 2)
