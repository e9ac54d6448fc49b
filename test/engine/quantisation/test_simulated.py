# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The quantised model in torch against its graph in onnxruntime, and what it shares with the model it came from."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.rounded_parameters import RoundedParameters
from molmo_ros.engine.graphs.decoder_graph import decoder_graph
from molmo_ros.engine.quantisation.formats import QUANTISED
from molmo_ros.engine.quantisation.simulated import simulated

CONTEXT = 512


@pytest.fixture(scope="module")
def model(tiny):
    return tiny.runtime.model


@torch.inference_mode()
def logits(model, prompt):
    positions = torch.arange(prompt.embeddings.shape[1]).unsqueeze(0)
    return model.decoder(prompt.embeddings, positions, prompt.mask).logits


@pytest.mark.parametrize(("precision", "tolerance"), [("int4", 1e-3), ("int8", 0.5), ("fp8", 1.0)])
def test_onnxruntime_gives_the_same_logits(
    model, calibrated, prompts, tmp_path, exact_session, precision, tolerance
):
    quantised, config = calibrated(precision), model.config
    decoder_graph(config, CONTEXT, torch.float32, quantised.read, quantised).save(tmp_path / "decoder.onnx")
    prompt = prompts[8]
    length, decoder = prompt.embeddings.shape[1], config.decoder
    feed = {
        "embeddings": prompt.embeddings.numpy(),
        "positions": np.arange(length)[None],
        "mask": prompt.mask.numpy(),
        "write_index": np.zeros(1, np.int64),
        "logits_for": np.arange(length),
    }
    empty = np.zeros((1, decoder.kv_heads, CONTEXT, decoder.head_dim), np.float32)
    feed |= {f"past_{one}_{layer}": empty for one in ("key", "value") for layer in range(decoder.layers)}
    got = torch.from_numpy(exact_session(tmp_path / "decoder.onnx").run(["logits"], feed)[0])
    want, exact = logits(simulated(model, quantised), prompt), logits(model, prompt)
    off = (got - want).abs()
    # A rounded input that lies between two steps may fall to either side: seldom, and by one step.
    assert off.max() < tolerance and off.median() < 1e-4 * (1 if precision == "int4" else 100)
    assert off.mean() < (want - exact).abs().mean() / 3


@pytest.mark.parametrize("precision", QUANTISED)
def test_predictions_stay_close_and_calibration_brings_them_closer(model, calibrated, prompts, precision):
    """By the divergence of the next token's distribution, on pictures that were not calibrated on."""
    config, read = model.config.decoder, model.state_dict().__getitem__
    nearest = RoundedParameters(config, precision, torch.bfloat16, read)
    ours, theirs = (
        sum(
            float(
                functional.kl_div(
                    logits(rounded, prompt).log_softmax(-1)[0, -32:],
                    logits(model, prompt).log_softmax(-1)[0, -32:],
                    log_target=True,
                    reduction="batchmean",
                )
            )
            for prompt in prompts[8:]
        )
        / 8
        for rounded in (simulated(model, calibrated(precision)), simulated(model, nearest))
    )
    assert 0 < ours < 0.05
    # nvfp4 is rounded to the nearest, and E4M3 follows large and small weights alike.
    assert ours < theirs * {"int4": 0.9, "int8": 0.3, "fp8": 1.0, "nvfp4": 1.05}[precision]


def test_only_the_blocks_are_other_memory(model, calibrated):
    copy = simulated(model, calibrated("int4"))
    ours, theirs = copy.state_dict(), model.state_dict()
    shared = {name for name in ours if ours[name].data_ptr() == theirs[name].data_ptr()}
    assert shared == {name for name in ours if not name.startswith("decoder.blocks.")}
    weight = "decoder.blocks.0.mlp.down.weight"
    assert len(ours[weight].unflatten(1, (-1, 128))[0, 0].unique()) <= 16
    assert not copy.training and copy.dtype == model.dtype
