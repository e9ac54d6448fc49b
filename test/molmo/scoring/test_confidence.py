# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Scores of an answer: made of evidence, given to the right points, and calibrated."""

import dataclasses

import numpy as np
import pytest
import torch

from molmo_ros.molmo.answers.answer_stream import AnswerStream
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.pointing.points import PointStream
from molmo_ros.molmo.prompts.tokenizer import TextStream, Tokenizer
from molmo_ros.molmo.running.choosing import Choice
from molmo_ros.molmo.scoring.confidence import AnswerConfidence, PointEvidence
from molmo_ros.molmo.scoring.confidence_calibration import ConfidenceCalibration, Curve
from molmo_ros.molmo.scoring.not_found import NotFoundScorer
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import Scene

HALF = Choice(0, torch.zeros(2))  # two tokens, equally likely


class Recited:
    """A `PointScorer` that has seen where points end."""

    def __init__(self, evidence, empty=0.0):
        self.evidence, self.empty, self.ends = list(evidence), empty, []

    def feed(self, choice, piece):
        pass

    def point(self, end):
        self.ends.append(end)
        return self.evidence[len(self.ends) - 1]


def test_evidence_becomes_a_score():
    first, later = PointEvidence(None, (0.5, 0.8), ()), PointEvidence(0.9, (0.5, 0.8), ())
    assert first.score(0.25) == pytest.approx(0.75 * 0.4) and later.score(0.25) == pytest.approx(0.9 * 0.4)
    assert PointEvidence(1.0, (1.0 + 1e-6,), ()).score(0.0) == 1.0


def test_calibrated_scores_and_raw_ones():
    curves = ConfidenceCalibration(Curve(1.0, -1.0), Curve(1.0, 2.0), "", {})
    evidence = [PointEvidence(0.5, (0.9,), ()), None]
    for calibration in (None, curves):
        confidence = AnswerConfidence(NotFoundScorer([[1]]), Recited(evidence), calibration)
        assert confidence.not_found is None
        confidence.feed(HALF, "x")
        expected = (0.45, 0.5) if calibration is None else (curves.point(0.45), curves.not_found(0.5))
        assert (confidence.point(1), confidence.not_found) == pytest.approx(expected)
        assert confidence.point(1) is None


def test_an_empty_list_is_not_found_too():
    confidence = AnswerConfidence(NotFoundScorer([[1]]), Recited([], empty=0.2))
    confidence.feed(HALF, "x")
    assert confidence.not_found == pytest.approx(0.5 + 0.5 * 0.2)


TEXT = '<points coords="1 1 100 200 2 300 400 3 500 600">Tassen</points>'


def stream_of(write_tokenizer, folder, evidence, **settings):
    tokenizer = Tokenizer.from_folder(write_tokenizer(folder))
    stream = AnswerStream(**settings)
    stream.start(TextStream(tokenizer), PointStream([(100, 100)]))
    scorer = Recited(evidence)
    stream.confidence = AnswerConfidence(NotFoundScorer([]), scorer)
    return tokenizer, stream, scorer


@pytest.mark.parametrize("max_points", [None, 2])
def test_points_get_their_scores_as_they_are_handed_out(write_tokenizer, tmp_path, max_points):
    evidence = [PointEvidence(value, (1.0,), ()) for value in (0.1, 0.2, 0.3)]
    given_out = []
    tokenizer, stream, scorer = stream_of(
        write_tokenizer, tmp_path, evidence, max_points=max_points, on_point=given_out.append
    )
    for token in tokenizer.encode(TEXT):
        if stream.feed(token, Choice(token, torch.zeros(400))):
            break
    points = stream.finish().points
    expected = [0.1, 0.2, 0.3][:max_points]
    assert [point.confidence for point in given_out] == pytest.approx(expected)
    assert [point.confidence for point in points] == pytest.approx(expected)
    # Where each was complete: with the character after its y.
    ends = [TEXT.index(y) + len(y) + 1 for y in ("200", "400", "600")]
    assert scorer.ends == ends[:max_points]


def test_a_point_that_the_end_completes_has_a_score(write_tokenizer, tmp_path):
    tokenizer, stream, scorer = stream_of(write_tokenizer, tmp_path, [PointEvidence(0.7, (1.0,), ())])
    for token in tokenizer.encode("p=500,250"):
        stream.feed(token, Choice(token, torch.zeros(400)))
    (point,) = stream.finish().points
    assert point.confidence == pytest.approx(0.7) and scorer.ends == [9]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_embedded_model_is_sure_of_what_is_there_and_of_what_is_not(dtype):
    molmo = Molmo.from_pretrained("tiny", dtype=dtype)
    scores, present, absent = [], [], []
    for seed in range(32_000, 32_006):
        scene = Scene.random(seed)
        encoded = molmo.encode(render(scene, 320, 240).rgb)
        for name in sorted({thing.name for thing in scene.objects}):
            answer = molmo.point(encoded, name)
            assert answer.calibrated
            present.append(answer.not_found_probability)
            scores += [point.confidence for point in answer.points]
        absent.append(molmo.point(encoded, "teddy bear").not_found_probability)
    assert all(0 <= value <= 1 for value in (*scores, *present, *absent))
    assert np.median(scores) > 0.9 and np.median(present) < 0.05 and np.median(absent) > 0.7


def test_several_images_are_not_what_the_calibration_was_fitted_on():
    molmo = Molmo.from_pretrained("tiny")
    pictures = [render(Scene.random(seed), 320, 240).rgb for seed in (32_200, 32_201)]
    name = Scene.random(32_200).objects[0].name
    single, pair = molmo.point(pictures[0], name), molmo.point(pictures, name)
    assert single.calibrated and not pair.calibrated
    molmo.calibration = None
    raw = molmo.point(pictures, name)
    assert raw.points == pair.points and raw.not_found_probability == pair.not_found_probability


def test_scores_are_the_same_again_and_streamed():
    molmo = Molmo.from_pretrained("tiny")
    image = render(Scene.random(32_100), 320, 240).rgb
    streamed = []
    first = molmo.query(image, "How many things are there?", on_point=streamed.append)
    again = molmo.query(image, "How many things are there?")
    # The second time in fewer and longer passes, which round otherwise.
    assert len(first.points) > 1 and again.passes < first.passes
    assert [dataclasses.replace(point, confidence=None) for point in again.points] == [
        dataclasses.replace(point, confidence=None) for point in first.points
    ]
    scores = [[point.confidence for point in one.points] for one in (first, again)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert first.not_found_probability == pytest.approx(again.not_found_probability, abs=1e-5)
    assert [dataclasses.replace(point, label="") for point in first.points] == streamed
