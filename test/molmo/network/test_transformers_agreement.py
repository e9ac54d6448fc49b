# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A second truth: transformers' own Molmo2 with the same weights, on images and texts of no vector."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Molmo2ForConditionalGeneration

from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.network.model import MolmoModel
from molmo_ros.molmo.weights.checkpoint import load_checkpoint, save_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
MOLMO2 = ["molmo2-4b", "molmo2-8b", "molmo2-o-7b"]
# One tile, several tiles (windows across crop borders), a strip, a picture smaller than the margins.
SIZES = [(100, 80), (480, 640), (61, 700), (640, 300)]


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def native(folder):
    return Molmo2ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()


def image_ids(ids, low, high):
    """Image tokens of one image, as the published processor lays them out."""
    rows = [*[ids["im_patch"]] * high[1], ids["im_col"]] * high[0]
    return [
        ids["low_res_im_start"],
        *[ids["im_patch"]] * (low[0] * low[1]),
        ids["im_end"],
        ids["im_start"],
        *rows,
        ids["im_end"],
    ]


def example(config, size, seed):
    """Random picture and random text: ids [1, L], crops, pooling, grids."""
    random = np.random.default_rng(seed)
    vision = config.vision
    settings = ImageProcessorConfig.released(
        STRETCHED, crop_size=vision.grid[0] * vision.patch_size, patch_size=vision.patch_size
    )
    image = ImageProcessor(settings)(random.integers(0, 256, (*size, 3), dtype=np.uint8))
    text = random.integers(5, config.decoder.vocab, 12).tolist()
    ids = [3, *image_ids(config.token_ids, image.low_res_grid, image.high_res_grid), *text]
    grids = torch.tensor([[*image.low_res_grid, *image.high_res_grid]])
    return torch.tensor([ids]), torch.from_numpy(image.crops), torch.from_numpy(image.pooling), grids


def compare(model, reference, size, seed):
    ids, crops, pooling, grids = example(model.config, size, seed)
    is_image = model.is_image_token(ids)
    expected = reference(
        input_ids=ids,
        pixel_values=crops,
        image_token_pooling=pooling,
        image_grids=grids,
        mm_token_type_ids=is_image.long(),
    )
    features = model.encode_image(crops, pooling=pooling)
    output = model(ids, features)
    theirs = expected.image_hidden_states
    if isinstance(theirs, tuple):  # since transformers 5.24, one for each image
        theirs = torch.cat(theirs)
    assert theirs.shape[-2:] == features.shape[-2:]
    scale = max(1.0, theirs.abs().max().item() / 10)
    assert (features - theirs).abs().max() < 1e-4 * scale
    assert (output.logits - expected.logits).abs().max() < 1e-4
    text = ids[:, -12:]
    assert (model(text).logits - reference(input_ids=text).logits).abs().max() < 1e-4


@pytest.mark.parametrize("attention", ["explicit", "sdpa"])
@pytest.mark.parametrize("variant", MOLMO2)
def test_fresh_inputs(variant, attention):
    folder = VECTORS / f"{variant}-tiny"
    model, reference = load_checkpoint(folder, attention=attention), native(folder)
    for seed, size in enumerate(SIZES):
        compare(model, reference, size, seed)


@pytest.mark.parametrize("variant", MOLMO2)
def test_cached_decoding_against_transformers(variant):
    folder = VECTORS / f"{variant}-tiny"
    model, reference = load_checkpoint(folder), native(folder)
    ids, crops, pooling, grids = example(model.config, (200, 350), 11)
    generated = reference.generate(
        input_ids=ids,
        pixel_values=crops,
        image_token_pooling=pooling,
        image_grids=grids,
        mm_token_type_ids=model.is_image_token(ids).long(),
        max_new_tokens=8,
        min_new_tokens=8,
        do_sample=False,
    )[0, ids.shape[1] :].tolist()
    cache = KVCache(model.config.decoder, ids.shape[1] + 8)
    features = model.encode_image(crops, pooling=pooling)
    token = model(ids, features, cache=cache, logits_for=slice(-1, None)).logits.argmax(-1)
    found = [int(token)]
    while len(found) < 8:
        position = torch.full((1, 1), cache.length)
        token = model.decoder(model.embed(token), position, None, cache).logits.argmax(-1)
        found.append(int(token))
    assert found == generated


@pytest.mark.parametrize("norm_after", [False, True])
def test_a_model_of_our_own_shape_loads_in_transformers(tmp_path, norm_after):
    """Crops of another size, grouped heads, a deeper tower: nothing of the released sizes is built in."""
    base = read_config(VECTORS / "molmo2-4b-tiny")
    vision = replace(
        base.vision, width=48, heads=3, grid=(16, 16), layers=4, feature_layers=(3, 1), mlp_width=96
    )
    decoder = replace(
        base.decoder,
        width=96,
        heads=6,
        kv_heads=2,
        head_dim=32,
        layers=3,
        mlp_width=128,
        norm_after=norm_after,
        qk_norm="full" if norm_after else "head",
        qkv_bias=norm_after,
    )
    connector = replace(
        base.connector, feature_width=96, width=48, heads=3, hidden_width=128, output_width=decoder.width
    )
    torch.manual_seed(5)
    model = MolmoModel(replace(base, vision=vision, connector=connector, decoder=decoder)).eval()
    for parameter in model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    save_checkpoint(model, tmp_path)
    compare(model, native(tmp_path), (300, 180), 3)


@pytest.mark.parametrize(
    ("layers", "changes"),
    [
        ([1, 3], {"attention_factor": None}),
        ([0, 2], {"factor": 4.0}),
        ([2], {"factor": 2.5, "attention_factor": None}),
        ([0, 1, 2, 3], {"factor": 16.0, "beta_fast": 16, "beta_slow": 2}),
        ([0], {"original_max_position_embeddings": 64, "attention_factor": None}),
        ([], {}),
    ],
    ids=str,
)
def test_yarn_by_layer_list(tmp_path, layers, changes):
    folder = VECTORS / "molmo2-o-7b-tiny"
    raw = json.loads((folder / "config.json").read_text())
    text = raw["text_config"]
    raw["text_config"] = text | {
        "rope_scaling_layers": layers,
        "rope_scaling": text["rope_scaling"] | changes,
    }
    (tmp_path / "config.json").write_text(json.dumps(raw))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    model = load_checkpoint(tmp_path)
    compare(model, native(tmp_path), (300, 180), 21)
    ids, crops, pooling, _ = example(model.config, (300, 180), 21)
    features = model.encode_image(crops, pooling=pooling)
    as_published = load_checkpoint(folder)
    same = (model(ids, features).logits - as_published(ids, features).logits).abs().max()
    # The attention factor in the file is what the factor would give anyway.
    assert same < 1e-5 if (layers, changes) == ([1, 3], {"attention_factor": None}) else same > 1e-3


@pytest.mark.parametrize("variant", MOLMO2)
def test_every_norm_has_the_epsilon_of_the_config(variant, tmp_path):
    """At its usual 1e-6 nothing would show which is whose, or that one is a constant."""
    folder = VECTORS / f"{variant}-tiny"
    raw = json.loads((folder / "config.json").read_text())
    raw["text_config"]["layer_norm_eps"], raw["vit_config"]["layer_norm_eps"] = 0.3, 0.7
    (tmp_path / "config.json").write_text(json.dumps(raw))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    compare(load_checkpoint(tmp_path), native(tmp_path), (300, 180), 4)


@pytest.mark.parametrize("variant", MOLMO2)
def test_what_transformers_saves_loads_here(tmp_path, variant):
    folder = VECTORS / f"{variant}-tiny"
    native(folder).save_pretrained(tmp_path)
    model, ours = load_checkpoint(tmp_path), load_checkpoint(folder)
    ids, crops, pooling, _ = example(ours.config, (150, 260), 8)
    is_image = ours.is_image_token(ids)
    patches = ids == ours.config.token_ids["im_patch"]
    found = model(ids, model.encode_image(crops, pooling=pooling), is_patch=patches, is_image=is_image).logits
    assert torch.equal(found, ours(ids, ours.encode_image(crops, pooling=pooling)).logits)
