#!/usr/bin/env python3
# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Healthy is a node that answers and is active: its model is loaded. `healthcheck.py [NODE]`, by default /molmo_node.

Ends with 0 or 1 and says what it saw. 15 s at most, less than Docker waits.
"""

import sys

import rclpy
from lifecycle_msgs.srv import GetState

DISCOVERY, ANSWER = 8.0, 5.0  # s


def state(name: str) -> str:
    """The life cycle's state of a node, or what is missing."""
    node = rclpy.create_node("molmo_healthcheck", start_parameter_services=False)
    client = node.create_client(GetState, f"{name}/get_state")
    if not client.wait_for_service(DISCOVERY):
        return "not found"
    answer = client.call_async(GetState.Request())
    rclpy.spin_until_future_complete(node, answer, timeout_sec=ANSWER)
    return answer.result().current_state.label if answer.done() else "does not answer"


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else "/molmo_node"
    rclpy.init(args=[])
    try:
        found = state(name)
    finally:
        rclpy.try_shutdown()
    print(f"{name}: {found}")
    return int(found != "active")


if __name__ == "__main__":
    sys.exit(main())
