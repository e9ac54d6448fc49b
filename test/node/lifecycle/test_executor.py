# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Callbacks that wait stop nothing, and short ones make no threads: with rclpy's own node, services and topics."""

import contextlib
import os
import threading
import time

import pytest

rclpy = pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from molmo_ros.node.lifecycle.clock_feed import PERIOD  # noqa: E402
from molmo_ros.node.lifecycle.executor import NodeExecutor  # noqa: E402

PATIENCE = 20.0


class Sides:
    """A node in the executor under test, and another that talks to it, in a context of their own."""

    def __init__(self):
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=1 + os.getpid() % 100)
        self.node = rclpy.create_node("served", context=self.context)
        self.other = rclpy.create_node("other", context=self.context)
        self.errors = []
        self.executor = NodeExecutor(4, lambda *error: self.errors.append(error), context=self.context)
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


@pytest.mark.parametrize("kind", ["topic", "service", "timer"])
def test_what_a_callback_raises_is_handed_over_and_ends_nothing(sides, kind):
    answers = []

    def fail(*_):
        raise ZeroDivisionError("of the callback")

    group = MutuallyExclusiveCallbackGroup()
    sides.node.create_service(Trigger, "works", lambda _, response: response, callback_group=group)
    works = sides.other.create_client(Trigger, "works")
    if kind == "service":
        sides.node.create_service(Trigger, "fail", fail, callback_group=group)
        client = sides.other.create_client(Trigger, "fail")
        sides.spin_until(client.service_is_ready)
        client.call_async(Trigger.Request())
    elif kind == "topic":
        sides.node.create_subscription(String, "words", fail, 10, callback_group=group)
        out = sides.other.create_publisher(String, "words", 10)
        sides.spin_until(out.get_subscription_count)
        out.publish(String(data="x"))
    else:
        sides.node.create_timer(0.1, fail, callback_group=group)
    sides.spin_until(lambda: sides.errors)
    purpose, error = sides.errors[0]
    assert purpose == {"topic": "topic /words", "service": "service /fail", "timer": "timer"}[kind]
    assert isinstance(error, ZeroDivisionError) and str(error) == "of the callback"
    sides.spin_until(works.service_is_ready)
    works.call_async(Trigger.Request()).add_done_callback(answers.append)
    sides.spin_until(lambda: answers)  # its group is free again


def test_a_message_that_cannot_be_read_leaves_its_topic_alive(sides):
    """rclpy takes an entity for busy until a message was taken from it, and nothing can be taken that raises."""
    heard, group = [], MutuallyExclusiveCallbackGroup()
    subscription = sides.node.create_subscription(String, "words", heard.append, 10, callback_group=group)
    out = sides.other.create_publisher(String, "words", 10)
    sides.spin_until(out.get_subscription_count)
    take = sides.executor._take_subscription
    unreadable = iter([True])

    def take_once(entity):
        if entity is subscription and next(unreadable, False):
            take(entity)
            raise RuntimeError("unreadable")
        return take(entity)

    sides.executor._take_subscription = take_once
    out.publish(String(data="unreadable"))
    sides.spin_until(lambda: sides.errors)
    assert [(purpose, str(error)) for purpose, error in sides.errors] == [("topic /words", "unreadable")]
    out.publish(String(data="readable"))
    sides.spin_until(lambda: heard)
    assert [message.data for message in heard] == ["readable"]


@pytest.fixture
def clock(sides):
    """Times that the node took, each with the thread in which it did, and what sends them."""
    taken = []
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    sides.node.create_subscription(
        Clock,
        "/clock",
        lambda message: taken.append((message.clock.sec, threading.current_thread())),
        qos,
    )
    out = sides.other.create_publisher(Clock, "/clock", qos)
    sides.spin_until(out.get_subscription_count)

    def send(seconds):
        out.publish(Clock(clock=Time(sec=seconds)))

    return taken, send


def test_a_fast_clock_is_taken_at_a_steady_pace_and_its_newest_time_arrives(sides, clock):
    taken, send = clock
    words = []
    sides.node.create_subscription(String, "words", words.append, 10)
    out = sides.other.create_publisher(String, "words", 10)
    sides.spin_until(out.get_subscription_count)
    sides.spin_until(lambda: send(1) or taken)
    taken.clear()
    started = time.monotonic()
    for seconds in range(2, 1002):
        send(seconds)
        time.sleep(0.001)
    took = time.monotonic() - started
    out.publish(String(data="between"))
    sides.spin_until(lambda: words and taken[-1][0] == 1001)
    assert 5 < len(taken) <= took / PERIOD + 3
    assert [seconds for seconds, _ in taken] == sorted(seconds for seconds, _ in taken)


def test_time_that_goes_back_is_set_in_the_thread_of_the_other_messages(sides, clock):
    taken, send = clock
    sides.spin_until(lambda: send(100) or taken)
    for seconds in (50, 51, 52):  # nobody spins meanwhile: the newest counts
        send(seconds)
        time.sleep(5 * PERIOD)
    assert taken[-1][0] == 100
    sides.spin_until(lambda: taken[-1][0] == 52)
    assert taken[-1][1] is threading.current_thread()
    assert {seconds for seconds, _ in taken} == {100, 52}


def test_a_time_that_its_callback_does_not_bear_is_handed_over(sides):
    def fail(_):
        raise ValueError("outside of time")

    sides.node.create_subscription(Clock, "/clock", fail, 1)
    out = sides.other.create_publisher(Clock, "/clock", 1)
    sides.spin_until(lambda: out.publish(Clock()) or sides.errors)
    assert [(what, str(error)) for what, error in sides.errors][0] == ("topic /clock", "outside of time")
