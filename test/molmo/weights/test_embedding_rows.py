# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Rows of the checkpoint's files are those of the table, bit for bit."""

import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.weights.checkpoint import load_checkpoint
from molmo_ros.molmo.weights.embedding_rows import EmbeddingRows
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

EMBEDDED = checkpoint_folder("tiny")
CPU = torch.device("cpu")


def rows(folder, dtype=torch.float32) -> EmbeddingRows:
    return EmbeddingRows(StoredParameters(folder), dtype, CPU)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_they_are_the_tables(dtype):
    table, found = load_checkpoint(EMBEDDED, dtype=dtype).decoder.embedding, rows(EMBEDDED, dtype)
    count = len(table.base) + len(table.extra)
    assert len(table.extra) > 0
    ids = torch.randint(count, (2, 300), generator=torch.Generator().manual_seed(0))
    ids[0, :4] = torch.tensor([0, len(table.base) - 1, len(table.base), count - 1])
    with torch.inference_mode():
        assert found(ids).dtype == dtype and torch.equal(found(ids), table(ids))
        for token in ids[0, :6].tolist():
            assert torch.equal(found.row(token), table.row(token))
        assert found(ids[:, :0]).shape == (2, 0, table.base.shape[1])
    for token in (-1, count):
        with pytest.raises(IndexError, match=f"token {token} is not one of the {count}"):
            found.row(token)


def copy(folder):
    shutil.copytree(EMBEDDED, folder)
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    return next(folder.glob("*.safetensors"))


def test_a_file_that_is_replaced_later_is_still_the_old_one(tmp_path):
    file = copy(tmp_path / "model")
    found = rows(tmp_path / "model")
    before = found.row(7)
    save_file({name: value * 2 for name, value in load_file(file).items()}, tmp_path / "new")
    os.replace(tmp_path / "new", file)
    assert torch.equal(found.row(7), before) and not torch.equal(rows(tmp_path / "model").row(7), before)


def test_a_row_that_is_no_number_is_refused(tmp_path):
    file = copy(tmp_path / "model")
    state = load_file(file)
    (name,) = [one for one in state if one.endswith("wte.embedding")]
    state[name][7, 0] = torch.nan
    save_file(state, file)
    found = rows(tmp_path / "model")
    found.row(8)
    with pytest.raises(CheckpointError, match=r"1 values that are NaN"):
        found.row(7)
