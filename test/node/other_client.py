# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A second client in a process of its own: services, goals and questions about other things, one after the other.

`other_client.py ROUNDS [CAMERA]` asks that many times about things at the picture's lower edge, and about nothing.
Prints the statuses that it got, one a line.
"""

import sys

import rclpy
from molmo_msgs.action import Query
from molmo_msgs.srv import Ask, Point
from rclpy.action import ActionClient

OTHER = "other at 0.5,0.95"


def main(rounds, camera=""):
    rclpy.init()
    node = rclpy.create_node("other_client")
    point_at = node.create_client(Point, "molmo_node/point_at")
    ask = node.create_client(Ask, "molmo_node/ask")
    query = ActionClient(node, Query, "molmo_node/query")
    assert point_at.wait_for_service(20) and ask.wait_for_service(20) and query.wait_for_server(20)

    def answer(future):
        rclpy.spin_until_future_complete(node, future, timeout_sec=20)
        return future.result()

    def goal(**wanted):
        return answer(
            answer(query.send_goal_async(Query.Goal(camera=camera, **wanted))).get_result_async()
        ).result

    for _ in range(int(rounds)):
        for result in (
            answer(point_at.call_async(Point.Request(labels=[OTHER], camera=camera))).result,
            answer(ask.call_async(Ask.Request(question="what is at (1.5, 2.5)?", camera=camera))).result,
            goal(kind="point", labels=[f"stream 0.02 {OTHER}"]).result,
            goal(kind="point", labels=["nothing"]).result,
        ):
            print(result.status, flush=True)
    rclpy.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
