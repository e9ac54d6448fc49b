# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The descriptions of the released models, held against the models that this package builds from them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from molmo_ros.molmo.catalog.model_parts import read_config, read_image_processing
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.catalog.registry import ModelEntry, find_model, load_registry, registry
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.molmo.errors import CheckpointError, RegistryError
from molmo_ros.molmo.families.table import FAMILIES
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.padded_style import PADDED
from molmo_ros.molmo.network.model import MolmoModel

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "config" / "models"
VECTORS = ROOT / "test" / "vectors"
SMALL = {
    "molmo": "molmo-7b-d-tiny",
    "molmoe": "molmoe-1b-tiny",
    "molmo2": "molmo2-4b-tiny",
    "molmo_point": "molmopoint-8b-tiny",
}
MODELS = list(registry().values())
# Sums over the released checkpoints: 7B-D's as its index file says, the others as counted by other loaders.
PUBLISHED = {
    "molmo-7b-d": 8_021_025_280,
    "molmoe-1b": 7_221_875_712,
    "molmopoint-8b": 8_677_855_065,
    # Vision, text, and the second copy of the embedding that serves as the output head.
    "molmo2-4b": 439_117_264 + 4_022_795_776 + 151_936 * 2560,
}


def config_of(entry: ModelEntry) -> MolmoConfig:
    """A config of the family with the entry's shape."""
    small = read_config(VECTORS / SMALL[entry.family])
    decoder = replace(small.decoder, **entry.shape["decoder"])
    vision = replace(small.vision, **entry.shape["vision"])
    connector = replace(
        small.connector,
        feature_width=vision.feature_width,
        output_width=decoder.width,
        **entry.shape["connector"],
    )
    head = small.point_head and replace(small.point_head, **entry.shape.get("point_head", {}))
    return replace(small, decoder=decoder, vision=vision, connector=connector, point_head=head)


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.name)
def test_parameters_are_those_of_the_model_of_this_shape(entry):
    with torch.device("meta"):
        model = MolmoModel(config_of(entry))
    loaded = sum(parameter.numel() for parameter in model.parameters())
    assert entry.loaded_parameters == loaded
    # 0924 stores the whole tower, Molmo2 only what is used.
    layers = entry.shape["vision"]["layers"] if FAMILIES[entry.family].image_style == PADDED else None
    unused = 0 if layers is None else layers - len(model.vision.blocks)
    block = sum(parameter.numel() for parameter in model.vision.blocks[0].parameters())
    assert entry.parameters == loaded + unused * block


@pytest.mark.parametrize("name,parameters", PUBLISHED.items())
def test_parameters_are_those_of_the_released_checkpoints(name, parameters):
    assert registry()[name].parameters == parameters


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.name)
def test_memory_is_that_of_the_loaded_parameters(entry):
    for name, size in DTYPE_BYTES.items():
        exact = entry.loaded_parameters * size / 1e9
        assert entry.memory_gb[name] == pytest.approx(exact, abs=0.05 if exact > 1 else 0.0005)


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.name)
def test_entries_agree_with_their_family(entry):
    family = FAMILIES[entry.family]
    assert entry.prompt_style == family.prompt.wording.name
    assert entry.image_processor.style == family.image_style
    assert entry.hub_id is None or entry.hub_id.removesuffix("-0924").lower() == f"allenai/{entry.name}"
    assert entry.licence == "Apache-2.0" and entry.not_verified


def test_image_processing_is_the_reference_vectors_own():
    for entry in registry().values():
        if entry.hub_id is not None:
            named = ImageProcessorConfig.released(FAMILIES[entry.family].image_style)
            assert entry.image_processor == replace(named, max_crops=entry.max_crops)


def test_the_embedded_checkpoint_is_what_its_entry_says():
    entry, folder = registry()["tiny"], EMBEDDED / "tiny"
    config = read_config(folder)
    entry.check(config, "tiny")
    assert entry.context == config.decoder.max_positions
    assert entry.image_processor == read_image_processing(folder)


def test_another_shape_is_refused_with_everything_found_and_expected():
    entry = registry()["molmo2-4b"]
    config = config_of(entry)
    entry.check(config, "a folder")
    other = replace(config, decoder=replace(config.decoder, layers=28, qk_norm="full"))
    with pytest.raises(CheckpointError) as caught:
        entry.check(other, "a folder")
    assert "a folder is not molmo2-4b" in str(caught.value)
    assert "decoder.layers 28 (expected 36)" in str(caught.value)
    assert "decoder.qk_norm 'full' (expected 'head')" in str(caught.value)
    other = replace(config, vision=replace(config.vision, feature_layers=(18, 24)))
    with pytest.raises(CheckpointError, match=r"feature_layers \(18, 24\) \(expected \(24, 18\)\)"):
        entry.check(other, "a folder")


@pytest.mark.parametrize("name", SMALL.values())
def test_a_model_of_another_family_is_refused(name):
    config = read_config(VECTORS / name)
    for entry in registry().values():
        if entry.family != config.family:
            with pytest.raises(CheckpointError, match=f"family '{config.family}'.*expected '{entry.family}'"):
                entry.check(config, "it")


def test_a_point_head_of_another_width_is_refused():
    entry = registry()["molmopoint-8b"]
    config = config_of(entry)
    entry.check(config, "it")
    small = replace(config, point_head=replace(config.point_head, width=24))
    with pytest.raises(
        CheckpointError, match=r"not molmopoint-8b; found point_head.width 24 \(expected 512\)"
    ):
        entry.check(small, "it")
    with pytest.raises(CheckpointError, match=r"found point_head.width None \(expected 512\)"):
        entry.check(replace(config, point_head=None), "it")


def test_models_are_found_by_name_and_by_hub_id():
    assert find_model("molmo2-er") is find_model("allenai/Molmo2-ER") is find_model("Molmo2-ER")
    with pytest.raises(RegistryError, match="'gpt'; known: tiny, .*molmopoint-gui-8b"):
        find_model("gpt")
    with pytest.raises(RegistryError, match="no model is called ''; known: tiny"):
        find_model("")  # of which the models without a hub id are none


@pytest.mark.parametrize(
    "key,value,complaint",
    [
        ("licence", None, "missing keys: licence; unknown keys: none"),
        ("colour", "red", "missing keys: none; unknown keys: colour"),
        ("parameters", "8.02e9", "parameters is '8.02e9', not of type int"),
        ("max_crops", True, "max_crops is True, not of type int"),
        ("context", 0, "context is 0; it must be at least 1"),
        ("family", "llama", "family is 'llama'; it must be one of molmo, molmoe, molmo2, molmo_point"),
        ("name", "other", "name is 'other'; it must be one of molmo2-4b"),
        ("point_format", "polar", "point_format is 'polar'; it must be one of percent, per_mille, tokens"),
        ("memory_gb", {"float32": 19.4}, "memory_gb has float32; it must have float32, bfloat16, float16"),
        ("verified", {"luck": "no"}, "verified has luck; it may have image, transformers, reference, scenes"),
        ("shape", {"decoder": {}}, "shape has decoder; it must have decoder, vision, connector"),
        ("shape", {"decoder": {"depth": 3}, "vision": {}, "connector": {}}, "shape.decoder is {'depth': 3}"),
        ("shape", {"decoder": {}, "vision": {}, "connector": {}}, "must have patch_size and grid"),
    ],
)
def test_a_wrong_description_is_one_clear_error(tmp_path, key, value, complaint):
    raw = yaml.safe_load((FOLDER / "molmo2-4b.yaml").read_text())
    raw[key] = value
    if value is None:
        del raw[key]
    path = tmp_path / "molmo2-4b.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(RegistryError) as caught:
        load_registry(tmp_path)
    assert "molmo2-4b.yaml" in str(caught.value) and complaint in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\udc80"])
def test_what_is_no_description_is_refused(tmp_path, text):
    path = tmp_path / "model.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RegistryError, match="model.yaml"):
        load_registry(tmp_path)


def test_a_folder_without_descriptions(tmp_path):
    with pytest.raises(RegistryError, match="holds no description"):
        load_registry(tmp_path)
    shutil.copy(FOLDER / "tiny.yaml", tmp_path)
    assert list(load_registry(tmp_path)) == ["tiny"]
