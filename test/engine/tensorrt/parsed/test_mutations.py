# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a parser might misread: each must be seen by the computed network, whatever the guards see."""

import pytest

from benchmarks.network_mutations import MUTATIONS, NOTHING, NOTHING_QUANTISED, MutationBench
from molmo_ros.engine.quantisation.decoder_prompts import Example
from molmo_ros.train.examples import simulated_questions

GUARDED = {
    "a mask dropped",
    "causal, upper-left, for a mask",
    "lengths for masks, and dropped",
    "two layers' caches swapped",
}
"""What the guards see, too."""


@pytest.fixture(scope="module")
def bench(trt, tmp_path_factory):
    examples = [Example(image, query) for image, query in simulated_questions(3)[:1]]
    return MutationBench(tmp_path_factory.mktemp("mutations"), trt, examples)


@pytest.mark.parametrize("right", [NOTHING, NOTHING_QUANTISED], ids=lambda one: one.name)
def test_the_right_network_passes(right, bench):
    assert bench.seen_by(right) == {"guards": "", "check": ""}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_what_goes_wrong_is_seen(mutation, bench):
    seen = bench.seen_by(mutation)
    assert "is not the model" in seen["check"] or "makes the value past_key" in seen["check"]
    assert bool(seen["guards"]) == (mutation.name in GUARDED)


@pytest.mark.parametrize("op", ["MatMul", "Gelu", "Attention"])
def test_the_vision_side_is_computed_too(op, bench):
    """A picture's features, with one layer of the tower changed."""
    seen = bench.vision_seen(op)
    assert "is not the model: vision is up to" in seen
