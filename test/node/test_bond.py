"""The bond: without bondpy, its calls on a stand-in, and, where it is installed, with the real one."""

import sys
import time
import types

import pytest

rclpy = pytest.importorskip("rclpy")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402

from molmo_ros.node.bond import TOPIC, NoBond, start_bond  # noqa: E402


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=91)
    node = rclpy.create_node("molmo_node", namespace="robot", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_without_bondpy_nothing_happens(node, monkeypatch):
    monkeypatch.setitem(sys.modules, "bondpy", None)
    before = [publisher.topic_name for publisher in node.publishers]
    handle = start_bond(node)
    assert isinstance(handle, NoBond)
    assert [publisher.topic_name for publisher in node.publishers] == before
    handle.close()
    handle.close()


class Bond:
    """Takes bondpy's calls down; like the real one, its settings are closed once it has started."""

    def __init__(self, node, topic, bond_id, on_broken=None, on_formed=None):
        self.__dict__.update(calls=[], made=(node, topic, bond_id), on_broken=on_broken, on_formed=on_formed)
        Bond.last = self

    def __setattr__(self, name, value):
        assert "start" not in self.calls
        self.calls.append(f"{name} {value}")

    def start(self):
        self.calls.append("start")

    def shutdown(self):
        self.calls.append("shutdown")


def test_calls_on_bondpy(node, monkeypatch):
    module = types.ModuleType("bondpy.bondpy")
    module.Bond = Bond
    monkeypatch.setitem(sys.modules, "bondpy", types.ModuleType("bondpy"))
    monkeypatch.setitem(sys.modules, "bondpy.bondpy", module)
    handle = start_bond(node)
    # The id is the bare name: a manager in the same namespace knows its nodes by that.
    assert Bond.last.made == (node, TOPIC, "molmo_node")
    Bond.last.on_formed()
    Bond.last.on_broken()
    handle.close()
    assert Bond.last.calls == ["heartbeat_period 0.1", "heartbeat_timeout 4.0", "start", "shutdown"]


def test_real_bond_forms_beats_and_breaks_again_and_again(node):
    bondpy = pytest.importorskip("bondpy.bondpy")
    manager = rclpy.create_node("manager", namespace="robot", context=node.context)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    executor.add_node(manager)

    def wait(condition):
        deadline = time.monotonic() + 5.0
        while not condition() and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.02)
        return condition()

    for _activation in range(2):
        handle = start_bond(node)
        formed = []
        other = bondpy.Bond(manager, TOPIC, "molmo_node", on_formed=lambda seen=formed: seen.append(True))
        other.start()
        assert wait(lambda seen=formed: seen)
        assert not other.is_broken()
        handle.close()
        assert wait(other.is_broken)
        other.shutdown()
    manager.destroy_node()
