# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Scores from twenty candidates a token, against the scores of the same answers from all of them."""

import pytest
import torch

from molmo_ros.molmo.answers.answer_stream import AnswerStream
from molmo_ros.molmo.families.wording import WORDING_MOLMO2
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.remote.answer_chunk import TokenChances
from molmo_ros.remote.served_confidence import ServedConfidence
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene


@pytest.fixture(scope="module")
def answered():
    """Answers of the embedded model, with what a server that runs it would tell of each token."""
    molmo = Molmo.from_pretrained("tiny")
    molmo.calibration = None
    backend = molmo.tokenizer
    steps = []

    def feed(stream, token, choice=None, original=AnswerStream.feed):
        before = len(stream.text)
        enough = original(stream, token, choice)
        chances = torch.softmax(choice.logits.float(), -1)
        best = chances.topk(20)
        text = {i: backend.decode([i]) for i in (*best.indices.tolist(), token)}
        others = tuple((text[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True))
        steps[-1].append((stream.text[before:], TokenChances(text[token], float(chances[token]), others)))
        return enough

    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnswerStream, "feed", feed)
        for seed in range(41_000, 41_012):
            scene = Scene.random(seed)
            frame = molmo.encode(render(scene, *SENSOR).rgb)
            for label in (scene.objects[0].name, "things", "unicorn", "red cube"):
                steps.append([])
                found.append((molmo.point(frame, label), steps[-1]))
    return found


def replayed(answer, steps):
    confidence, scores, text = ServedConfidence(WORDING_MOLMO2.not_found), [], ""
    ends = []
    from molmo_ros.molmo.pointing.points import PointStream

    points = PointStream([(480, 640)])
    for piece, chances in steps:
        confidence.take(piece, [chances])
        for end, char in enumerate(piece, len(text) + 1):
            if points.feed(char):
                ends.append(end)
                scores.append(confidence.point(end))
        text += piece
    return scores, confidence.not_found


def test_scores_are_near_those_of_the_whole_distribution(answered):
    """Its numbers are a token each: the hardest case, as most of what is near was not told."""
    pairs = [
        (point.confidence, score)
        for answer, steps in answered
        for point, score in zip(answer.points, replayed(answer, steps)[0], strict=True)
    ]
    errors = [abs(own - served) for own, served in pairs]
    assert len(pairs) > 30 and max(errors) < 0.2 and sum(errors) / len(errors) < 0.06


def test_digits_one_by_one_are_exact():
    """Ten tokens are all that there are: the score is the mass within 2 %, worked out by hand."""
    confidence = ServedConfidence(WORDING_MOLMO2.not_found)

    def take(text, probability=1.0, **others):
        told = ((text, probability), *((name[1:], value) for name, value in others.items()))
        confidence.take(text, [TokenChances(text, probability, told)])

    take('<points coords="1 1 ')
    take("2", 0.9, _7=0.1)
    take("3", 0.6, _4=0.3, _9=0.1)  # 240 to 249 are near 234, 290 is not
    take("4", 0.5, _0=0.3, _9=0.2)
    take(" ")
    for digit in "500":
        take(digit)
    near = 0.9 * (0.6 + 0.3)
    assert confidence.point(len('<points coords="1 1 234 500')) == pytest.approx(near)


def test_the_probability_that_nothing_is_there(answered):
    absent = 0
    for answer, steps in answered:
        _, not_found = replayed(answer, steps)
        assert not_found == pytest.approx(answer.not_found_probability, abs=0.02), answer.text
        absent += not_found > 0.5
    assert 5 < absent < len(answered)


def test_tokens_that_do_not_spell_the_text_score_nothing():
    confidence = ServedConfidence(WORDING_MOLMO2.not_found)
    token = TokenChances("other", 1.0, (("other", 1.0),))
    confidence.take('<points coords="1 1 234 567"', [token])
    assert confidence.point(28) is None and confidence.not_found is None
