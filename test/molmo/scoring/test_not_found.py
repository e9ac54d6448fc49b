# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The probability of saying that nothing is there, against whole sequences recomputed without a cache."""

import math

import numpy as np
import pytest
import torch

from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.prompts.prompt_text import point_prompt
from molmo_ros.molmo.running.generate import Choice, GenerateOptions
from molmo_ros.molmo.scoring.not_found import NEGLIGIBLE, NotFoundScorer, continuation_probability
from molmo_ros.sim.objects import COLORS, SHAPES
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import Scene

SENTENCE = "There are none."


@pytest.fixture(scope="module")
def tiny():
    return Molmo.from_pretrained("tiny")


@pytest.fixture(scope="module")
def encoded(tiny):
    return tiny.encode(render(Scene.random(31_004), 320, 240).rgb)


@torch.inference_mode()
def recomputed(molmo, encoded, text):
    """Probability of the sentence after the prompt, from one pass over both."""
    prefix = encoded.prefix
    query = molmo.prompts.query(text, len(prefix))
    sentence = molmo.tokenizer.encode(SENTENCE)
    after = len(query) + len(sentence)
    ids = torch.from_numpy(np.concatenate([prefix.ids, query, sentence])).unsqueeze(0)
    is_patch, is_image = (
        torch.from_numpy(np.pad(one, (0, after)))[None] for one in (prefix.is_patch, prefix.is_image)
    )
    logits = molmo.runtime.model(ids, encoded.features, is_patch=is_patch, is_image=is_image).logits[0]
    rows = torch.log_softmax(logits[len(ids[0]) - len(sentence) - 1 : -1].double(), dim=-1)
    return float(rows[range(len(sentence)), sentence].sum().exp())


def test_equals_recomputing_whatever_the_answer_is(tiny, encoded, monkeypatch):
    monkeypatch.setattr(tiny, "calibration", None)
    answers = []
    for label in [f"{color} {shape}" for color in COLORS for shape in SHAPES]:
        truth = recomputed(tiny, encoded, point_prompt(label))
        answer = tiny.point(encoded, label)
        if truth > NEGLIGIBLE:
            assert answer.not_found_probability == pytest.approx(truth, rel=1e-3), label
        else:
            assert truth - 1e-6 <= answer.not_found_probability <= NEGLIGIBLE * 1.01, label
        answers.append((answer.status.value, truth > NEGLIGIBLE))
    # All ways were gone: said so, did not say so though it was likely, and hardly thought of it.
    assert {("NOT_FOUND", True), ("FOUND", True), ("FOUND", False)} <= set(answers)


def test_scoring_leaves_no_trace(tiny, encoded, monkeypatch):
    labels = ["red cube", "mug", "thing", "yellow banana", "green ball"]
    with_scores = [tiny.point(encoded, label) for label in labels]
    monkeypatch.setattr(tiny, "_confidence", lambda encoded, cache: None)
    without = [tiny.point(encoded, label) for label in labels]
    assert [(one.text, one.tokens) for one in with_scores] == [(one.text, one.tokens) for one in without]
    assert {one.not_found_probability for one in without} == {None}
    assert {point.confidence for one in without for point in one.points} == {None}


def test_the_cache_ends_as_it_began(tiny):
    config = tiny.runtime.model.config.decoder
    cache = KVCache(config, 12)
    torch.manual_seed(0)
    prompt = torch.randn(1, 5, config.width)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()[None, None]
    with torch.inference_mode():
        tiny.runtime.model.decoder(prompt, torch.arange(5)[None], mask, cache)
    keys = cache.keys[..., :5, :].clone()
    tokens = [7, 8, 9]
    probability = continuation_probability(tiny.runtime, cache, tokens)
    assert cache.length == 5 and torch.equal(cache.keys[..., :5, :], keys)
    with torch.inference_mode():
        embeddings = torch.cat([prompt, tiny.runtime.model.embed(torch.tensor([[7, 8]]))], dim=1)
        whole = torch.ones(7, 7, dtype=torch.bool).tril()[None, None]
        logits = tiny.runtime.model.decoder(embeddings, torch.arange(7)[None], whole).logits[0, -2:]
    expected = torch.softmax(logits, -1)[[0, 1], [8, 9]].prod()
    assert probability == pytest.approx(float(expected), rel=1e-3)
    assert continuation_probability(tiny.runtime, cache, [7] * 10) == 1.0  # 9 do not fit beside 5 into 12
    assert cache.length == 5


def test_answers_of_one_token_leave_room_for_the_sentence(tiny, encoded, monkeypatch):
    monkeypatch.setattr(tiny, "calibration", None)
    # A sentence that begins as likely as the real one and goes on as it never does.
    monkeypatch.setattr(tiny, "_not_found", [tiny.tokenizer.encode("There were many.")])
    picture = render(Scene.random(31_004), 320, 240).rgb
    unsure = 0
    for label in [f"{color} {shape}" for color in COLORS for shape in SHAPES]:
        begun = recomputed(tiny, encoded, point_prompt(label))
        if begun > NEGLIGIBLE and tiny.point(encoded, label).status.value == "FOUND":
            one = tiny.point(picture, label, options=GenerateOptions(max_new_tokens=1))
            assert one.not_found_probability < begun / 10, label
            unsure += 1
    assert unsure


def choice(token, **probabilities):
    logits = torch.full((6,), -torch.inf)
    for name, value in {f"t{token}": 1 - sum(probabilities.values()), **probabilities}.items():
        logits[int(name[1:])] = math.log(value)
    return Choice(token, logits)


def test_sentences_are_alternatives():
    asked = []

    def rest(tokens):
        asked.append(tuple(tokens))
        return 0.5

    scorer = NotFoundScorer([[1, 2, 3], [1, 4], [5]], rest)
    assert scorer.probability is None
    scorer.feed(choice(1, t5=0.1, t0=0.1))
    scorer.feed(choice(0, t2=0.4, t4=0.2))  # left both: 2 with 3 to come, 4 with nothing to come
    assert asked == [(2, 3)]
    assert scorer.probability == pytest.approx(0.8 * 0.4 * 0.5 + 0.8 * 0.2 + 0.1)
    scorer.feed(choice(1))
    assert scorer.probability == pytest.approx(0.8 * 0.4 * 0.5 + 0.8 * 0.2 + 0.1)


def test_the_negligible_is_not_worth_a_pass():
    scorer = NotFoundScorer([[1, 2]], lambda tokens: pytest.fail("scored all the same"))
    scorer.feed(choice(0, t1=NEGLIGIBLE / 2))
    assert scorer.probability == pytest.approx(NEGLIGIBLE / 2)
