# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import pytest

messages = pytest.importorskip("molmo_msgs.msg", reason="needs ROS 2")
from builtin_interfaces.msg import Duration  # noqa: E402

from molmo_ros.demo import report  # noqa: E402
from molmo_ros.demo.judge import Verdict  # noqa: E402
from molmo_ros.demo.user import FeedbackPiece  # noqa: E402


def test_a_row_has_a_cell_below_every_heading(plan):
    result = messages.ObjectPointArray(status="FOUND", frame_age=Duration(nanosec=250_000_000))
    result.timings = [
        messages.StageTime(stage="model", duration=Duration(sec=1)),
        messages.StageTime(stage="total", duration=Duration(sec=1, nanosec=500_000_000)),
    ]
    line = report.row(3, plan[0], result, Verdict(True, "1 point", 1, 2.25, 0.004))
    assert line.split()[-7:] == ["point", "1/1", "2.2", "0.004", "250", "1500", "yes"]
    for heading in ("query", "by", "expected", "status", "answer"):
        start = report.HEADER.index(heading)
        assert line[start - 1] == " " and line[start] != " ", heading


def test_nothing_that_came_is_a_dash(plan):
    line = report.row(3, plan[0], None, Verdict(False, "no result"))
    assert line.split()[-8:] == ["no", "result", "-", "-", "-", "-", "-", "NO"]


def test_stream_tells_the_first_time_of_each_point():
    pieces = [FeedbackPiece(0.01, 0), FeedbackPiece(0.1, 1), FeedbackPiece(0.2, 1), FeedbackPiece(0.3, 3)]
    assert report.stream(pieces) == (
        "    streamed: point 1 after 100 ms, point 3 after 300 ms; 4 pieces of feedback"
    )
    assert "no point" in report.stream([])
