# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The benchmark of decoding, on two scenes: it compares every answer with the plain one before it says anything."""

import re
import sys

import pytest

from benchmarks import decoding


@pytest.fixture(scope="module")
def printed():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["decoding", "--scenes", "2", "--repeats", "1"])
        patch.setenv("HF_HUB_OFFLINE", "1")  # as the benchmark does, and not beyond it
        lines = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        decoding.main()
    return "\n".join(lines)


def test_every_kind_of_answer_has_its_row(printed):
    rows = re.findall(
        r"^\| ([^|]+camera[^|]*|first question) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", printed, re.M
    )
    assert [name for name, *_ in rows] == [
        "first question",
        "moving camera, 0.5 s later",
        "moving camera, 0.1 s later",
        "still camera",
        "moving camera, 0.5 s later, followed",
        "moving camera, 0.1 s later, followed",
    ]
    for _, tokens, passes, per_pass in rows:
        assert 1.0 <= float(passes) <= float(tokens)
        assert float(per_pass) == pytest.approx(float(tokens) / float(passes), rel=0.1)
    assert float(rows[3][3]) > 2 * float(rows[0][3])


def test_packs_and_both_programs(printed):
    assert [int(count) for count in re.findall(r"^\| (\d+) \|", printed, re.M)] == list(decoding.TOGETHER)
    assert "| transformers |" in printed and "| transformers, prompt look-up |" in printed


def test_an_answer_that_differs_ends_it():
    from molmo_ros.molmo.answer import Answer
    from molmo_ros.molmo.status import Status

    with pytest.raises(SystemExit, match="guesses have changed an answer"):
        decoding.same([Answer(Status.FOUND, "a")], [Answer(Status.FOUND, "b")])
