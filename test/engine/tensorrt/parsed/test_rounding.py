# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""TensorRT's parsed networks in their own types lose what torch loses in the same format, block by block."""

import pytest

from benchmarks.network_rounding import block_errors, prompts_of
from molmo_ros.engine.quantisation.decoder_prompts import Example
from molmo_ros.engine.quantisation.formats import QUANTISED, SIXTEEN_BITS
from molmo_ros.train.examples import simulated_questions


@pytest.fixture(scope="module")
def prompts():
    return prompts_of([Example(image, query) for image, query in simulated_questions(3)[:1]])


@pytest.mark.parametrize("precision", [*SIXTEEN_BITS, *QUANTISED])
def test_every_block_is_as_near_to_float32_as_in_torch(precision, prompts):
    errors = block_errors(precision, "native", prompts)
    assert len(errors) == 4
    for block in errors:
        assert 0.001 < block.torch < 0.6
        assert block.network == pytest.approx(block.torch, rel=0.02)


def test_older_operators_round_no_more(prompts):
    for block in block_errors("int4", "legacy", prompts):
        assert block.network == pytest.approx(block.torch, rel=0.02)
