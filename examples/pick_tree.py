# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A behaviour tree (py_trees) that picks a thing by its name: python3 pick_tree.py "red cube" base_link

What moves the arm is not part of this: `Reach` publishes the gripper's pose and opening for whoever does.
"""

import sys

import py_trees
import rclpy
from geometry_msgs.msg import PoseStamped
from molmo_msgs.srv import Point
from py_trees.common import Access, Status
from std_msgs.msg import Float64

ATTEMPTS = 3


class FindGrasp(py_trees.behaviour.Behaviour):
    """Asks for the thing; SUCCESS only where there is a grasp, which is then on the blackboard as `grasp`.

    Every answer of the node is a success for its service. What it says is in the status: NOT_FOUND is a FAILURE here.
    """

    def __init__(self, node, thing, frame):
        super().__init__(f"find {thing}")
        self._client = node.create_client(Point, "molmo_node/point_at")
        self._request = Point.Request(labels=[thing], grasps=True, target_frame=frame)
        self._future = None
        self._found = self.attach_blackboard_client(self.name)
        self._found.register_key("grasp", access=Access.WRITE)

    def initialise(self):
        self._future = None

    def update(self):
        if self._future is None:
            if self._client.service_is_ready():
                self._future = self._client.call_async(self._request)
            return Status.RUNNING
        if not self._future.done():
            return Status.RUNNING
        answer = self._future.result()
        objects = answer.grasps.objects
        grasps = [grasp for one in objects for grasp in one.grasps]
        if answer.result.status != answer.result.FOUND or not grasps:
            reasons = [answer.result.reason or answer.result.text, *(one.reason for one in objects)]
            self.feedback_message = f"{answer.result.status}: {'; '.join(filter(None, reasons))}"
            return Status.FAILURE
        best = max(grasps, key=lambda grasp: grasp.score)
        self._found.grasp = PoseStamped(header=answer.grasps.header, pose=best.pose), best.opening
        self.feedback_message = f"{len(grasps)} grasps"
        return Status.SUCCESS

    def terminate(self, new_status):
        if new_status is Status.INVALID and self._future is not None:
            self._future.cancel()


class Reach(py_trees.behaviour.Behaviour):
    """Publishes the grasp on the blackboard: `gripper_target` and `gripper_opening`."""

    def __init__(self, node):
        super().__init__("reach")
        self._target = node.create_publisher(PoseStamped, "gripper_target", 1)
        self._opening = node.create_publisher(Float64, "gripper_opening", 1)
        self._found = self.attach_blackboard_client(self.name)
        self._found.register_key("grasp", access=Access.READ)

    def update(self):
        target, opening = self._found.grasp
        self._opening.publish(Float64(data=opening))
        self._target.publish(target)
        return Status.SUCCESS


def pick_tree(node, thing, frame):
    """Looks up to `ATTEMPTS` times, since the next picture may show more; moves only for what was found."""
    find = py_trees.decorators.Retry("look again", FindGrasp(node, thing, frame), ATTEMPTS)
    return py_trees.composites.Sequence("pick", memory=True, children=[find, Reach(node)])


def run(node, tree, rate=20.0):
    """Ticks the tree until it has ended; returns its status."""
    while tree.status in (Status.INVALID, Status.RUNNING):
        rclpy.spin_once(node, timeout_sec=1.0 / rate)
        tree.tick_once()
    return tree.status


def main(thing, frame):
    rclpy.init()
    node = rclpy.create_node("pick_tree")
    tree = pick_tree(node, thing, frame)
    status = run(node, tree)
    print(py_trees.display.unicode_tree(tree, show_status=True))
    return 0 if status is Status.SUCCESS else tree.tip().feedback_message


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
