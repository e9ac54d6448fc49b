# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node while it serves: ROS, the executor, and an end that leaves nothing and does not hang."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import traceback
from contextlib import ExitStack

import rclpy
from rclpy.exceptions import InvalidHandle, InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.signals import SignalHandlerOptions

from molmo_ros.node.answers.inference import load_model
from molmo_ros.node.lifecycle.executor import NodeExecutor
from molmo_ros.node.molmo_node import MolmoNode
from molmo_ros.node.parameters.declaration import SPECS
from molmo_ros.node.seams.pointing_model import ModelFactory

STOP_TIMEOUT = 0.4
"""How long a running inference may take to notice that the process ends [s]."""
THREADS = 8 + 2 * int(SPECS["max_queued_queries"].maximum or 0)
"""A service call or goal holds a thread until it has its answer: those that wait, and as many that are being answered
together. Threads are made only when they are needed."""


def serve(stop: threading.Event, args: list[str] | None, model_factory: ModelFactory | None) -> int:
    """Run the node until `stop` is set; see `process.main`. Returns only where the node could not be made."""
    try:
        # Not rclpy's own signal handlers: they invalidate the context at once, and nothing could be published any more.
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except (RuntimeError, ValueError) as error:  # rcl names the argument, and where in its source it noticed
        reason = re.sub(r", at \S+:\d+", "", str(error))
        _say(f"ROS arguments or environment are wrong: {reason}")
        return 2
    try:
        node = MolmoNode(model_factory or load_model)
    except (InvalidParameterValueException, InvalidParameterTypeException) as error:
        _say(str(error))
        rclpy.try_shutdown()
        return 2
    executor = NodeExecutor(THREADS, node.callback_errors.record)
    code = 1
    try:
        # In this order, last to first, and each of them whatever the others raise.
        with ExitStack() as end:
            end.callback(
                rclpy.try_shutdown
            )  # others need not wait until its lease ends to know that it is gone
            end.callback(node.destroy_node)
            end.callback(executor.shutdown, timeout_sec=0.1)
            end.callback(_close, node)
            code = _spin(node, executor, stop)
    except Exception:
        code = 1
        _say(traceback.format_exc())
    finally:
        # All is published and closed. The interpreter's own way out takes seconds with torch loaded, and may hang
        # or crash while the worker is in native code: loading weights and a prefill cannot be interrupted.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # full, or closed
                stream.flush()
        os._exit(code)


def _spin(node: MolmoNode, executor: NodeExecutor, stop: threading.Event) -> int:
    """Serves until there is a reason to end; returns the exit code."""
    executor.add_node(node)
    managed = not node.settings().autostart
    if not managed:  # off the executor, which serves parameters and diagnostics meanwhile
        threading.Thread(target=node.start, name="autostart", daemon=True).start()
    while not stop.is_set() and (managed or node.failure is None):
        try:
            executor.spin_once(timeout_sec=0.1)
        except InvalidHandle:  # a subscription that was destroyed while the executor looked at it
            continue
        except ExternalShutdownException:
            break
    return 0 if managed or node.failure is None else 1


def _close(node: MolmoNode) -> None:
    if not node.close(STOP_TIMEOUT):
        _say(f"the model did not stop within {STOP_TIMEOUT} s, ending the process")


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the disk that takes the log is full
        print(f"molmo_node: {text}", file=sys.stderr, flush=True)
