"""Callbacks that wait stop nothing, and short ones make no threads: with rclpy's own node, services and topics."""

import contextlib
import os
import threading
import time

import pytest

rclpy = pytest.importorskip("rclpy")

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from molmo_ros.node.executor import NodeExecutor  # noqa: E402

PATIENCE = 20.0


class Sides:
    """A node in the executor under test, and another that talks to it, in a context of their own."""

    def __init__(self):
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=1 + os.getpid() % 100)
        self.node = rclpy.create_node("served", context=self.context)
        self.other = rclpy.create_node("other", context=self.context)
        self.executor = NodeExecutor(4, context=self.context)
        self.executor.add_node(self.node)
        self.background = SingleThreadedExecutor(context=self.context)
        self.background.add_node(self.other)
        self.thread = threading.Thread(target=self._talk, daemon=True)
        self.thread.start()

    def _talk(self):
        with contextlib.suppress(ExternalShutdownException):
            self.background.spin()

    def spin_until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not come about"
            self.executor.spin_once(timeout_sec=0.05)

    def close(self):
        self.executor.shutdown(1.0)
        rclpy.shutdown(context=self.context)
        self.thread.join(PATIENCE)


@pytest.fixture
def sides():
    both = Sides()
    yield both
    both.close()


def test_topics_and_timers_run_in_the_spinning_thread_and_make_none(sides):
    ran = []
    group = MutuallyExclusiveCallbackGroup()
    sides.node.create_subscription(
        String, "words", lambda _: ran.append(threading.current_thread()), 100, callback_group=group
    )
    sides.node.create_timer(0.001, lambda: ran.append(threading.current_thread()), callback_group=group)
    out = sides.other.create_publisher(String, "words", 100)
    sides.spin_until(lambda: out.get_subscription_count() and len(ran) > 10)
    before = threading.active_count()
    for _ in range(50):
        out.publish(String(data="x"))
    seen = len(ran)
    sides.spin_until(lambda: len(ran) > seen + 100)
    assert set(ran) == {threading.current_thread()}
    assert threading.active_count() == before


def test_calls_that_wait_stop_neither_topics_nor_each_other(sides):
    release, words, waiting = threading.Event(), [], []

    def wait(_request, response):
        waiting.append(threading.current_thread())
        response.success = release.wait(PATIENCE)
        return response

    sides.node.create_service(Trigger, "wait", wait, callback_group=ReentrantCallbackGroup())
    sides.node.create_subscription(String, "words", words.append, 100)
    client = sides.other.create_client(Trigger, "wait")
    out = sides.other.create_publisher(String, "words", 100)
    sides.spin_until(lambda: client.service_is_ready() and out.get_subscription_count())
    calls = [client.call_async(Trigger.Request()) for _ in range(3)]
    sides.spin_until(lambda: len(waiting) == 3)
    assert len(set(waiting)) == 3
    out.publish(String(data="meanwhile"))
    sides.spin_until(lambda: words)
    assert not any(call.done() for call in calls)
    release.set()
    sides.spin_until(lambda: all(call.done() for call in calls))
    assert all(call.result().success for call in calls)
    assert len(waiting) == 3  # none was begun twice


def test_a_callback_is_not_run_while_its_exclusive_group_waits(sides):
    release, order = threading.Event(), []
    group = MutuallyExclusiveCallbackGroup()

    def wait(_request, response):
        order.append("begin")
        release.wait(PATIENCE)
        order.append("end")
        return response

    sides.node.create_service(Trigger, "wait", wait, callback_group=group)
    sides.node.create_subscription(String, "words", lambda _: order.append("word"), 100, callback_group=group)
    client = sides.other.create_client(Trigger, "wait")
    out = sides.other.create_publisher(String, "words", 100)
    sides.spin_until(lambda: client.service_is_ready() and out.get_subscription_count())
    client.call_async(Trigger.Request())
    sides.spin_until(lambda: order)
    out.publish(String(data="x"))
    for _ in range(5):
        sides.executor.spin_once(timeout_sec=0.02)
    release.set()
    sides.spin_until(lambda: "word" in order)
    assert order == ["begin", "end", "word"]


@pytest.mark.parametrize("waits", [False, True])
def test_what_a_callback_raises_comes_out(sides, waits):
    def fail(*_):
        raise ZeroDivisionError("of the callback")

    if waits:
        sides.node.create_service(Trigger, "fail", fail)
        client = sides.other.create_client(Trigger, "fail")
        sides.spin_until(client.service_is_ready)
        client.call_async(Trigger.Request())
    else:
        sides.node.create_timer(0.001, fail)
    with pytest.raises(ZeroDivisionError, match="of the callback"):
        sides.spin_until(lambda: False)
