# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which layers are quantised, and what is refused."""

from dataclasses import replace

import pytest

from molmo_ros.engine.errors import UnsupportedBuildError
from molmo_ros.engine.quantisation.formats import QUANTISED, Format, linear_formats
from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.catalog.model_store import EMBEDDED

CONFIG = read_config(EMBEDDED / "tiny").decoder
REAL = replace(CONFIG, width=3584, mlp_width=18944, heads=28, kv_heads=4, head_dim=128, layers=28)


def names(formats, layer=0):
    start = f"decoder.blocks.{layer}."
    return {name.removeprefix(start): form for name, form in formats.items() if name.startswith(start)}


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_sixteen_bits_quantise_nothing(precision):
    assert linear_formats(CONFIG, precision) == {}


def test_a_real_size_has_groups_of_128_everywhere():
    formats = linear_formats(REAL, "int4")
    assert len(formats) == 4 * 28
    assert set(formats.values()) == {Format("int4", 128)}
    assert set(names(formats, 27)) == {"attention.qkv", "attention.output", "mlp.up_gate", "mlp.down"}


def test_a_width_that_128_does_not_divide_has_the_largest_group_that_does():
    assert names(linear_formats(CONFIG, "int4")) == {  # of width 192
        "attention.qkv": Format("int4", 64),
        "attention.output": Format("int4", 64),
        "mlp.up_gate": Format("int4", 64),
        "mlp.down": Format("int4", 128),
    }


def test_a_layer_without_any_group_stays_at_sixteen_bits():
    odd = replace(CONFIG, mlp_width=500)
    assert "mlp.down" not in names(linear_formats(odd, "int4"))
    assert "mlp.down" not in names(linear_formats(odd, "nvfp4"))
    assert names(linear_formats(odd, "int8"))["mlp.down"] == Format("int8")


def test_which_formats_round_inputs():
    forms = {precision: next(iter(linear_formats(REAL, precision).values())) for precision in QUANTISED}
    assert {name for name, form in forms.items() if form.quantises_inputs} == {"int8", "fp8"}
    assert forms["nvfp4"].group == 16


def test_an_unknown_precision_is_refused_with_the_known_ones():
    with pytest.raises(UnsupportedBuildError, match="'int3'.*fp16, bf16, int8, int4, fp8, nvfp4"):
        linear_formats(CONFIG, "int3")


def test_experts_are_refused_with_what_works():
    mixture = replace(CONFIG, experts=64, experts_per_token=8)
    with pytest.raises(UnsupportedBuildError, match="int4.*64 experts.*fp16, bf16"):
        linear_formats(mixture, "int4")
    assert linear_formats(mixture, "bf16") == {}
