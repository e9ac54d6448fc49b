# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A checkpoint that a test may damage, and ways to do it."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

VECTORS = Path(__file__).parents[2] / "vectors"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    """A copy of a checkpoint that a test may damage."""
    for name in ("config.json", WEIGHTS):
        shutil.copyfile(VECTORS / "molmo2-4b-tiny" / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def rewrite():
    """Changes the tensors of a folder in place."""

    def change_folder(folder, change):
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS)

    return change_folder


@pytest.fixture
def set_config():
    """Sets values in a part of config.json."""

    def change_folder(folder, part, **values):
        raw = json.loads((folder / "config.json").read_text())
        (raw[part] if part else raw).update(values)
        (folder / "config.json").write_text(json.dumps(raw))

    return change_folder


@pytest.fixture
def shard():
    """Cuts the weights of a folder into files with an index."""

    def change_folder(folder, pieces=3):
        tensors = load_file(folder / WEIGHTS)
        weight_map = {}
        for number in range(pieces):
            name = f"model-{number + 1:05}-of-{pieces:05}.safetensors"
            part = {key: tensors[key] for key in sorted(tensors)[number::pieces]}
            save_file(part, folder / name)
            weight_map |= dict.fromkeys(part, name)
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
        (folder / WEIGHTS).unlink()

    return change_folder
