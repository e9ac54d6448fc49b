# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What does not get into the queue is told why, truly."""

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from molmo_ros.node.entrances.intake import Intake  # noqa: E402
from molmo_ros.node.parameters.declaration import Settings  # noqa: E402
from molmo_ros.node.records.query import parse_query  # noqa: E402
from molmo_ros.node.records.request import QueryLimits, Request, Source  # noqa: E402
from molmo_ros.node.scheduling.request_queue import RequestQueue  # noqa: E402


@pytest.fixture
def desk():
    told, drops = [], []
    node = SimpleNamespace(state="active")
    queue = RequestQueue()
    intake = Intake(
        {"camera": None},
        queue,
        SimpleNamespace(deliver=lambda outcome: told.append((outcome.status.value, outcome.reason))),
        SimpleNamespace(record_drop=drops.append),
        settings=lambda: Settings(max_queued_queries=2),
        state=lambda: node.state,
        log=None,
    )
    return SimpleNamespace(node=node, queue=queue, intake=intake, told=told, drops=drops)


def ask(desk, text="mug", **limits):
    desk.intake.submit(Request(parse_query(text), Source.SERVICE, QueryLimits(**limits)))
    return (*desk.told[-1], desk.drops[-1]) if desk.told else None


def test_full(desk):
    assert ask(desk) is None and ask(desk) is None
    assert ask(desk) == ("BUSY", "2 queries are waiting already (max_queued_queries)", "queue_full")


def test_closed_is_not_full(desk):
    """The queue closes a moment before the node's state changes."""
    desk.queue.close()
    assert ask(desk) == ("ERROR", "the node is being deactivated", "not_active")


def test_other_reasons(desk):
    assert ask(desk, "@head mug")[0::2] == ("ERROR", "unknown_camera")
    assert ask(desk, min_confidence=float("nan"))[0::2] == ("ERROR", "limit_out_of_range")
    desk.node.state = "inactive"
    assert ask(desk)[0::2] == ("ERROR", "not_active")
