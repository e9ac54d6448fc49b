# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A family on a network that is there: one record, and a row in the table of families. Nothing else knows its name."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from molmo_ros.molmo.catalog.model_parts import read_config, read_image_processing
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families import molmo2
from molmo_ros.molmo.families.table import FAMILIES
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.pipeline import Molmo

NEW = replace(
    molmo2.FAMILY,
    name="newmo",
    image_types="newmoimageprocessor",
    prompt=replace(
        molmo2.PROMPT, wording=replace(molmo2.PROMPT.wording, name="newmo", track="Follow {label}.")
    ),
    tensor_names=replace(
        molmo2.FAMILY.tensor_names,
        rules=(*molmo2.FAMILY.tensor_names.rules, (r"model\.transformer\.", "model.body.")),
    ),
    read_config=lambda raw: replace(molmo2.read_config(raw), family="newmo"),
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The embedded checkpoint as a model of the new family, which has another name for the decoder."""
    from safetensors.torch import load_file, save_file

    monkeypatch.setitem(FAMILIES, NEW.name, NEW)
    folder = shutil.copytree(EMBEDDED / "tiny", tmp_path / "newmo")
    for name, key, value in (
        ("config.json", "model_type", "newmo"),
        ("preprocessor_config.json", "image_processor_type", "NewmoImageProcessor"),
    ):
        raw = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(raw | {key: value}))
    tensors = load_file(folder / "model.safetensors")
    renamed = {name.replace("model.transformer.", "model.body."): value for name, value in tensors.items()}
    assert renamed.keys() != tensors.keys()
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_it_is_loaded_and_asked(folder):
    assert read_config(folder).family == "newmo"
    assert read_image_processing(folder).style == STRETCHED
    new, known = Molmo.from_pretrained(folder), Molmo.from_pretrained("tiny")
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    found, expected = (model.point(image, "red cube") for model in (new, known))
    assert (found.text, found.points, found.status) == (expected.text, expected.points, expected.status)
    assert new.family.prompt.wording.track == "Follow {label}."


def test_without_its_row_nobody_knows_it(folder, monkeypatch):
    monkeypatch.delitem(FAMILIES, NEW.name)
    with pytest.raises(CheckpointError, match="model_type 'newmo' is not supported"):
        read_config(folder)
    with pytest.raises(CheckpointError, match="is for 'newmoimageprocessor'"):
        read_image_processing(folder)
