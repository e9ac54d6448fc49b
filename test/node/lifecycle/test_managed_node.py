# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The life cycle that managers rely on, by the services that they use; what the states hold only notes what happens."""

import threading
import time
from types import SimpleNamespace

import pytest

rclpy = pytest.importorskip("rclpy")

from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from molmo_ros.node.lifecycle import managed_node  # noqa: E402
from molmo_ros.node.lifecycle.executor import NodeExecutor  # noqa: E402
from molmo_ros.node.lifecycle.managed_node import ConfigureError, ManagedNode  # noqa: E402

PATIENCE = 20.0


class States:
    """Both states, and the log of what was done with them."""

    def __init__(self, done, faults):
        self._done, self._faults = done, faults

    def activate(self):
        self._note("activate")
        return self

    def listen(self):
        self._note("listen")

    def stop(self, timeout, reason):
        self._note(f"stop: {reason}")
        return "hangs" not in self._faults

    def close(self):
        self._note("close")

    def _note(self, what):
        self._done.append(what)
        if what in self._faults:
            raise RuntimeError(f"{what} failed")


class Managed(ManagedNode):
    work = "the motor"

    def __init__(self, name, **options):
        self.done, self.faults, self.entered_at, self.errors = [], set(), threading.Event(), []
        self.slow = 0.0
        super().__init__(name, **options)
        self.create_service(Trigger, "~/raises", self._raises)

    def declare(self):
        self.declare_parameter("speed", 1.0)

    def configure(self):
        self.done.append("configure")
        time.sleep(self.slow)
        if "configure" in self.faults:
            raise ConfigureError("no motor")
        return States(self.done, self.faults)

    def entered(self, state):
        self.done.append(f"[{state}]")

    def count_callback_error(self, text):
        self.errors.append(text)
        return len(self.errors)

    def _raises(self, request, response):
        raise KeyError("what was asked for")


class Manager:
    """The node in its executor, in a thread, and a client of it."""

    def __init__(self, domain, name="managed"):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Managed(name, context=self.context)
        self.executor = NodeExecutor(4, lambda *_: None, context=self.context)
        self.executor.add_node(self.node)
        self.asking = rclpy.create_node("manager", context=self.context)
        self.answers = SingleThreadedExecutor(context=self.context)
        self.answers.add_node(self.asking)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()
        self.clients = {
            kind: self.asking.create_client(kind, f"{name}/{service}")
            for kind, service in ((ChangeState, "change_state"), (GetState, "get_state"), (Trigger, "raises"))
        }
        for client in self.clients.values():
            assert client.wait_for_service(PATIENCE)

    def _spin(self):
        while not self.ended.is_set():
            self.executor.spin_once(timeout_sec=0.05)

    def ask(self, request_type, **fields):
        future = self.clients[request_type].call_async(request_type.Request(**fields))
        self.answers.spin_until_future_complete(future, PATIENCE)
        return future.result()

    def change(self, name):
        number = getattr(Transition, f"TRANSITION_{name.upper()}")
        return self.ask(ChangeState, transition=Transition(id=number)).success

    @property
    def state(self):
        return self.ask(GetState).current_state.label

    def did(self):
        done, self.node.done[:] = list(self.node.done), []
        return done

    def until(self, condition, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def close(self):
        self.ended.set()
        self.thread.join(PATIENCE)
        self.executor.shutdown(1.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def manager(domain):
    one = Manager(domain)
    yield one
    one.close()


def test_a_whole_life(manager):
    assert manager.state == manager.node.state == "unconfigured"
    assert manager.node.get_parameter("speed").value == 1.0
    assert manager.change("configure")
    assert manager.did() == ["[configuring]", "configure", "[inactive]"]
    for _ in range(2):
        assert manager.change("activate") and manager.state == "active"
        assert manager.did() == ["activate", "[active]", "listen"]  # ready before anything is heard
        assert manager.change("deactivate") and manager.state == "inactive"
        assert manager.did() == ["stop: the node was deactivated", "[inactive]"]
    assert manager.change("cleanup") and manager.state == "unconfigured"
    assert manager.did() == ["close", "[unconfigured]"]
    assert manager.change("configure") and manager.change("activate")
    manager.did()
    assert manager.change("active_shutdown") and manager.state == "finalized"
    assert manager.did() == ["stop: the node is shutting down", "close", "[finalized]"]
    assert manager.node.close(0.1) and manager.did() == []  # nothing is left to stop


def test_what_the_state_does_not_allow_is_refused_and_ends_nothing(manager):
    for name in ("activate", "deactivate", "cleanup"):
        assert not manager.change(name)
    assert manager.state == "unconfigured" and manager.did() == []
    assert manager.change("configure") and manager.change("activate")
    assert not manager.change("configure") and manager.state == "active"


def test_what_cannot_be_configured_can_be_tried_again(manager):
    manager.node.faults.add("configure")
    assert not manager.change("configure")
    assert manager.state == "unconfigured" and str(manager.node.failure) == "no motor"
    assert manager.did() == ["[configuring]", "configure", "[unconfigured]"]
    manager.node.faults.clear()
    assert manager.change("configure") and manager.node.failure is None


@pytest.mark.parametrize("fault", ["activate", "listen"])
def test_a_transition_that_raises_finalizes_the_node(manager, fault):
    assert manager.change("configure")
    manager.node.faults.add(fault)
    assert not manager.change("activate")
    assert manager.state == manager.node.state == "finalized" and manager.did()[-2:] == [
        "close",
        "[finalized]",
    ]


@pytest.mark.parametrize("name", ["deactivate", "active_shutdown"])
def test_what_cannot_be_freed_ends_the_states_all_the_same(manager, name):
    """As after a fault of the GPU, where everything raises."""
    assert manager.change("configure") and manager.change("activate")
    manager.node.faults |= {"stop: the node was deactivated", "stop: the node is shutting down", "close"}
    manager.change(name)
    assert manager.state == manager.node.state == "finalized"
    assert manager.did()[-1] == "[finalized]"


def test_work_that_does_not_stop_finalizes_the_node(manager):
    assert manager.change("configure") and manager.change("activate")
    manager.node.faults.add("hangs")
    assert not manager.change("deactivate")
    assert manager.state == "finalized"
    assert str(manager.node.failure) == f"the motor did not stop within {managed_node.DEACTIVATE_TIMEOUT:g} s"
    manager.did()
    assert not manager.node.close(0.1) and manager.did() == ["stop: the node is shutting down"]


def test_a_failure_leaves_the_active_state_for_good(manager):
    assert manager.change("configure") and manager.change("activate")
    error = RuntimeError("burnt")
    manager.node.fail(error)
    manager.until(lambda: manager.node.state == "finalized")
    assert manager.node.failure is error and manager.state == "finalized"


def test_one_transition_at_a_time(manager):
    manager.node.slow = 0.5
    first = threading.Thread(target=manager.node.trigger_configure)
    first.start()
    manager.until(lambda: "configure" in manager.node.done)
    assert not manager.change("configure")  # it has waited: the node is inactive by then
    first.join(PATIENCE)
    assert manager.did() == ["[configuring]", "configure", "[inactive]"]


def test_a_node_starts_itself(manager):
    manager.node.start()
    assert manager.state == "active"
    manager.node.close(0.1)
    assert manager.did()[-2:] == ["listen", "stop: the node is shutting down"]


def test_a_service_answers_where_its_callback_raises(manager):
    answer = manager.ask(Trigger)
    assert answer is not None and not answer.success
    assert manager.node.errors == ["service ~/raises: KeyError: 'what was asked for'"]


def test_the_bond_is_kept_while_the_node_is_active(manager, monkeypatch):
    bonds = []

    def bond(node):
        assert node is manager.node and node.state == "active"
        bonds.append("begun")
        return SimpleNamespace(close=lambda: bonds.append("ended"))

    monkeypatch.setattr(managed_node, "start_bond", bond)
    assert manager.change("configure") and not bonds
    assert manager.change("activate") and bonds == ["begun"]
    assert manager.change("deactivate") and bonds == ["begun", "ended"]


def test_nothing_of_a_destroyed_node_is_left(domain):
    manager = Manager(domain, "ending")
    watching = rclpy.Context()
    rclpy.init(context=watching, domain_id=domain)
    watcher = rclpy.create_node("watcher", context=watching)

    def services():
        return [name for name, _ in watcher.get_service_names_and_types() if name.startswith("/ending/")]

    manager.until(services)
    manager.ended.set()
    manager.thread.join(PATIENCE)
    manager.executor.shutdown(1.0)
    manager.node.destroy_node()
    manager.asking.destroy_node()
    rclpy.shutdown(context=manager.context)
    # Where the word of its end is lost on a busy machine, its lease has to run out: 20 s.
    manager.until(lambda: not services(), 4 * PATIENCE)
    rclpy.shutdown(context=watching)


class Refused(Managed):
    """A node whose parameters are refused has no life cycle yet, and no subclass' parts."""

    def declare(self):
        raise ValueError("speed is refused")


def test_a_refused_node_is_ended_with_its_context(domain):
    """Since Kilted a context destroys the nodes that it still has, and what they are made of so far."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    made = []

    class Kept(Refused):
        def __init__(self):
            made.append(self)
            super().__init__("refused", context=context)

    with pytest.raises(ValueError, match="speed is refused"):
        Kept()
    context.try_shutdown()
    made[0].destroy_node()  # before Kilted nobody else does, and twice does no harm
    assert not context.ok()


def test_what_is_to_end_ends_once_and_last_to_first(domain):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node, ended = Managed("ending", context=context), []
    for part in ("first", "last"):
        node.when_destroyed(lambda part=part: ended.append(part))
    node.destroy_node()
    node.destroy_node()
    context.try_shutdown()
    assert ended == ["last", "first"]


def test_rclpy_has_the_places_that_are_filled_here():
    """They are private: where a distribution renames one, nothing else would say so."""
    from rclpy.executors import Executor
    from rclpy.lifecycle import LifecycleNodeMixin

    change_state = "_LifecycleNodeMixin__change_state"
    assert change_state in vars(ManagedNode) and change_state in vars(LifecycleNodeMixin)
    assert "_make_handler" in vars(NodeExecutor) and "_make_handler" in vars(Executor)
