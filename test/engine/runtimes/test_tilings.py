# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Image features of every family, for every kind of tiling and through every runtime, as the real processor cuts them.

The truth is torch, which sees every crop by itself, whatever the processor says about crops that are the same.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.tensorrt_runner import TensorRTRunner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt.lowering import lower_file
from molmo_ros.molmo.answers.image_encoder import image_tensors
from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.reference.tolerance import agree
from molmo_ros.molmo.running.torch_runtime import TorchRuntime

CONTEXT = 1536
FEW = ["molmo-7b-d-tiny", "molmo2-4b-tiny", "molmopoint-8b-tiny"]
"""A model for each way in which a vision side differs."""
PICTURES = [
    # height, width [px], max_crops, tiling
    (240, 320, None, (1, 1)),
    (336, 336, None, (1, 1)),
    (30, 900, None, (1, 1)),
    (60, 1, None, (1, 1)),
    (480, 640, 1, (1, 1)),
    (113, 500, 2, (1, 2)),
    (1000, 200, 3, (3, 1)),
    (480, 640, 4, (2, 2)),
]
EVERY_MODEL = (PICTURES[0], PICTURES[4])
VECTORS = Path(__file__).parents[2] / "vectors"
MODELS = sorted(path.name for path in VECTORS.glob("*-tiny"))


def processed(checkpoint, height, width, max_crops):
    """A picture with edges and noise, cut by the checkpoint's own processor."""
    rng = np.random.default_rng(height * width)
    image = rng.integers(0, 256, (height, width, 3), np.uint8) // 2
    image[: height // 2, width // 3 :] += np.array([100, 20, 60], np.uint8)
    config = read_image_processing(checkpoint)
    if max_crops is not None:
        config = config.with_max_crops(max_crops)
    return ImageProcessor(config)(image)


@pytest.fixture(scope="session")
def runtimes(exported, fake_tensorrt):
    """torch, onnxruntime, and the runner of TensorRT over the graphs of both lowerings, of a model by name."""
    made = {}

    def tensorrt(model, lowering, folder=None):
        folder = folder or model.folder
        plans = [folder / "vision.onnx", folder / "decoder.onnx"]
        if lowering == "legacy":
            plans[0] = folder / "vision.legacy.onnx"
            lower_file(folder / "vision.onnx", plans[0], lowering)
        limits = Shapes(max_crops=12, max_context=CONTEXT, max_prompt=CONTEXT, max_image_tokens=4096, slots=4)
        blobs = [str(plan).encode() for plan in plans]
        trt, on = fake_tensorrt(lowering), torch.device("cpu")
        runner = TensorRTRunner(*blobs, model.config, limits, torch.float32, trt, on, "molmo-ros build MODEL")
        return EngineRuntime(
            model.config, limits, runner, model.model.decoder.embedding, model.model.point_head
        )

    def get(name):
        if name not in made:
            model = exported(name)
            made[name] = {
                "torch": TorchRuntime(model.model),
                "onnx": model.runtime(),
                "tensorrt": tensorrt(model, "native"),
                "tensorrt 10.3": tensorrt(model, "legacy"),
            }
            if model.in_bytes.exists():
                made[name] |= {
                    "onnx, in bytes": model.runtime(model.in_bytes),
                    "tensorrt, in bytes": tensorrt(model, "native", model.in_bytes),
                    "tensorrt 10.3, in bytes": tensorrt(model, "legacy", model.in_bytes),
                }
        return made[name]

    return get


@torch.inference_mode()
@pytest.mark.parametrize("picture", PICTURES, ids=lambda one: "x".join(map(str, one[:2])) + f"-{one[2]}")
def test_runtimes_agree(picture, runtimes):
    *size, max_crops, tiling = picture
    for name in [*MODELS, "tiny"] if picture in EVERY_MODEL else FEW:
        checkpoint = EMBEDDED / name if name == "tiny" else VECTORS / name
        image = processed(checkpoint, *size, max_crops)
        every = runtimes(name)
        assert image.tiling == tiling
        assert image.single_view == (image.tiling == (1, 1))
        given = image_tensors(image)
        truth = every["torch"].encode_image(given._replace(single_view=False))
        for kind, runtime in every.items():
            if kind.startswith("tensorrt 10.3") and picture not in EVERY_MODEL:
                continue
            found, where = runtime.encode_image(given), f"{name} on {kind}"
            assert agree(found.tokens, truth.tokens), where
            assert (found.patches is None) == (truth.patches is None), where
            if truth.patches is not None:
                assert torch.equal(found.patches.pooling, truth.patches.pooling), where
                assert agree(found.patches.values, truth.patches.values), where


@torch.inference_mode()
@pytest.mark.parametrize("name", FEW)
def test_the_tower_sees_one_view_once(name, exported, monkeypatch):
    model = exported(name)
    runtime, seen = model.runtime(), []
    run = runtime.runner.vision
    monkeypatch.setattr(
        runtime.runner, "vision", lambda crops, *rest: seen.append(len(crops)) or run(crops, *rest)
    )
    image = image_tensors(processed(model.checkpoint, 240, 320, None))
    runtime.encode_image(image)
    runtime.encode_image(image._replace(single_view=False))
    assert seen == [1, 2]


def test_the_masks_of_one_tile_are_not_those_of_the_global_view(exported):
    """What made features of engines wrong: the same pixels, and marks of padding that are not the same."""
    image = processed(exported("molmo-7b-d-tiny").checkpoint, 240, 320, None)
    assert np.array_equal(image.crops[0], image.crops[1])
    assert not np.array_equal(image.masks[0], image.masks[1])
