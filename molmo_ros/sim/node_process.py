# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A process around one ROS node: signals, refused arguments, and an end that leaves nothing."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any


def run_node(program: str, make: Callable[[], Any]) -> int:
    """Run a node until SIGINT, SIGTERM or a shutdown of its context.

    Args:
        program: Its name, for what is said on stderr.
        make: Imports and makes the rclpy node, once rclpy is initialised.

    Returns:
        The exit code: 0, or 2 for a refused parameter or ROS argument.
    """
    stop = threading.Event()
    # Before the imports, which take a second: a signal that comes meanwhile ends it as any other does.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    import rclpy
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        node = make()
    except (RuntimeError, ValueError, InvalidParameterValueException, InvalidParameterTypeException) as error:
        with contextlib.suppress(OSError):  # the disk that takes the log is full
            print(f"{program}: {error}", file=sys.stderr, flush=True)
        rclpy.try_shutdown()
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not stop.is_set():
        try:
            executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            break
        except Exception as error:  # anyone may set a parameter of a type that there is not
            node.get_logger().error(f"{type(error).__name__}: {error}", throttle_duration_sec=10.0)
    executor.shutdown(timeout_sec=0.1)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0
