# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks for a thing by its name, and says where a gripper takes hold of it: python3 planner.py "red cube" base_link"""

import sys

import rclpy
from molmo_msgs.srv import Point


def best_grasp(node, thing, frame, patience=30.0):
    """The header and the best grasp of the thing; LookupError says why there is none."""
    client = node.create_client(Point, "molmo_node/point_at")
    if not client.wait_for_service(timeout_sec=patience):
        raise LookupError("the service molmo_node/point_at is not there")
    future = client.call_async(Point.Request(labels=[thing], grasps=True, target_frame=frame))
    rclpy.spin_until_future_complete(node, future, timeout_sec=patience)
    if not future.done():
        raise LookupError(f"no answer within {patience:g} s")
    answer = future.result()
    if answer.result.status != answer.result.FOUND:  # NOT_FOUND, NO_DEPTH, STALE, ...: nothing is to be moved
        raise LookupError(f"{answer.result.status}: {answer.result.reason or answer.result.text}")
    grasps = [(grasp.score, grasp) for one in answer.grasps.objects for grasp in one.grasps]
    if not grasps:
        raise LookupError("; ".join(one.reason for one in answer.grasps.objects))
    return answer.grasps.header, max(grasps, key=lambda scored: scored[0])[1]


def main(thing, frame):
    rclpy.init()
    try:
        header, grasp = best_grasp(rclpy.create_node("planner"), thing, frame)
    except LookupError as error:
        return f"{thing} is left alone: {error}"
    place = grasp.pose.position
    print(f"{thing}: open to {grasp.opening:.3f} m, in {header.frame_id} at", end=" ")
    print(f"({place.x:.3f}, {place.y:.3f}, {place.z:.3f}), from the {grasp.approach}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
