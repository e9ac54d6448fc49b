"""What fails on the way out fails alone."""

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from molmo_ros.molmo.answer import Answer, Status  # noqa: E402
from molmo_ros.node.answers.outcome import Outcome  # noqa: E402
from molmo_ros.node.messages.delivery import Delivery  # noqa: E402
from molmo_ros.node.queries.query import parse_query  # noqa: E402
from molmo_ros.node.queries.request import Request, Source  # noqa: E402


class Node:
    """Publishers that cannot send anything but results."""

    def __init__(self):
        self.sent, self.logged = [], []
        self.context = SimpleNamespace(ok=lambda: True)

    def value(self, name):
        return {"queries": ["red", "mug"], "tracking": False}[name]

    def get_logger(self):
        return SimpleNamespace(error=lambda text, **_: self.logged.append(text))

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=0))

    def create_publisher(self, kind, name, depth):
        def publish(message):
            if name != "~/result":
                raise RuntimeError(f"{name} is gone")
            self.sent.append(message)

        return SimpleNamespace(publish=publish, get_subscription_count=lambda: 1, topic_name=name)


@pytest.mark.parametrize("source", [Source.CONTINUOUS, Source.TOPIC])
def test_results_stand_where_nothing_derived_can_be_sent(source):
    node, asked = Node(), []
    diagnostics = SimpleNamespace(record_outcome=lambda array: None)
    delivery = Delivery(node, {}, diagnostics)
    delivery.name_queries()
    for text in ("red", "mug"):
        request = Request(parse_query(text), source, on_outcome=lambda outcome, array: asked.append(array))
        outcome = Outcome(request, Status.NOT_FOUND, Answer(Status.NOT_FOUND, "no"), camera="camera")
        delivery.deliver(outcome, SimpleNamespace(frame=delivery, picture=None))
    delivery.end_round("camera")
    assert [one.query for one in node.sent] == [one.query for one in asked] == ["red", "mug"]
    assert node.logged and all("is gone" in text for text in node.logged)
