# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A managed node (https://design.ros2.org/articles/node_lifecycle.html) as a manager may rely on.

What rclpy leaves to its users is done here, once: transitions that are not allowed are refused, what a transition
raises is logged, services answer where their callbacks raise, a bond beats while the node is active, and the end of the
node is the end of all of it. What a node is for stands in its own states: `Inactive` and `Active`.
"""

from __future__ import annotations

import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial, wraps
from typing import Any, Protocol

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

from molmo_ros.node.lifecycle.bond import BondHandle, NoBond, start_bond
from molmo_ros.node.lifecycle.callback_errors import CallbackErrors
from molmo_ros.node.lifecycle.guarded_service import guarded

DEACTIVATE_TIMEOUT = 10.0
"""How long work that cannot be interrupted may take when the node is deactivated [s]."""
SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


class Active(Protocol):
    """What a node has while it is active."""

    def listen(self) -> None:
        """Hear what others send; the node is in its state `active` now."""

    def stop(self, timeout: float, reason: str) -> bool:
        """Hear and do nothing more; may be called again.

        Args:
            timeout: How long what runs may take to end [s].
            reason: What those are told who wait.

        Returns:
            False where something still runs.
        """


class Inactive(Protocol):
    """What a node has from being configured to being cleaned up."""

    def activate(self) -> Active:
        """Make what an active node has besides, ready before anything is heard."""

    def close(self) -> None:
        """Free all of it."""


class Unconfigured:
    """Nothing: what a node has in the states in which it has neither."""

    def activate(self) -> Active:
        raise RuntimeError("the node is not configured")  # rclpy's state machine does not come here

    def close(self) -> None:
        pass

    def listen(self) -> None:
        pass

    def stop(self, timeout: float, reason: str) -> bool:
        return True


class ConfigureError(Exception):
    """The node cannot be configured, for a reason that has been told; it stays unconfigured."""


def _logged(transition: Callable[[Any, LifecycleState], TransitionCallbackReturn]) -> Any:
    """Logs what a transition raises, which rclpy takes for ERROR without a word."""

    @wraps(transition)
    def logged(node: ManagedNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:
            node.get_logger().error(traceback.format_exc())
            return ERROR

    return logged


class ManagedNode(LifecycleNodeMixin, Node, ABC):
    """The life cycle of a node. A subclass says what the states hold (`configure`) and may follow them (`entered`).

    Args:
        name: Of the node.
        **node_options: For `rclpy.node.Node`.

    Attributes:
        state: Of the life cycle.
        callback_errors: Takes what callbacks raise.
        failure: Why the node could not be configured, or cannot be used any more; None while all is well.
    """

    def __init__(self, name: str, **node_options: Any) -> None:
        self._at_destruction = ExitStack()
        Node.__init__(self, name, **node_options)
        self.declare()
        # A group of its own: configuring may block it, and parameters and diagnostics must not wait for that.
        LifecycleNodeMixin.__init__(self, callback_group=MutuallyExclusiveCallbackGroup())
        self.when_destroyed(self._state_machine.destroy_when_not_in_use)
        self.state, self._transition = "unconfigured", threading.Lock()
        self.failure: Exception | None = None
        self.callback_errors = CallbackErrors(self.get_logger(), self.count_callback_error)
        self._inactive: Inactive = Unconfigured()
        self._active: Active = Unconfigured()
        self._bond: BondHandle = NoBond()

    # For subclasses.

    work = "the node's work"
    """What may not stop in time, for people."""

    def declare(self) -> None:
        """Declare parameters, before there is a life cycle: a node whose parameters are refused never has one."""

    def when_destroyed(self, end: Callable[[], object]) -> None:
        """What ends something that rclpy leaves, such as the life cycle and actions: others would see it, and the
        middleware would stay, with its shared memory. Called once, last to first."""
        self._at_destruction.callback(end)

    @abstractmethod
    def configure(self) -> Inactive:
        """Make what the node has until it is cleaned up, in a thread of the executor's that only this blocks.

        Raises:
            ConfigureError: It cannot be made.
        """

    def entered(self, state: str) -> None:
        """The node has entered a state."""

    @abstractmethod
    def count_callback_error(self, text: str) -> int:
        """A callback has raised; how often that has been so."""

    # For whoever runs the node.

    def start(self) -> None:
        """Configure and activate, as a manager would. Blocks; not for a callback."""
        if self.trigger_configure() is SUCCESS:
            self.trigger_activate()

    def fail(self, error: Exception) -> None:
        """Leave the active state through error processing, for good. From any thread: it does not wait."""
        self.failure = error
        threading.Thread(target=self.trigger_deactivate, daemon=True).start()

    def close(self, timeout: float) -> bool:
        """Stop, before the process ends.

        Returns:
            False where something still runs after `timeout` [s].
        """
        return self._stop(timeout, "the node is shutting down")

    def destroy_node(self) -> None:
        """End all of the node, as far as it was made: since Kilted the end of the context ends a refused one, too."""
        self._at_destruction.close()
        super().destroy_node()

    def create_service(self, srv_type: Any, srv_name: str, callback: Any, **options: Any) -> Any:
        """A service that answers also where its callback raises. rclpy's own, about parameters, come here too."""
        on_error = partial(self._on_service_error, srv_name)
        return super().create_service(srv_type, srv_name, guarded(srv_type, callback, on_error), **options)

    # Transitions.

    @_logged
    def on_configure(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Make what an inactive node has."""
        self._enter("configuring")
        try:
            self._inactive = self.configure()
        except ConfigureError as error:
            self._enter("unconfigured")
            self.failure = error  # last: it may end the process
            return FAILURE
        self.failure = None
        self._enter("inactive")
        return SUCCESS

    @_logged
    def on_activate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to work, and to listen."""
        self._active = self._inactive.activate()
        self._enter("active")  # before anything is heard
        self._active.listen()
        self._bond = start_bond(self)
        return SUCCESS

    @_logged
    def on_deactivate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Stop what runs, and listen no more."""
        if not self._stop(DEACTIVATE_TIMEOUT, "the node was deactivated"):
            reason = f"{self.work} did not stop within {DEACTIVATE_TIMEOUT:g} s"
            self.get_logger().fatal(reason)
            self.failure = TimeoutError(reason)
        if self.failure is not None:
            return ERROR
        self._enter("inactive")
        return SUCCESS

    @_logged
    def on_cleanup(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Free what an inactive node has."""
        self._free()
        self._enter("unconfigured")
        return SUCCESS

    @_logged
    def on_shutdown(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """End for good, from any state."""
        try:
            self._stop(DEACTIVATE_TIMEOUT, "the node is shutting down")
            self._free()
        finally:
            self._enter("finalized")
        return SUCCESS

    @_logged
    def on_error(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """What failed does not work in this process any more: finalized, to be started anew."""
        try:
            self._free()
        finally:
            self._enter("finalized")
        return FAILURE

    def _LifecycleNodeMixin__change_state(self, transition_id: int) -> TransitionCallbackReturn:
        """One transition at a time, and none that the state does not allow: rclpy would raise and end the process.

        rclpy has no public place for this; all transitions come through this method of its.
        """
        with self._transition:
            allowed = {number: label for number, label, *_ in self._state_machine.available_transitions}
            if transition_id not in allowed:
                possible = ", ".join(f"{number} ({label})" for number, label in allowed.items()) or "none"
                self.get_logger().warning(
                    f"the node is {self.state}, where transition {transition_id} is not possible; "
                    f"possible: {possible}"
                )
                return FAILURE
            return super()._LifecycleNodeMixin__change_state(transition_id)  # type: ignore[misc]

    def _stop(self, timeout: float, reason: str) -> bool:
        try:
            self._bond.close()
        finally:
            stopped = self._active.stop(timeout, reason)
        if stopped:
            self._active = Unconfigured()
        return stopped

    def _free(self) -> None:
        inactive, self._inactive = self._inactive, Unconfigured()
        inactive.close()

    def _enter(self, state: str) -> None:
        self.state = state
        self.entered(state)

    def _on_service_error(self, name: str, error: Exception) -> str:
        return self.callback_errors.record(f"service {name}", error)
