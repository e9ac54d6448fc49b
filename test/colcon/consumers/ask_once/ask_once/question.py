# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks the node one question and prints the status of its answer, and the file that its messages come from."""

import molmo_msgs.srv
import rclpy
from molmo_msgs.srv import Ask

rclpy.init()
node = rclpy.create_node("ask_once")
client = node.create_client(Ask, "/molmo_node/ask")
assert client.wait_for_service(300.0), "no node came up"
future = client.call_async(Ask.Request(question="how many mugs are there?"))
rclpy.spin_until_future_complete(node, future, timeout_sec=300.0)
print(future.result().result.status, molmo_msgs.srv.__file__)
rclpy.try_shutdown()
