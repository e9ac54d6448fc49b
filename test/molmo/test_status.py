# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The table of statuses, held against the messages' definition, the docs and the orders that decide."""

import itertools
import json
import pickle
import re
from pathlib import Path

import pytest

from molmo_ros.molmo.status import Status, of_labels, of_queries

ROOT = Path(__file__).parents[2]
DEFINITION = (ROOT / "interfaces/molmo_msgs/msg/ObjectPointArray.msg").read_text()
CONSTANTS = re.findall(r'^string ([A-Z_]+)="([A-Z_]+)" *(?:# (.*))?$', DEFINITION, re.MULTILINE)
WITHOUT_COMMENT = {Status.CANCELLED, Status.ERROR}
INTERFACE = (ROOT / "docs/interface.md").read_text()
FOLLOWED_ON = {"NO_IMAGE", "STALE", "CANCELLED", "TIMEOUT", "BUSY", "ERROR", "UNPARSEABLE"}
GOAL_ENDS = {True: {"succeeds"}, False: {"aborts", "cancelled; aborted"}}


def rows():
    """Of the docs' table of statuses: the statuses, their meaning, their points, and how a goal ends."""
    for line in INTERFACE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and re.match(r"`[A-Z_]+`", cells[0]):
            yield re.findall(r"`(\w+)`", cells[0]), *cells[1:]


def test_a_status_is_its_word():
    for status in Status:
        assert status == status.value == status.name and Status(status.value) is status
        assert json.dumps(status) == f'"{status.name}"' and pickle.loads(pickle.dumps(status)) is status
        assert status in {status.name} and status.name in {status}


def test_the_message_has_the_same_constants_and_says_the_same_of_them():
    assert [(name, value) for name, value, _ in CONSTANTS] == [(one.name, one.value) for one in Status]
    said = {Status(value): comment for _, value, comment in CONSTANTS}
    assert {status for status, comment in said.items() if not comment} == WITHOUT_COMMENT
    assert all(comment == status.meaning for status, comment in said.items() if comment)
    assert all(re.fullmatch(r"[A-Z].*\.", status.meaning) for status in Status)


def test_the_docs_have_each_status_once():
    assert sorted(itertools.chain(*(names for names, *_ in rows()))) == sorted(Status)


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: ", ".join(row[0]))
def test_the_docs_say_how_a_goal_ends_and_which_points_there_are(row):
    for status in map(Status, row[0]):
        assert row[3] in GOAL_ENDS[status.success]
        assert (row[2] in ("yes", "in pixels")) == (status.points_known and status is not Status.NOT_FOUND)
        assert (row[2] == "in pixels") == (status in (Status.NO_DEPTH, Status.NO_TRANSFORM))


def test_the_readme_names_them_all():
    listed = re.search(
        r"an outcome with a status and a reason: (.*?)\.\n", (ROOT / "README.md").read_text(), re.S
    )
    assert sorted(re.findall(r"[A-Z_]{4,}", listed[1])) == sorted(Status)


def test_what_follows_from_a_status():
    assert {one.value for one in Status if one.success} == {"FOUND", "NOT_FOUND", "ANSWERED"}
    assert {one.value for one in Status if not one.about_points} == FOLLOWED_ON
    assert {one.value for one in Status if one.camera_failure} == {
        "NO_IMAGE",
        "STALE",
        "NO_DEPTH",
        "NO_TRANSFORM",
    }
    assert {one.value for one in Status if one.points_known} == {
        "FOUND",
        "NOT_FOUND",
        "NO_DEPTH",
        "NO_TRANSFORM",
    }
    assert {one for one in Status if one.points_known} < {one for one in Status if one.about_points}
    assert {one.value for one in Status if one.node_only} == {
        *("NO_IMAGE", "STALE", "NO_DEPTH", "NO_TRANSFORM", "BUSY"),
    }


def test_of_several_labels_what_went_wrong_decides():
    ranked = sorted((one for one in Status if not one.node_only), key=lambda one: one.rank_of_labels)
    assert [one.value for one in ranked] == [
        *("ERROR", "CANCELLED", "TIMEOUT", "FOUND", "ANSWERED", "UNPARSEABLE", "NOT_FOUND"),
    ]
    assert all((one.rank_of_labels is None) == one.node_only for one in Status)
    for first, second in itertools.combinations(ranked, 2):
        assert of_labels([first, second]) is of_labels([second, first]) is first


def test_of_several_queries_points_decide():
    ranked = sorted((one for one in Status if one.rank_of_queries), key=lambda one: one.rank_of_queries)
    assert [one.value for one in ranked] == [
        *("FOUND", "NO_TRANSFORM", "NO_DEPTH", "ERROR", "TIMEOUT", "UNPARSEABLE", "CANCELLED", "STALE"),
        *("NOT_FOUND", "ANSWERED"),
    ]
    for first, second in itertools.combinations(ranked, 2):
        assert of_queries([first, second]) is of_queries([second, first]) is first
    assert of_queries([Status.BUSY, Status.NO_IMAGE]) is None
    assert of_queries([Status.BUSY, Status.ANSWERED]) is Status.ANSWERED
