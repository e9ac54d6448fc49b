# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is said of a simulation's time that stands, with rclpy's own clock and graph."""

import time

import pytest

rclpy = pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402

from molmo_ros.node.lifecycle.clock_state import ClockState  # noqa: E402


def test_a_time_that_stands_until_it_goes_on(node):
    real = [100.0]
    state = ClockState(node, lambda: real[0])
    assert "nobody publishes /clock" in state.standing()
    out = node.create_publisher(Clock, "/clock", 1)
    assert "stands at 0.000 s: is the simulation paused?" in state.standing()
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def set_time(seconds):
        deadline = time.monotonic() + 10
        while node.get_clock().now().nanoseconds != seconds * 10**9:
            assert time.monotonic() < deadline
            out.publish(Clock(clock=Time(sec=seconds)))
            executor.spin_once(timeout_sec=0.05)

    set_time(7)
    state.look()
    assert state.standing() == "" and state.rivals() == ""
    real[0] += 5
    state.look()
    assert state.standing() == "the clock stands at 7.000 s: is the simulation paused?"
    set_time(8)
    assert state.standing() == ""
    state.look()
    assert state.standing() == ""
    node.create_publisher(Clock, "/clock", 1)
    assert state.rivals().startswith("2 publishers set the time on /clock (/molmo_node, /molmo_node)")


def test_the_systems_time_is_nobodys(node):
    node.set_parameters([Parameter("use_sim_time", value=False)])
    for _ in range(2):
        node.create_publisher(Clock, "/clock", 1)
    state = ClockState(node)
    assert state.standing() == "" and state.rivals() == ""
