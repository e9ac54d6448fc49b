# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Patches of 8 bits, normalised by torch: bit for bit what the reference code makes, in a quarter of the bytes."""

import hashlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.molmo.answers.image_encoder import image_tensors
from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.padded_style import PADDED
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.network.model import ImageFeatures
from molmo_ros.molmo.running.colours import normalise
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
RECORDED = json.loads((VECTORS / "preprocess" / "molmo2" / "index.json").read_text())["images"]
SIZES = [(1, 1), (1, 3000), (60, 1), (13, 17), (378, 378), (377, 756), (480, 640), (1080, 1920), (3000, 4000)]
CLIP = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}


def make_image(entry):
    path = VECTORS / "preprocess" / "gen_images.py"
    spec = importlib.util.spec_from_file_location("gen_images", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_image(entry["h"], entry["w"])


@pytest.mark.parametrize("entry", RECORDED, ids=lambda entry: f"{entry['h']}x{entry['w']}")
def test_the_reference_codes_pixels(entry):
    """What it hands to its vision tower, by the hash of its float32 bytes."""
    image = image_tensors(ImageProcessor(ImageProcessorConfig.released(STRETCHED))(make_image(entry)))
    assert image.crops.dtype == torch.uint8
    found = normalise(image.crops, image.colours)
    assert hashlib.sha256(found.numpy().tobytes()).hexdigest() == entry["pixel_sha256_f32"]
    assert 4 * image.crops.nbytes == found.nbytes


@pytest.mark.parametrize("colours", [{}, CLIP], ids=["of a half", "of three channels"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_values_are_those_of_a_table(size, colours):
    """Each of the 256 values of a channel, normalised by numpy in float32; pictures of any size hold only these."""
    config = ImageProcessorConfig.released(STRETCHED, **colours)
    picture = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), np.uint8)
    processed = ImageProcessor(config)(picture)
    values = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
    table = (values - np.array(config.mean, np.float32)) / np.array(config.std, np.float32)
    pixels = processed.patches.reshape(-1, 3)
    expected = np.stack([table[pixels[:, channel], channel] for channel in range(3)], 1)
    image = image_tensors(processed)
    found = normalise(image.crops, image.colours).numpy()
    assert found.dtype == np.float32 and found.tobytes() == expected.tobytes() == processed.crops.tobytes()


def test_values_that_were_not_rounded_stay_floats():
    """The September 2024 models' pictures are normalised as they were resized, between two steps of 8 bits."""
    processed = ImageProcessor(ImageProcessorConfig.released(PADDED))(
        np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)
    )
    image = image_tensors(processed)
    assert image.crops.dtype == torch.float32 and image.colours is None
    assert normalise(image.crops, None) is image.crops and processed.crops is processed.patches
    steps = (processed.crops.reshape(-1, 3) * CLIP["std"] + CLIP["mean"]) * 255
    assert (np.abs(steps - steps.round()) > 0.1).mean() > 0.3


@pytest.mark.parametrize(
    "crops, colours, message",
    [
        (torch.zeros(1, 2, 12, dtype=torch.uint8), None, r"need the colours of shape \(2, 12\).*found None"),
        (torch.zeros(1, 2, 12, dtype=torch.uint8), torch.zeros(2, 3), r"found \(2, 3\)"),
        (torch.zeros(1, 2, 12, dtype=torch.int32), torch.zeros(2, 12), "patches are torch.int32.*uint8"),
    ],
)
def test_what_cannot_be_normalised_is_refused(crops, colours, message):
    with pytest.raises(ImageError, match=message):
        normalise(crops, colours)


def pictures():
    rng, process = np.random.default_rng(0), ImageProcessor(ImageProcessorConfig.released(STRETCHED))
    return [
        image_tensors(process(rng.integers(0, 256, (*size, 3), np.uint8))) for size in ((90, 80), (400, 700))
    ]


@torch.inference_mode()
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_features_are_those_of_normalised_patches(dtype):
    runtime = TorchRuntime(load_checkpoint(VECTORS / "molmo2-4b-tiny", dtype=dtype))
    for image in pictures():
        floats = image._replace(crops=normalise(image.crops, image.colours), colours=None)
        assert torch.equal(runtime.encode_image(image).tokens, runtime.encode_image(floats).tokens)


@torch.inference_mode()
def test_a_picture_goes_to_the_device_once_and_in_bytes(cuda):
    """On the stand-in for a CUDA device: one transfer, from pinned memory, of views that differ."""
    with cuda.left_out():
        plain = TorchRuntime(load_checkpoint(VECTORS / "molmo2-4b-tiny"), static=False)
        images = pictures()
        expected = [plain.encode_image(image) for image in images]
    device = TorchRuntime(plain.model)
    for image, features in zip(images, expected, strict=True):
        own = image._replace(
            **{name: cuda.host(getattr(image, name)) for name in ("crops", "pooling", "colours")}
        )
        cuda.transfers.clear()
        found = device.encode_image(own)
        assert isinstance(found, ImageFeatures) and torch.equal(found.tokens, features.tokens)
        views = 1 if image.single_view else len(image.crops)
        tables = image.pooling.nbytes + image.colours.nbytes
        bytes_ = views * image.crops[0].numel() + tables
        assert len(cuda.transfers) == 1 and bytes_ <= cuda.transfers[0] < bytes_ + 3 * 256
        assert cuda.waiting == 0
    assert [image.single_view for image in images] == [True, False]
