# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The evaluation's judgement, and the embedded checkpoint's quality on a few held-out scenes."""

import numpy as np
import pytest

from molmo_ros import Molmo
from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.status import Status
from molmo_ros.sim.renderer import Rendering
from molmo_ros.train.evaluate import TARGETS, evaluate, judge, table
from molmo_ros.train.held_out import narrow_scenes
from molmo_ros.train.queries import SceneQuery

SEGMENTATION = np.full((48, 64), -1, np.int32)
SEGMENTATION[10:20, 10:20] = 0
SEGMENTATION[30:40, 40:50] = 1
FRAME = Rendering(np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32), SEGMENTATION, np.eye(3))
ON_FIRST, ON_SECOND, ON_TABLE = Point(15.5, 12.0), Point(41.0, 39.9), Point(30.0, 5.0)


def query(kind, members, answer=""):
    return SceneQuery(kind, "", answer, np.zeros((len(members), 2)), "thing", members)


@pytest.mark.parametrize(
    ("kind", "members", "points", "expected"),
    [
        ("one", (0,), [ON_FIRST], {"found": True, "one": True}),
        ("one", (0,), [ON_SECOND], {"found": True, "one": False}),
        ("one", (0,), [ON_FIRST, ON_SECOND], {"found": True, "one": False}),
        ("one", (0,), [], {"found": False, "one": False}),
        ("many", (0, 1), [ON_SECOND, ON_FIRST], {"found": True, "many": True}),
        ("many", (0, 1), [ON_FIRST, ON_FIRST], {"found": True, "many": False}),
        ("many", (0, 1), [ON_FIRST, ON_SECOND, ON_TABLE], {"found": True, "many": False}),
        ("absent", (), [], {"found": True}),
        ("absent", (), [ON_TABLE], {"found": False}),
        ("count", (0, 1), [ON_FIRST, ON_SECOND], {"count": True}),
        ("count", (0, 1), [ON_FIRST], {"count": False}),
    ],
)
def test_points_are_judged_by_the_masks(kind, members, points, expected):
    status = Status.FOUND if points else Status.NOT_FOUND
    assert dict(judge(query(kind, members), Answer(status, points=tuple(points)), FRAME)) == expected


def test_answers_in_words_must_be_the_right_ones():
    asked = query("color", (0,), "Red.")
    assert dict(judge(asked, Answer(Status.ANSWERED, "Red."), FRAME)) == {"color": True}
    assert dict(judge(asked, Answer(Status.ANSWERED, "Blue."), FRAME)) == {"color": False}


def test_embedded_checkpoint_points_counts_and_says_no():
    result = evaluate(Molmo.from_pretrained("tiny"), narrow_scenes(40), queries=8)
    for row, target in TARGETS.items():
        # 40 scenes say little about a percent; a broken pipeline or checkpoint costs tens of them.
        assert result.scores[row].total >= 30 and result.scores[row].share > target - 0.06, table(result)
    assert np.median(result.off) < 10
