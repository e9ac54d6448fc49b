# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What calibration gains over rounding to the nearest, on the inputs of real blocks."""

import copy

import pytest
import torch

from molmo_ros.engine.quantisation.block_quantiser import (
    BlockQuantiser,
    candidate_scales,
    clipped_limits,
    output_error,
)
from molmo_ros.engine.quantisation.formats import LINEARS, QUANTISED, Format, linear_formats
from molmo_ros.engine.quantisation.linear_inputs import InputRecorder, LinearInputs
from molmo_ros.engine.quantisation.quantised_linear import quantise, quantise_inputs
from molmo_ros.molmo.network.rope import RotaryEmbedding

DTYPE = torch.bfloat16


@pytest.fixture(scope="module")
def recorded(tiny, prompts):
    """The first block of the embedded model, and the inputs of its layers."""
    model = tiny.runtime.model
    recorder, block = InputRecorder(8), model.decoder.blocks[0]
    for prompt in prompts[:8]:
        positions = torch.arange(prompt.embeddings.shape[1]).unsqueeze(0)
        with recorder.listening(block, prompt.words), torch.no_grad():
            model.decoder.states(prompt.embeddings, positions, prompt.mask)
    return {name: value.detach() for name, value in block.named_parameters()}, recorder.inputs()


def distance(tokens, others):
    """Of each token to the nearest of the others."""
    return torch.cdist(tokens, others, compute_mode="donot_use_mm_for_euclid_dist").amin(1)


def test_samples_and_peaks_are_of_what_went_in(tiny, recorded, prompts):
    _, inputs = recorded
    assert [inputs[name].sample.shape[1] for name in LINEARS] == [192, 192, 192, 512]
    for one in inputs.values():
        assert (one.peak >= one.sample.abs().amax(0)).all()
    norm, sample = tiny.runtime.model.decoder.blocks[0].attention_norm, inputs["attention.qkv"].sample
    entering = norm(torch.cat([prompt.embeddings[0] for prompt in prompts[:8]])).detach()
    torch.testing.assert_close(inputs["attention.qkv"].peak, entering.abs().amax(0))
    words = norm(torch.cat([prompt.embeddings[0, -prompt.words :] for prompt in prompts[:8]])).detach()
    assert distance(sample, entering).max() < 1e-4
    are_words = distance(sample, words) < 1e-4
    share = len(words) / len(entering)
    assert 1.3 * share < are_words.float().mean() <= 0.5


def dequantised(linears, rest, layer):
    """A block that computes with quantised layers, inputs rounded where the format does."""
    block = copy.deepcopy(layer)
    state = {name: value.float() for name, value in rest.items()}
    state |= {f"{name}.weight": linear.dequantise() for name, linear in linears.items()}
    block.load_state_dict(state)
    for name, linear in linears.items():
        block.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, linear=linear: quantise_inputs(inputs[0], linear)
        )
    return block


def block_error(config, block, rounded, prompts):
    """The mean square by which a block's output is off."""
    rotary = RotaryEmbedding(config.head_dim, config.rope_theta)
    total = 0.0
    for prompt in prompts:
        turned = rotary(torch.arange(prompt.embeddings.shape[1]).unsqueeze(0))
        want, got = (one(prompt.embeddings, turned, prompt.mask, None, 0) for one in (block, rounded))
        total += float((got - want).pow(2).mean())
    return total


@torch.no_grad()
@pytest.mark.parametrize("precision", QUANTISED)
def test_calibration_is_better_than_rounding_to_the_nearest(tiny, precision, recorded, prompts):
    parameters, inputs = recorded
    model, config = tiny.runtime.model, tiny.runtime.config.decoder
    formats = linear_formats(config, precision)
    within = {name: formats[f"decoder.blocks.0.{name}"] for name in LINEARS}
    made = BlockQuantiser(config, within, DTYPE).quantise(parameters, inputs)
    assert set(made.linears) == set(LINEARS)
    assert {value.dtype for value in made.parameters.values()} == {DTYPE}
    nearest = {
        name: quantise(parameters[f"{name}.weight"], form, DTYPE, input_range=float(inputs[name].peak.max()))
        for name, form in within.items()
    }
    rest = {name: value for name, value in parameters.items() if name.removesuffix(".weight") not in nearest}
    block = model.decoder.blocks[0]
    ours, theirs = dequantised(made.linears, made.parameters, block), dequantised(nearest, rest, block)
    for some in (prompts[:8], prompts[8:]):  # calibrated on, and not
        ratio = block_error(config, block, ours, some) / block_error(config, block, theirs, some)
        assert ratio < {"int4": 0.8, "nvfp4": 1.01, "int8": 0.5, "fp8": 1.05}[precision]


def test_limits_are_never_worse_for_a_group(recorded):
    parameters, inputs = recorded
    weight, form, one = parameters["mlp.down.weight"], Format("int4", 128), inputs["mlp.down"]
    limits = clipped_limits(weight, one, form, DTYPE)
    whole = weight.unflatten(1, (-1, 128)).abs().amax(-1)
    assert (limits <= whole).all() and (limits < whole).any()
    for group in range(4):
        columns = slice(128 * group, 128 * group + 128)
        part = LinearInputs(one.sample[:, columns], one.peak[columns])
        clipped, plain = (
            output_error(
                part.sample @ weight[:, columns].t(),
                part,
                quantise(weight[:, columns], form, DTYPE, limits=some[:, group : group + 1]),
            )
            for some in (limits, whole)
        )
        assert (clipped <= plain * 1.0001).all()


@pytest.mark.parametrize("form", [Format("int4", 64), Format("int8")], ids=str)
def test_scales_are_found_for_inputs_that_stick_out(form):
    """Of 64 inputs two are fifty times as large, as in real language models."""
    torch.manual_seed(0)
    weight, sample = torch.randn(32, 64), torch.randn(500, 64)
    sample[:, :2] *= 50
    inputs = LinearInputs(sample, sample.abs().amax(0))
    errors = []
    for scales in candidate_scales(weight, inputs, form):
        divided = inputs.divided(scales)
        linear = quantise(weight * scales, form, torch.float32, input_range=float(divided.peak.max()))
        errors.append(float(output_error(sample @ weight.t(), divided, linear).mean()))
    first = candidate_scales(weight, inputs, form)[0]
    assert torch.equal(first, torch.ones(64))
    assert min(errors) < errors[0] / 4


@torch.no_grad()
def test_a_layer_that_stays_at_sixteen_bits_is_kept_with_what_was_folded(tiny, recorded, prompts):
    config, block = tiny.runtime.config.decoder, tiny.runtime.model.decoder.blocks[0]
    made = BlockQuantiser(config, {"mlp.down": Format("int4", 128)}, DTYPE).quantise(*recorded)
    assert set(made.linears) == {"mlp.down"}
    assert {"attention.qkv.weight", "mlp.up_gate.weight"} <= set(made.parameters)
    rounded = dequantised(made.linears, made.parameters, block)
    plain = copy.deepcopy(block)
    plain.mlp.down.weight.zero_()
    assert block_error(config, block, rounded, prompts) < block_error(config, block, plain, prompts) / 50
