# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pieces of a stream: together they are the text, whatever blanks the model writes, and nothing is sent too early."""

import json

import pytest

from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.status import Status
from molmo_ros.server.chat_response import ChatResponse, finish_reason
from molmo_ros.server.model_job import FinishedJob


def contents(events: bytes) -> list[str]:
    found = []
    for line in events.decode().split("\n\n"):
        if line and line != "data: [DONE]":
            delta = json.loads(line.removeprefix("data: "))["choices"][0]["delta"]
            found += [delta["content"]] if "content" in delta else []
    return found


@pytest.mark.parametrize(
    "pieces, sent",
    [
        ([" a", " b ", " ", "\n", "c", "  "], ["a", " b", "  \nc"]),
        (["", "  ", "\n"], []),
        (["x"], ["x"]),
        ([" ", "x ", "", " y"], ["x", "  y"]),
    ],
)
def test_blanks_around_an_answer_are_left_out_as_in_the_whole_text(pieces, sent):
    response = ChatResponse("tiny")
    got = [one for piece in pieces for one in contents(response.text(piece))]
    assert got == sent and "".join(got) == "".join(pieces).strip()


@pytest.mark.parametrize(
    "limit, reason", [("", "stop"), ("max_points", "stop"), ("max_new_tokens", "length")]
)
def test_what_ended_an_answer(limit, reason):
    assert finish_reason(Answer(Status.FOUND, limit=limit)) == reason


def test_the_end_of_a_stream():
    response = ChatResponse("tiny")
    answer = Answer(Status.FOUND, "cup", (Point(1.5, 2.5, "cup", confidence=0.5),), tokens=7)
    events = (
        response.end(FinishedJob(answer, 100, 90, ((48, 64),)), include_usage=True).decode().split("\n\n")
    )
    last, usage, done, rest = events
    assert done == "data: [DONE]" and rest == ""
    molmo = json.loads(last.removeprefix("data: "))["choices"][0]["molmo"]
    assert molmo["points"] == [{"image": 0, "x": 1.5, "y": 2.5, "label": "cup", "index": 1, "score": 0.5}]
    assert molmo["images"] == [{"width": 64, "height": 48}]
    assert json.loads(usage.removeprefix("data: "))["usage"]["total_tokens"] == 107
