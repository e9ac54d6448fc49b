# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""After the warm-up the first query makes no context, waits for no kernel, records nothing and takes no memory."""

import numpy as np
import pytest
import torch

from molmo_ros.engine.load import with_look_ups
from molmo_ros.engine.runtimes.tensorrt_runner import TensorRTRunner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.molmo.network.decoder import TokenEmbedding
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.running.static_decode import WIDTH_STEP
from molmo_ros.molmo.running.verify_widths import verify_kinds
from molmo_ros.molmo.warm_up import warm_up
from molmo_ros.molmo.weights.embedding_rows import EmbeddingRows
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

SHAPES = Shapes(max_crops=1, max_context=1536, max_prompt=1536, max_image_tokens=1024, slots=4)
BLOCK = 2 << 20
"""torch takes memory of the device in blocks of this [bytes]."""
PICTURE = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)


def loaded(model, trt, device="cpu") -> Molmo:
    plans = [str(model.folder / name).encode() for name in ("vision.onnx", "decoder.onnx")]
    runner = TensorRTRunner(*plans, model.config, SHAPES, torch.float32, trt, torch.device(device))
    runtime = with_look_ups(StoredParameters(model.checkpoint), SHAPES, runner)
    assert isinstance(runtime.embedding, EmbeddingRows if device == "cuda" else TokenEmbedding)
    return Molmo.from_runtime(runtime, model.checkpoint, most_crops=SHAPES.max_crops)


def ask(molmo, drafts=False):
    answer = molmo.point(PICTURE, "red cube", options=GenerateOptions(max_new_tokens=6, drafts=drafts))
    return answer.status, answer.text, answer.tokens


@pytest.mark.parametrize("kind", ["native", "legacy", "rtx"])
def test_nothing_is_left_to_the_first_query(exported, fake_tensorrt, cuda, kind):
    model, trt = exported("tiny"), fake_tensorrt(kind)
    with cuda.left_out():
        expected = ask(loaded(model, fake_tensorrt(kind)))
    trt.cuda = cuda
    molmo = loaded(model, trt, "cuda")

    def counts():
        contexts = [len(engine._contexts) for engine in trt.engines]
        return (
            contexts,
            trt.compilations,
            cuda.recordings,
            molmo.runtime.runner.memory(),
        )

    fresh = counts()
    warm_up(molmo)
    warm, reserved = counts(), cuda.reserved
    widths = SHAPES.max_context // WIDTH_STEP + len(verify_kinds(SHAPES.max_context))
    assert warm[0] == [1, 1 + widths * (2 if kind == "legacy" else 1)] and fresh[0] == [1, 1]
    assert warm[1] == (2 + widths if kind == "rtx" else 0)
    replayed = cuda.replays
    assert ask(molmo) == expected
    assert counts() == warm
    assert ask(molmo, drafts=True) == expected
    assert counts() == warm and cuda.reserved <= reserved + BLOCK  # as little as torch takes at a time
    assert (cuda.replays > replayed) == (kind != "rtx")
    assert molmo.runtime.graphs_refused() == ""


def test_tokens_that_rtx_cannot_record_are_told(exported, fake_tensorrt, cuda, caplog):
    trt = fake_tensorrt("rtx")
    trt.cuda = cuda
    molmo = loaded(exported("tiny"), trt, "cuda")
    trt.failing["recording"] = 0
    ask(molmo)
    assert molmo.runtime.graphs_refused() == "TensorRT for RTX says that it cannot record them"
    assert caplog.text.count("kernel by kernel") == 1
