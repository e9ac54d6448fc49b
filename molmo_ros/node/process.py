"""The process around the node: signals, the executor, and an end that does not hang."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading

import rclpy
from rclpy.exceptions import InvalidHandle, InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from molmo_ros.engine.store.scratch_folder import remove_all
from molmo_ros.node.answers.inference import ModelFactory, load_model
from molmo_ros.node.executor import NodeExecutor
from molmo_ros.node.molmo_node import MolmoNode
from molmo_ros.node.parameters import SPECS

STOP_TIMEOUT = 0.4
"""How long a running inference may take to notice that the process ends [s]."""
THREADS = 8 + 2 * int(SPECS["max_queued_queries"].maximum or 0)
"""A service call or goal holds a thread until it has its answer: those that wait, and as many that are being answered
together. Threads are made only when they are needed."""


def main(args: list[str] | None = None, model_factory: ModelFactory = load_model) -> int:
    """Run the node until SIGINT, SIGTERM or a shutdown of its context, and end the process.

    The exit code is 0 after a signal, 1 where the model cannot be loaded or its GPU has failed, and 2, returned, for
    a refused parameter or ROS argument. A node without `autostart` goes on without a model: its manager decides.
    """
    stop = threading.Event()
    # rclpy's own handlers invalidate the context at once, and nothing could be published any more.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except (RuntimeError, ValueError) as error:  # rcl names the argument, and where in its source it noticed
        reason = re.sub(r", at \S+:\d+", "", str(error))
        print(f"molmo_node: ROS arguments or environment are wrong: {reason}", file=sys.stderr)
        return 2
    try:
        node = MolmoNode(model_factory)
    except (InvalidParameterValueException, InvalidParameterTypeException) as error:
        print(f"molmo_node: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    executor = NodeExecutor(THREADS)
    executor.add_node(node)
    managed = not node.value("autostart")
    if not managed:
        threading.Thread(target=_start, args=(node,), name="autostart", daemon=True).start()
    try:
        while not stop.is_set() and (managed or node.failure is None):
            try:
                executor.spin_once(timeout_sec=0.1)
            except InvalidHandle:  # a subscription that was destroyed while the executor looked at it
                continue
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    code = 0 if managed or node.failure is None else 1
    if not node.close(STOP_TIMEOUT):
        print(
            f"molmo_node: the model did not stop within {STOP_TIMEOUT} s, ending the process", file=sys.stderr
        )
    executor.shutdown(timeout_sec=0.1)
    node.destroy_node()
    rclpy.try_shutdown()  # others need not wait until its lease ends to know that it is gone
    remove_all()  # a model that was loading had exported its graphs
    # All is published and closed. The interpreter's own way out takes seconds with torch loaded, and may hang
    # or crash while the worker is in native code: loading weights and a prefill cannot be interrupted.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _start(node: MolmoNode) -> None:
    """Configures and activates, off the executor, which serves parameters and diagnostics meanwhile."""
    if node.trigger_configure() is TransitionCallbackReturn.SUCCESS:
        node.trigger_activate()


if __name__ == "__main__":
    sys.exit(main())
