# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What fails on the way out fails alone."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from molmo_ros.molmo.answer import Answer  # noqa: E402
from molmo_ros.molmo.status import Status  # noqa: E402
from molmo_ros.node.answers.object_finder import ObjectFinder  # noqa: E402
from molmo_ros.node.answers.trackers import Trackers  # noqa: E402
from molmo_ros.node.delivery.delivery import Delivery  # noqa: E402
from molmo_ros.node.delivery.region_stage import RegionStage  # noqa: E402
from molmo_ros.node.messages.object_outputs import ObjectOutputs  # noqa: E402
from molmo_ros.node.messages.outputs import Outputs  # noqa: E402
from molmo_ros.node.parameters.declaration import Settings  # noqa: E402
from molmo_ros.node.records.outcome import Outcome  # noqa: E402
from molmo_ros.node.records.query import parse_query  # noqa: E402
from molmo_ros.node.records.request import Request, Source  # noqa: E402

PICTURE = np.zeros((8, 8, 3), np.uint8)
DETECTIONS = {"~/detections_2d", "~/detections_3d"}
"""Where vision_msgs is installed."""


class Node:
    """Publishers that cannot send anything but results; the clock and the log, too."""

    def __init__(self):
        self.sent, self.logged = [], []

    def now(self):
        return 0

    def ok(self):
        return True

    def error(self, text, **_):
        self.logged.append(text)

    def create_publisher(self, kind, name, depth):
        def publish(message):
            if name != "~/result":
                raise RuntimeError(f"{name} is gone")
            self.sent.append(message)

        return SimpleNamespace(publish=publish, get_subscription_count=lambda: 1, topic_name=name)


def delivery_of(node, cameras, **diagnostics):
    def settings():
        return Settings.of({"queries": ["red", "mug"]})

    counted = SimpleNamespace(**diagnostics)
    finder = ObjectFinder(settings, node)
    stage = RegionStage(finder, ObjectOutputs(node, node), counted, settings=settings, clock=node, log=node)
    return Delivery(
        Outputs(node, node),
        cameras,
        Trackers(settings),
        stage,
        counted,
        settings=settings,
        clock=node,
        log=node,
    )


@pytest.mark.parametrize(
    ("source", "left_out"),
    [
        (
            Source.CONTINUOUS,
            {"~/answer", "~/red/points", "~/mug/points", "~/objects", "~/points", "~/pixels"}
            | {"~/object_regions", "~/regions", "~/clouds", "~/grasps", "~/markers"},
        ),
        (Source.TOPIC, {"~/answer"}),  # there are continuous queries
        (Source.SERVICE, set()),
    ],
)
def test_each_that_cannot_be_sent_fails_alone(source, left_out):
    node, asked = Node(), []
    cameras = {"camera": SimpleNamespace(frames=SimpleNamespace(dropped=0))}
    delivery = delivery_of(node, cameras, record_outcome=lambda array: None)
    delivery.name_queries()
    for text in ("red", "mug"):
        request = Request(parse_query(text), source, on_outcome=asked.append)
        outcome = Outcome(request, Status.NOT_FOUND, Answer(Status.NOT_FOUND, "no"), camera="camera")
        delivery.deliver(outcome, SimpleNamespace(frame=delivery, picture=PICTURE))
    assert [one.query for one in node.sent] == [one.query for one in asked] == ["red", "mug"]
    pictures = (
        {"~/annotated", "~/annotated/compressed", "~/answered/image"}
        if source is Source.CONTINUOUS
        else set()
    )
    assert {text.split()[0] for text in node.logged} - DETECTIONS == left_out | pictures


def test_a_round_that_cannot_be_merged_ends_no_thread(monkeypatch):
    node = Node()
    delivery = delivery_of(node, {})

    def broken(_camera):
        raise KeyError("a query")

    monkeypatch.setattr(delivery.current, "end", broken)
    delivery.end_round("camera")
    assert "a query" in node.logged[0]
