# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The topic `query` as every kind of publisher uses it, on a node whose continuous queries are an empty list."""

import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from molmo_ros.node.entrances.query_topic import QueryTopic  # noqa: E402


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_each_query_is_heard_once(robot, reliability):
    if not robot.process:
        robot.start("-p", "queries:=[]", "-p", "max_frame_age:=60.0")
    robot.send_frame()
    publisher = robot.node.create_publisher(String, "query", QoSProfile(depth=10, reliability=reliability))
    robot.spin_until(lambda: publisher.get_subscription_count() > 0)
    heard = []

    def first():  # the node's side of the match may be later than ours
        publisher.publish(String(data="first"))
        robot.spin(0.2)
        return any(one["query"] == "first" for one in robot.results())

    robot.spin_until(first)
    robot.clear()
    for text in ("again", "again", "and again"):
        publisher.publish(String(data=text))
    robot.spin_until(lambda: len(robot.results()) >= 3)
    robot.ask("last")
    robot.settle()
    heard = [one["query"] for one in robot.results() if "again" in one["query"]]
    assert heard == ["again", "again", "and again"]
    robot.node.destroy_publisher(publisher)


def test_what_was_heard_is_not_kept():
    """A text may be of any length, and there may be thousands."""
    node, heard = SimpleNamespace(create_subscription=lambda *_, **__: None), []
    topic = QueryTopic(node, heard.append)
    message = String(data="x" * 1_000_000)
    before = sys.getrefcount(message.data)
    for sent in (1, 1, 2):
        topic._on_sent_message(message, {"source_timestamp": sent})
    after = sys.getrefcount(message.data)
    assert len(heard) == 2 and after == before
