# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What rounding may cost, by the definition of each format."""

import pytest
import torch

from molmo_ros.engine.quantisation.formats import QUANTISED, Format
from molmo_ros.engine.quantisation.quantised_linear import quantise, quantise_inputs

FORMS = {
    "int8": Format("int8"),
    "int4": Format("int4", 128),
    "fp8": Format("fp8"),
    "nvfp4": Format("nvfp4", 16),
}
DTYPES = [torch.float16, torch.bfloat16]


def weight(outputs=24, inputs=256):
    torch.manual_seed(1)
    return torch.randn(outputs, inputs) * torch.logspace(-4, 0, outputs).unsqueeze(1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["int4", "int8"])
def test_integers_are_off_by_half_a_step_at_most(name, dtype):
    w, form = weight(), FORMS[name]
    groups = 1 if form.group is None else 256 // form.group
    step = w.unflatten(1, (groups, -1)).abs().amax(-1, keepdim=True) / form.largest
    off = (quantise(w, form, dtype).dequantise() - w).unflatten(1, (groups, -1)).abs()
    # The scale itself is rounded to 16 bits: of normal numbers by eps / 2, below them by 2**-25.
    slack = form.largest * (step * torch.finfo(dtype).eps / 2 + 2.0**-25)
    assert (off <= step / 2 * (1 + torch.finfo(dtype).eps) + slack).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_e4m3_is_off_by_a_sixteenth_at_most(dtype):
    w = weight()
    peak = w.abs().amax(1, keepdim=True)
    off = (quantise(w, FORMS["fp8"], dtype).dequantise() - w).abs()
    smallest = peak / 448 * 2.0**-10  # half of the smallest step
    # The largest values may lie beyond 448 steps of a scale that was rounded down.
    assert (off <= w.abs() / 16 + 2 * smallest + 448 * 2.0**-24).all()


def test_nvfp4_is_off_by_a_sixth_of_its_block_at_most():
    w = weight(inputs=512)
    blocks = w.unflatten(1, (-1, 16))
    off = (quantise(w, FORMS["nvfp4"], torch.bfloat16).dequantise() - w).unflatten(1, (-1, 16)).abs()
    # Half of E2M1's largest step is a sixth of 6, and E4M3 rounds the scale by a sixteenth at most; blocks whose
    # scale lies below E4M3's smallest number are nothing beside the largest one.
    bound = blocks.abs().amax(-1, keepdim=True) * (1 / 6 + 1 / 16 + 1 / 96)
    assert (off <= bound + w.abs().max() / 448 * 2.0**-9).all()


@pytest.mark.parametrize("name", QUANTISED)
def test_zeros_stay_zeros(name):
    made = quantise(torch.zeros(4, 256), FORMS[name], torch.float16)
    assert torch.equal(made.dequantise(), torch.zeros(4, 256))
    assert (made.scales.float() > 0).all() or name == "nvfp4"


@pytest.mark.parametrize("name", QUANTISED)
def test_what_is_rounded_already_stays_as_it_is(name):
    once = quantise(weight(), FORMS[name], torch.bfloat16).dequantise()
    twice = quantise(once, FORMS[name], torch.bfloat16).dequantise()
    torch.testing.assert_close(twice, once, rtol=2**-7 if name == "nvfp4" else 1e-6, atol=0)


def test_limits_clip_their_own_group():
    w = torch.ones(2, 256)
    w[0, 3], w[1, 200] = 9.0, -9.0
    limits = torch.tensor([[3.5, 1.0], [1.0, 3.5]])
    got = quantise(w, FORMS["int4"], torch.float16, limits=limits).dequantise()
    assert (float(got[0, 3]), float(got[1, 200])) == (3.5, -4.0)  # int4 has one more below
    torch.testing.assert_close(got[[0, 0, 1], [4, 200, 3]], torch.ones(3), rtol=1e-3, atol=0)


@pytest.mark.parametrize(("name", "ends"), [("int8", (-128 / 127, 1)), ("fp8", (-1, 1))])
def test_inputs_beyond_their_range_saturate(name, ends):
    made = quantise(weight(), FORMS[name], torch.float32, input_range=2.0)
    x = torch.tensor([-100.0, -2, -1, 0, 1, 2, 100.0])
    seen = quantise_inputs(x, made)
    torch.testing.assert_close(seen[[0, -1]], 2.0 * torch.tensor(ends))
    torch.testing.assert_close(seen[1:-1], x[1:-1], atol=2 / 127, rtol=1 / 16)
    assert quantise_inputs(x.bfloat16(), made).dtype == torch.bfloat16


def test_weight_only_formats_leave_inputs_alone():
    x = torch.randn(5)
    assert quantise_inputs(x, quantise(weight(), FORMS["int4"], torch.float16)) is x
