# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The probability of saying that nothing is there, against whole sequences recomputed without a cache."""

import math

import numpy as np
import pytest
import torch

from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.prompts.prompt_text import point_prompt
from molmo_ros.molmo.running.choosing import Choice
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.scoring.not_found import NEGLIGIBLE, NotFoundScorer
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
    monkeypatch.setattr(tiny.answerer, "scores", False)
    without = [tiny.point(encoded, label) for label in labels]
    assert [(one.text, one.tokens) for one in with_scores] == [(one.text, one.tokens) for one in without]
    assert {one.not_found_probability for one in without} == {None}
    assert {point.confidence for one in without for point in one.points} == {None}


def test_scoring_takes_no_pass_of_its_own(tiny, encoded, monkeypatch):
    """What an answer's passes are over: the prompt with the sentence beside it once, then a token each."""
    plain = GenerateOptions(drafts=False)
    passes = []
    for name in ("prefill", "decode"):
        one = getattr(tiny.runtime, name)

        def counted(embeddings, *rest, one=one, name=name, **more):
            passes.append((name, embeddings.shape[1]))
            return one(embeddings, *rest, **more)

        monkeypatch.setattr(tiny.runtime, name, counted)
    said = set()
    for label in [f"{color} {shape}" for color in list(COLORS)[:3] for shape in SHAPES]:
        passes.clear()
        answer = tiny.point(encoded, label, options=plain)
        said.add(answer.status.value)
        assert [name for name, _ in passes] == ["prefill"] + ["decode"] * answer.tokens
        assert all(count == 1 for _, count in passes[1:]) and answer.passes == len(passes)
    assert said >= {"FOUND", "NOT_FOUND"}


def test_answers_of_one_token_leave_room_for_the_sentence(tiny, encoded, monkeypatch):
    monkeypatch.setattr(tiny, "calibration", None)
    # A sentence that begins as likely as the real one and goes on as it never does.
    monkeypatch.setattr(tiny.answerer, "not_found", [tiny.tokenizer.encode("There were many.")])
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


def rest_of(aside, *probabilities):
    """Scores of all but its first token, which give them these probabilities."""
    aside.logits = torch.stack(
        [
            choice(0, **{f"t{token}": share}).logits
            for token, share in zip(aside.tokens[1:], probabilities, strict=True)
        ]
    )


def test_sentences_are_alternatives():
    scorer = NotFoundScorer([[1, 2, 3], [1, 4], [5]])
    assert scorer.probability is None
    rest_of(scorer.asides[0], 0.9, 0.5)
    rest_of(scorer.asides[1], 0.9)
    scorer.feed(choice(1, t5=0.1, t0=0.1))
    scorer.feed(choice(0, t2=0.4, t4=0.2))  # left both: 2 with 3 to come, 4 with nothing to come
    assert scorer.probability == pytest.approx(0.8 * 0.4 * 0.5 + 0.8 * 0.2 + 0.1)
    scorer.feed(choice(1))
    assert scorer.probability == pytest.approx(0.8 * 0.4 * 0.5 + 0.8 * 0.2 + 0.1)


def test_what_is_scored_later_counts_from_then_on():
    scorer = NotFoundScorer([[1, 2, 3]])
    scorer.feed(choice(0, t1=0.25))
    assert scorer.probability == pytest.approx(0.25)  # an upper bound
    rest_of(scorer.asides[0], 0.5, 0.5)
    assert scorer.probability == pytest.approx(0.25 * 0.25)


def test_the_negligible_stays_a_bound():
    scorer = NotFoundScorer([[1, 2]])
    scorer.feed(choice(0, t1=NEGLIGIBLE / 2))
    rest_of(scorer.asides[0], 0.5)
    assert scorer.probability == pytest.approx(NEGLIGIBLE / 2)
