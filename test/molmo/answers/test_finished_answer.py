# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is said of an answer once its last token has come."""

from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.answers.finished_answer import sentence_of
from molmo_ros.molmo.pointing.points import parse_points
from molmo_ros.molmo.running.generation import StopReason


def test_points_at_one_place_are_told():
    """Models fall into repeating one point until a limit ends them."""
    text = '<points x1="10.0" y1="20.0" x2="30.0" y2="40.0" ' + "".join(
        f'x{i}="30.0" y{i}="40.0" ' for i in range(3, 101)
    )
    parsed = parse_points(text + 'alt="cups">cups</points>', [(100, 100)])
    said = sentence_of(StopReason.EOS, parsed, Asked.POINTS, 900)
    assert said == "98 of 100 points are where another one is: the model has repeated itself"
    apart = parse_points('<points coords="1 1 500 500 2 501 500;2 1 500 500">cups</points>', [(100, 100)] * 2)
    assert len(apart.points) == 3 and sentence_of(StopReason.EOS, apart, Asked.POINTS, 9) == ""
