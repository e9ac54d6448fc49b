# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The bond: without bondpy, its calls on a stand-in, and, where it is installed, with the real one."""

import sys
import threading
import time
import types

import pytest

rclpy = pytest.importorskip("rclpy")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from molmo_ros.node import installed_ros  # noqa: E402
from molmo_ros.node.lifecycle.bond import TOPIC, NoBond, start_bond  # noqa: E402


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=91)
    node = rclpy.create_node("molmo_node", namespace="robot", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture(autouse=True)
def looked_for_anew():
    installed_ros._load.cache_clear()
    yield
    installed_ros._load.cache_clear()


def test_without_bondpy_nothing_happens(node, monkeypatch):
    monkeypatch.setitem(sys.modules, "bondpy", None)
    before = [publisher.topic_name for publisher in node.publishers]
    handle = start_bond(node)
    assert isinstance(handle, NoBond)
    assert [publisher.topic_name for publisher in node.publishers] == before
    handle.close()
    handle.close()


class Bond:
    """Takes bondpy's calls down. Like the real one, it refuses settings once it has started, and destroys its
    topics on its own."""

    def __init__(self, node, topic, bond_id, on_broken=None, on_formed=None):
        self.calls, self.made = [], (node, topic, bond_id)
        self.on_broken, self.on_formed = on_broken, on_formed
        self.pub = node.create_publisher(String, topic, 1)
        Bond.last = self

    @staticmethod
    def hear(_message):
        pass

    def __setattr__(self, name, value):
        if name.startswith("heartbeat"):
            assert "start" not in self.calls
            self.calls.append(f"{name} {value}")
        super().__setattr__(name, value)

    def start(self):
        self.calls.append("start")
        self.sub = self.made[0].create_subscription(String, self.made[1], self.hear, 1)

    def shutdown(self):
        if "shutdown" not in self.calls:
            self.calls.append("shutdown")
            self.sub.destroy()
            self.pub.destroy()


def test_calls_on_bondpy(node, monkeypatch):
    module = types.ModuleType("bondpy.bondpy")
    module.Bond = Bond
    package = types.ModuleType("bondpy")
    package.bondpy = module
    monkeypatch.setitem(sys.modules, "bondpy", package)
    monkeypatch.setitem(sys.modules, "bondpy.bondpy", module)
    handle = start_bond(node)
    host, *made = Bond.last.made
    # The id is the bare name: a manager in the same namespace knows its nodes by that.
    assert made == [TOPIC, "molmo_node"]
    assert host.resolve_topic_name(TOPIC) == "/robot/bond"
    handle.close()
    handle.close()
    assert Bond.last.calls == ["heartbeat_period 0.1", "heartbeat_timeout 4.0", "start", "shutdown"]
    assert "_molmo_node_bond" not in node.get_node_names()


@pytest.fixture
def stand_in(monkeypatch):
    module = types.ModuleType("bondpy.bondpy")
    module.Bond = Bond
    package = types.ModuleType("bondpy")
    package.bondpy = module
    monkeypatch.setitem(sys.modules, "bondpy", package)
    monkeypatch.setitem(sys.modules, "bondpy.bondpy", module)


def wait_until(condition):
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_message_that_bondpy_cannot_bear_does_not_end_the_bond(node, stand_in, monkeypatch):
    heard = []

    def hear(message):
        heard.append(message.data)
        if message.data == "bad":
            raise ValueError("bad")

    monkeypatch.setattr(Bond, "hear", staticmethod(hear))
    handle = start_bond(node)
    out = node.create_publisher(String, TOPIC, 10)
    wait_until(out.get_subscription_count)
    for text in ("bad", "good"):
        out.publish(String(data=text))
        wait_until(lambda text=text: heard and heard[-1] == text)
    handle.close()


@pytest.mark.parametrize("how", ["the wake-up is lost", "a callback never returns"])
def test_close_never_waits_for_ever(node, stand_in, monkeypatch, how):
    release, entered = threading.Event(), threading.Event()

    def hear(_):
        entered.set()
        release.wait(60)

    monkeypatch.setattr(Bond, "hear", staticmethod(hear))
    handle = start_bond(node)
    if how == "the wake-up is lost":
        monkeypatch.setattr(SingleThreadedExecutor, "wake", lambda _: None)
    else:
        out = node.create_publisher(String, TOPIC, 10)
        wait_until(out.get_subscription_count)
        out.publish(String(data="x"))
        assert entered.wait(10)
    closing = threading.Thread(target=handle.close, daemon=True)
    closing.start()
    closing.join(20)
    closed = not closing.is_alive()
    release.set()
    assert closed


def test_real_bond_forms_beats_and_breaks_again_and_again(node):
    bondpy = pytest.importorskip("bondpy.bondpy")
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def wait(condition):
        deadline = time.monotonic() + 5.0
        while not condition() and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.02)
        return condition()

    for _activation in range(2):
        manager = rclpy.create_node("manager", namespace="robot", context=node.context)
        executor.add_node(manager)
        handle = start_bond(node)
        formed = []
        other = bondpy.Bond(manager, TOPIC, "molmo_node", on_formed=lambda seen=formed: seen.append(True))
        other.start()
        assert wait(lambda seen=formed: seen)
        assert not other.is_broken()
        handle.close()
        assert wait(other.is_broken)
        executor.remove_node(manager)
        other.shutdown()
        manager.destroy_node()
