# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Several labels' answers made one."""

from dataclasses import replace

import pytest

from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.answers.joined_answer import joined
from molmo_ros.molmo.status import Status

FOUND = Answer(
    Status.FOUND,
    "a mug",
    (Point(1.0, 2.0, "mugs", confidence=0.5), Point(3.0, 4.0, "mugs")),
    timing_ms={"decode": 2.0},
    tokens=5,
    count=2,
    calibrated=True,
)
ABSENT = Answer(Status.NOT_FOUND, "none", timing_ms={"decode": 3.0, "prefill": 1.0}, tokens=2, count=0)


def test_joined_answers_keep_order_and_share_their_time():
    answer = joined([("mug", FOUND), ("unicorn", ABSENT)])
    assert [(one.x, one.label) for one in answer.points] == [(1.0, "mug"), (3.0, "mug")]
    assert (answer.status, answer.text, answer.error) == (Status.FOUND, "a mug\nnone", "not found: unicorn")
    assert (answer.tokens, answer.count) == (7, 2)
    assert answer.timing_ms == {"decode": 3.0, "prefill": 1.0}
    assert not answer.calibrated  # one of them is not


def test_joined_answers_name_every_limit():
    cut = replace(FOUND, truncated=True, limit="max_new_tokens", error="max_new_tokens ended the answer")
    answer = joined([("mug", FOUND), ("bowl", cut), ("unicorn", ABSENT)])
    assert (answer.truncated, answer.limit) == (True, "max_new_tokens")
    assert answer.error == "bowl: max_new_tokens ended the answer; not found: unicorn"


def test_one_answer_stays_itself_and_an_empty_label_leaves_the_models():
    assert joined([("", FOUND)]) == FOUND
    assert joined([("mug", FOUND)]).points[0].label == "mug"
    assert joined([("unicorn", ABSENT)]).error == ""


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["FOUND", "NOT_FOUND"], "FOUND"),
        (["NOT_FOUND", "NOT_FOUND"], "NOT_FOUND"),
        (["FOUND", "CANCELLED"], "CANCELLED"),
        (["FOUND", "TIMEOUT"], "TIMEOUT"),
        (["NOT_FOUND", "UNPARSEABLE"], "UNPARSEABLE"),
        (["ANSWERED", "ANSWERED"], "ANSWERED"),
    ],
)
def test_status_of_several(statuses, status):
    assert joined([(one, Answer(Status(one))) for one in statuses]).status == Status(status)


def test_count_is_unknown_where_one_is():
    assert joined([("a", FOUND), ("b", Answer(Status.NOT_FOUND))]).count is None
