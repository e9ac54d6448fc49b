# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Prompts to calibrate on: those that a whole model would see, made without its decoder."""

import numpy as np
import pytest
import torch

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.quantisation.decoder_prompts import (
    Example,
    calibration_prompts,
    open_before_blocks,
)
from molmo_ros.molmo.errors import ImageError, PromptError
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.train.examples import simulated_examples


@pytest.fixture(scope="module")
def before_blocks(folder):
    return open_before_blocks(folder)


def test_blocks_and_head_are_not_loaded(before_blocks):
    state = before_blocks.runtime.model.state_dict()
    loaded = {name for name, value in state.items() if value.device.type != "meta"}
    assert {name for name in loaded if name.startswith("decoder.")} == {
        "decoder.embedding.base",
        "decoder.embedding.extra",
    }
    assert {name.split(".")[0] for name in loaded} == {"vision", "connector", "decoder"}


def test_prompts_are_those_of_the_whole_model(tiny, before_blocks):
    examples = list(simulated_examples(2))
    for ours, theirs in zip(
        calibration_prompts(before_blocks, examples), calibration_prompts(tiny, examples), strict=True
    ):
        assert torch.equal(ours.embeddings, theirs.embeddings) and torch.equal(ours.mask, theirs.mask)


@torch.inference_mode()
def test_a_prompt_leads_to_the_answer_that_the_model_gives(tiny):
    """The greedy answer of `Molmo.query` is what the prompt with that answer behind it predicts, token by token."""
    (example,) = simulated_examples(1)
    answer = tiny.query(example.image, example.query, options=GenerateOptions(max_new_tokens=40)).text
    tokens = tiny.tokenizer.encode(answer)
    (prompt,) = calibration_prompts(tiny, [Example(example.image, example.query, answer)])
    positions = torch.arange(prompt.embeddings.shape[1]).unsqueeze(0)
    output = tiny.runtime.model.decoder(prompt.embeddings, positions, prompt.mask)
    predicted = output.logits[0, -len(tokens) - 1 : -1].argmax(-1)
    assert predicted.tolist() == tokens


def test_an_answer_beyond_the_context_is_cut_off(tiny):
    (example,) = simulated_examples(1)
    (prompt,) = calibration_prompts(tiny, [example._replace(answer="one two " * 2000)])
    assert prompt.embeddings.shape[1] == tiny.prompts.max_tokens
    assert prompt.mask.shape == (1, 1, tiny.prompts.max_tokens, tiny.prompts.max_tokens)


def test_bad_examples_are_refused(tiny):
    with pytest.raises(EngineError, match="at least one picture"):
        calibration_prompts(tiny, [])
    with pytest.raises(ImageError):
        calibration_prompts(tiny, [Example(np.zeros((4, 4), np.uint8), "what")])
    with pytest.raises(PromptError, match="empty"):
        calibration_prompts(tiny, [Example(np.zeros((40, 40, 3), np.uint8), " ")])
