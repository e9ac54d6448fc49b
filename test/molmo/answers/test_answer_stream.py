# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Tokens in, text and points out, each handed out once."""

import pytest

from molmo_ros.molmo.answers.answer_stream import AnswerStream
from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.pointing.points import ParsedPoints, PointStream, parse_points
from molmo_ros.molmo.prompts.tokenizer import TextStream, Tokenizer

SIZES = [(480, 640)]
TEXT = ' There are 3 <points coords="1 1 100 200 2 300 400 3 500 600">Tassen ☕</points>.'


@pytest.fixture(scope="module")
def tokenizer(write_tokenizer, tmp_path_factory):
    return Tokenizer.from_folder(write_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def test_equal_to_parsing_the_whole_text(tokenizer):
    pieces, points = [], []
    stream = AnswerStream(label="cup", on_text=pieces.append, on_point=points.append)
    stream.start(TextStream(tokenizer), PointStream(SIZES))
    assert not any([stream.feed(token) for token in tokenizer.encode(TEXT)])
    parsed = stream.finish()
    assert parsed == parse_points(TEXT, SIZES)
    assert stream.text == "".join(pieces) == TEXT
    assert [(p.x, p.y, p.index) for p in points] == [(p.x, p.y, p.index) for p in parsed.points]
    assert {p.label for p in points} == {"cup"} and {p.label for p in parsed.points} == {"Tassen ☕"}


def test_enough_points(tokenizer):
    points, fed = [], 0
    stream = AnswerStream(label="cup", max_points=2, on_point=points.append)
    stream.start(TextStream(tokenizer), PointStream(SIZES))
    for token in tokenizer.encode(TEXT):
        fed += 1
        if stream.feed(token):
            break
    assert fed < len(tokenizer.encode(TEXT))
    assert list(stream.finish().points) == points and len(points) == 2
    assert "400" in stream.text and "500" not in stream.text


def test_a_point_that_only_the_end_completes(tokenizer):
    points = []
    stream = AnswerStream(label="cup", max_points=1, on_point=points.append)
    stream.start(TextStream(tokenizer), PointStream(SIZES))
    for token in tokenizer.encode("p=500,250"):
        assert not stream.feed(token)
    assert points == []
    assert list(stream.finish().points) == points
    assert (points[0].x, points[0].y, points[0].label) == (320.0, 120.0, "cup")


def test_half_a_character_at_the_end(tokenizer):
    pieces = []
    stream = AnswerStream(on_text=pieces.append)
    stream.start(TextStream(tokenizer), PointStream(SIZES))
    for token in tokenizer.encode("a☕")[:-1]:
        stream.feed(token)
    stream.finish()
    assert pieces == ["a", "\ufffd"]


def test_an_answer_that_never_started():
    assert AnswerStream().finish() == ParsedPoints()
    with pytest.raises(ValueError, match="before the answer has started"):
        AnswerStream().feed(1)
    with pytest.raises(PromptError, match="max_points is -1"):
        AnswerStream(max_points=-1)
