# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""When the current points of a camera are published, and which: one message per frame, however the answers come."""

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from molmo_msgs.msg import ObjectPointArray  # noqa: E402

from molmo_ros.node.delivery.current_points import CurrentPoints  # noqa: E402
from molmo_ros.node.records.query import continuous_queries  # noqa: E402


class Published:
    """What was published, in order: ("objects", states by query), ("query", name), ("point", query)."""

    def __init__(self):
        self.log = []

    def publish_objects(self, array, view):
        assert callable(view.picture)
        self.log.append(("objects", {one.query: one.status for one in array.queries}))

    def publish_query(self, name, array, viewpoint):
        self.log.append(("query", name))

    def publish_point(self, array, viewpoint, surroundings):
        self.log.append(("point", array.query))

    def objects(self):
        return [what for topic, what in self.log if topic == "objects"]


class Current(CurrentPoints):
    def __init__(self, *written, cameras=("wrist", "head")):
        self.published, self.written = Published(), list(written)
        self.shown = []
        super().__init__(
            self.published,
            lambda *what: self.shown.append(what),
            lambda: continuous_queries(self.written),
            cameras,
        )

    def answer(self, query, about, camera="wrist", status="FOUND"):
        outcome = SimpleNamespace(camera=camera, viewpoint=(0.0, 0.0, 0.0), message=about, surroundings=None)
        self.add(outcome, ObjectPointArray(query=query, status=status, camera=camera), about, lambda: None)


FRAME, NEXT = object(), object()


def test_all_wait_for_the_last_and_each_for_itself_does_not():
    current = Current("red", "mug", "what?")
    current.answer("mug", FRAME)
    current.answer("red", FRAME)
    assert current.published.log == [("query", "mug"), ("query", "red"), ("point", "red")]
    current.answer("what?", FRAME, status="ANSWERED")
    assert current.published.objects() == [{"red": "FOUND", "mug": "FOUND", "what?": "ANSWERED"}]
    ((array, view),) = current.shown
    assert array.query == "red; mug; what?" and view.message is FRAME


def test_a_frame_that_is_left_is_told_before_the_next_one():
    current = Current("red", "mug")
    current.answer("red", FRAME)
    current.answer("mug", NEXT)
    assert current.published.objects() == [{"red": "FOUND", "mug": "STALE"}]
    current.end("wrist")
    assert current.published.objects()[1:] == [{"red": "STALE", "mug": "FOUND"}]
    current.end("wrist")
    assert len(current.published.objects()) == 2  # no frame is told about twice


def test_cameras_are_apart_and_the_one_point_is_about_the_first():
    current = Current("what?", "red", "@head mug")
    current.answer("red", FRAME, "head")
    current.answer("red", FRAME, "wrist")
    assert current.published.log.count(("point", "red")) == 1
    current.end("wrist")
    assert current.published.objects() == [
        {"what?": "STALE", "red": "FOUND"}
    ]  # the mug is not asked about there
    current.end("head")
    assert set(current.published.objects()[1]) == {"what?", "red", "@head mug"}


def test_what_is_asked_no_more_is_told_no_more():
    current = Current("red", "mug")
    current.answer("red", FRAME)
    current.written = ["mug"]
    current.answer("red", FRAME)
    assert current.published.log.count(("query", "red")) == 1
    current.end("wrist")
    assert current.published.objects() == []
