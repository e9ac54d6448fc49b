# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What counts as agreement between number formats, and that half precision agrees on the embedded checkpoint."""

import numpy as np
import pytest

from molmo_ros import Molmo
from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.status import Status
from molmo_ros.sim.renderer import Rendering
from molmo_ros.train.evaluate import evaluate
from molmo_ros.train.held_out import HELD_OUT, narrow_scenes
from molmo_ros.train.precision import FORMATS, Agreement, compare, drift, table
from molmo_ros.train.queries import SceneQuery

SEGMENTATION = np.full((48, 64), -1, np.int32)
SEGMENTATION[10:20, 10:20] = 0
FRAME = Rendering(np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32), SEGMENTATION, np.eye(3))
QUERY = SceneQuery("one", "", "", np.zeros((1, 2)), "thing", (0,))


def answer(*points, text="a", tokens=5):
    return Answer(
        Status.FOUND, text, tuple(Point(*p) for p in points), tokens=tokens, timing_ms={"total": 2.0}
    )


def test_drift_goes_to_the_nearest_point_whatever_the_order():
    reference = [Point(0, 0), Point(10, 0)]
    assert drift(reference, [Point(10, 1), Point(3, 4)]) == [5.0, 1.0]


def test_what_counts_as_identical_and_as_many():
    agreement = Agreement()
    agreement.add(QUERY, answer((15, 15)), answer((15, 15)), FRAME)
    agreement.add(QUERY, answer((15, 12), text="b"), answer((15, 15)), FRAME)
    agreement.add(QUERY, answer((15, 15), (40, 40), text="c"), answer((15, 15)), FRAME)
    agreement.add(QUERY, answer((15, 15), tokens=6), answer(), FRAME)
    assert (agreement.answers, agreement.identical) == (4, 1)
    assert (agreement.with_points, agreement.same_number, agreement.drifts) == (3, 2, [0.0, 3.0])
    assert (agreement.scores["one"].right, agreement.scores["one"].total) == (3, 4)


@pytest.fixture(scope="module")
def results():
    models = {name: Molmo.from_pretrained("tiny", dtype=name) for name in FORMATS}
    return compare(models, range(HELD_OUT, HELD_OUT + 8), 4)


def test_the_same_queries_as_the_evaluation(results):
    scores = evaluate(Molmo.from_pretrained("tiny"), narrow_scenes(8), 4).scores
    assert results["float32"].scores == scores
    assert results["float32"].identical == results["float32"].answers == 32
    assert set(results["float32"].drifts) == {0.0}


def test_half_precision_finds_the_same_things(results):
    for name in ("bfloat16", "float16"):
        one = results[name]
        assert one.answers == 32 and one.with_points == results["float32"].with_points > 10
        # Of 500 scenes 99.3 % and 99.9 % have as many points, and half of the points move by at most 0.7 px.
        assert one.same_number >= one.with_points - 1
        assert max(one.drifts) > 0 and np.median(one.drifts) < 3
    assert results["bfloat16"].identical < results["float16"].identical
    lines = table(results).splitlines()
    assert lines[0] == "| | float32 | bfloat16 | float16 |" and len(lines) == 16
