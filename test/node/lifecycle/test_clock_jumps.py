# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is said of a clock that goes back: from where to where, who sets it, and not each time."""

import time
from types import SimpleNamespace

import pytest

rclpy = pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402

from molmo_ros.node.lifecycle.clock_jumps import ClockJumps  # noqa: E402


def test_two_sources_are_named_and_told_once(node, monkeypatch):
    said = []
    log = SimpleNamespace(warning=said.append)
    jumps = ClockJumps(
        SimpleNamespace(
            get_logger=lambda: log,
            get_clock=node.get_clock,
            get_publishers_info_by_topic=node.get_publishers_info_by_topic,
        )
    )
    heard = []
    jumps.listeners.append(heard.append)
    outs = [node.create_publisher(Clock, "/clock", 1)]
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def set_time(seconds):
        deadline = time.monotonic() + 10
        while node.get_clock().now().nanoseconds != seconds * 10**9:
            assert time.monotonic() < deadline
            outs[0].publish(Clock(clock=Time(sec=seconds)))
            executor.spin_once(timeout_sec=0.05)

    set_time(100)
    set_time(40)
    assert heard[-1] == 60 * 10**9
    assert said == ["the clock went back from 100.000 s to 40.000 s: frames from before are forgotten"]
    outs.append(node.create_publisher(Clock, "/clock", 1))
    for _ in range(20):
        set_time(90)
        set_time(30)
    assert len(said) == 1
    jumps._due = 0.0
    set_time(90)
    set_time(20)
    assert len(said) == 2
    assert said[1] == (
        "the clock went back from 90.000 s to 20.000 s, and 20 more jumps since the last word about it: frames from "
        "before are forgotten. 2 publishers set the time on /clock (/molmo_node, /molmo_node): end all but one of them"
    )
    jumps.close()
