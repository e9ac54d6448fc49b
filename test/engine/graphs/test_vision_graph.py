# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The vision side's graph in onnxruntime against the torch model and the reference vectors."""

from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.molmo.reference.tolerance import agree
from molmo_ros.molmo.running.runtime import ImageTensors
from molmo_ros.molmo.running.torch_runtime import TorchRuntime

VECTORS = Path(__file__).parents[2] / "vectors"
MODELS = sorted(path.name for path in VECTORS.glob("*-tiny"))


def tensors(path):
    """The numbers of a stored file."""
    return {key: torch.from_numpy(value) for key, value in np.load(path).items() if value.dtype.kind != "U"}


def stored_image(name):
    inputs = tensors(VECTORS / name / "input.npz")
    if "images" in inputs:
        return ImageTensors(inputs["images"][0], inputs["image_masks"][0], inputs["image_input_idx"][0])
    return ImageTensors(inputs["pixel_values"], pooling=inputs["image_token_pooling"])


@torch.inference_mode()
@pytest.mark.parametrize("name", MODELS)
def test_features_of_an_image(name, exported):
    model, image = exported(name), stored_image(name)
    found = model.runtime().encode_image(image)
    expected = TorchRuntime(model.model).encode_image(image)
    assert agree(found.tokens, expected.tokens)
    assert (found.patches is None) == (model.config.point_head is None)
    if found.patches is not None:
        assert agree(found.patches.values, expected.patches.values)
        assert torch.equal(found.patches.pooling, expected.patches.pooling)


@torch.inference_mode()
@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith(("molmo2-o", "molmopoint"))])
def test_the_reference_vectors(name, exported):
    """Every cell of every crop, as the reference code gives them."""
    with np.load(VECTORS / name / "logits.npz") as stored:
        expected = torch.from_numpy(stored["vision_features"])
    found = exported(name).runtime().encode_image(stored_image(name)._replace(input_idx=None)).tokens
    # Cells of a crop that lie outside of it belong to no token here; in the vectors all cells are stored.
    assert agree(found, expected.reshape(found.shape))


@torch.inference_mode()
@pytest.mark.parametrize("name", ["molmo2-4b-tiny", "molmo-7b-d-tiny", "molmopoint-8b-tiny"])
@pytest.mark.parametrize("crops", [1, 2, 5])
def test_any_number_of_crops(name, crops, exported):
    model = exported(name)
    vision, connector = model.config.vision, model.config.connector
    torch.manual_seed(crops)
    table = torch.randint(-1, crops * vision.patches, (7 * crops, 4))
    table[:, 1] = torch.arange(7 * crops)
    masks = torch.rand(crops, vision.patches).round(decimals=1) if connector.pad_embed else None
    pixels = torch.randn(crops, vision.patches, vision.patch_values)
    image = ImageTensors(pixels, masks, pooling=table)
    found = model.runtime().encode_image(image).tokens
    assert agree(found, TorchRuntime(model.model).encode_image(image).tokens)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["molmo2-4b-tiny", "molmo-7b-d-tiny", "molmopoint-8b-tiny"])
def test_a_single_view_is_seen_once(name, exported):
    """A 1x1 tiling: the tile is the global view again, and the answer is that of two passes."""
    model = exported(name)
    vision, connector = model.config.vision, model.config.connector
    torch.manual_seed(0)
    view = torch.randn(1, vision.patches, vision.patch_values).expand(2, -1, -1)
    masks = torch.rand(1, vision.patches).round(decimals=1).expand(2, -1) if connector.pad_embed else None
    table = torch.randint(0, 2 * vision.patches, (30, 4))
    engine, seen = model.runtime(), []
    run = engine.runner.vision
    engine.runner.vision = lambda crops, *tables: seen.append(len(crops)) or run(crops, *tables)
    once = engine.encode_image(ImageTensors(view, masks, pooling=table, single_view=True))
    twice = engine.encode_image(ImageTensors(view, masks, pooling=table))
    assert seen == [1, 2]
    assert agree(once.tokens, twice.tokens)
    if twice.patches is not None:
        assert agree(once.patches.values, twice.patches.values)
        assert torch.equal(once.patches.pooling, twice.patches.pooling)


@torch.inference_mode()
def test_a_picture_of_many_tiles(exported):
    """2x2 tiles, as transformers' own Molmo2 sees them."""
    with np.load(VECTORS / "molmo2-4b-tiles" / "logits.npz") as stored:
        expected = torch.from_numpy(stored["vision_features"])
    assert agree(
        exported("molmo2-4b-tiny").runtime().encode_image(stored_image("molmo2-4b-tiles")).tokens, expected
    )
