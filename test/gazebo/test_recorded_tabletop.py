# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What `launch/gazebo.launch.py` gives the node for the tabletop, with pictures of it that Gazebo rendered.

The player publishes them as Gazebo does: its clock, the frame of a sensor without a tag, SDF's default calibration.
The node has no other arguments than those that the launch file computes; TF comes as from the pose publisher.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tf2_msgs")

from builtin_interfaces.msg import Time  # noqa: E402
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from molmo_ros.gazebo.launch_plan import plan_launch  # noqa: E402
from molmo_ros.gazebo.question_list import QuestionList  # noqa: E402
from molmo_ros.gazebo.release import HARMONIC  # noqa: E402
from molmo_ros.geometry.rigid_transform import RigidTransform  # noqa: E402

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from world_user import WorldUser  # noqa: E402

ROOT = HERE.parents[1]
QUESTIONS = QuestionList.read(HERE / "tabletop.yaml", ROOT / "gazebo", HARMONIC)
PLAN = plan_launch(QUESTIONS.path, HARMONIC)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PLAYER = ["--default-k", "--frame-id", "camera/link/rgbd"]


def stamped(parent, child, parent_from_child, now=0.0):
    header = Header(frame_id=parent, stamp=Time(sec=int(now), nanosec=int(now % 1 * 1e9)))
    transform = Transform(
        translation=Vector3(**dict(zip("xyz", parent_from_child.translation, strict=True))),
        rotation=Quaternion(**dict(zip("xyzw", parent_from_child.rotation, strict=True))),
    )
    return TransformStamped(header=header, child_frame_id=child, transform=transform)


class PosePublishers:
    """The bridge's part of TF and poses: the camera at 50 Hz of simulated time, the objects at 10 Hz."""

    def __init__(self, user):
        self.user, self.last, self.moved = user, -1.0, {}
        self.tf = user.node.create_publisher(TFMessage, "/tf", 100)
        self.poses = user.node.create_publisher(TFMessage, "/gazebo/poses", 100)
        self.fixed = user.node.create_publisher(TFMessage, "/tf_static", LATCHED)
        self.fixed.publish(TFMessage(transforms=[stamped(*one) for one in PLAN.transforms]))
        user.node.create_timer(0.01, self.tell)

    def tell(self):
        if 0 <= self.user.now - self.last < 0.02:
            return
        self.last = self.user.now
        world, camera = QUESTIONS.world, QUESTIONS.camera
        place = stamped(world.name, camera.model, camera.world_from_model, self.last)
        self.tf.publish(TFMessage(transforms=[place]))
        for one in world.objects:
            if one.publishes_pose:
                place = stamped(
                    world.name, one.name, self.moved.get(one.name, one.world_from_model), self.last
                )
                self.poses.publish(TFMessage(transforms=[place]))


def arguments(plan):
    """The node's command line for what the launch file gives to molmo.launch.py."""
    given = dict(plan.molmo)
    remappings = {topic: given.pop(topic) for topic in ("image", "depth", "camera_info")}
    words = [word for name, topic in remappings.items() for word in ("-r", f"{name}:={topic}")]
    given["camera_matrix"] = f"[{given['camera_matrix']}]"
    return words + [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]


@pytest.fixture(scope="module")
def user(domain):
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain), "PYTHONPATH": str(ROOT)}
    player = ROOT / "test" / "node" / "gazebo_player.py"
    node = [sys.executable, "-m", "molmo_ros.node.process", "--ros-args", *arguments(PLAN)]
    user = WorldUser(QUESTIONS, domain)
    played = subprocess.Popen(
        [sys.executable, str(player), *PLAYER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    asked = subprocess.Popen(node, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    user.publishers = PosePublishers(user)
    try:
        assert played.stdout.readline() == b"ready\n"
        assert user.spin(lambda: set(QUESTIONS.queries) < set(user.poses), 30)
        assert user.answer("red cube", patience=150).status == "FOUND"  # loading takes long on a busy machine
        yield user
    finally:
        for process in (asked, played):
            process.kill()
            process.communicate()
        user.close()


@pytest.mark.parametrize("name", QUESTIONS.queries)
def test_each_object_is_found_where_it_is(user, name):
    assert user.faults(name) == []


@pytest.mark.parametrize("name", QUESTIONS.queries)
def test_fingers_close_on_what_stands_there(user, name):
    """The best grasp against the true shape: its width, and room for the open fingers on both sides."""
    user.answer(QUESTIONS.queries[name])
    offered = user.response(QUESTIONS.queries[name], grasps=True).grasps
    assert offered.header.frame_id == "tabletop"
    grasp = max(offered.objects[0].grasps, key=lambda one: one.score)
    place, turn = grasp.pose.position, grasp.pose.orientation
    world_from_hand = RigidTransform((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))
    one = QUESTIONS.world.object_named(name)
    model_from_hand = one.world_from_model.inverse() @ world_from_hand
    away = 0.2
    reached = []  # from the middle to the surface on either side, along the fingers' way
    for side in (1.0, -1.0):
        start = model_from_hand.apply(np.array([[0.0, side * away, 0.0]]))[0]
        inward = model_from_hand.rotate(np.array([[0.0, -side, 0.0]]))
        reached.append(away - one.solids[0].hit(start, inward)[0])
    assert sum(reached) == pytest.approx(grasp.width, abs=0.006)
    assert max(reached) < grasp.opening / 2


@pytest.mark.parametrize("words", QUESTIONS.absent)
def test_what_is_not_there_is_not_found(user, words):
    result = user.answer(words)
    assert (result.status, len(result.points)) == ("NOT_FOUND", 0)


def test_the_truth_is_what_the_pose_publishers_say(user):
    """Not what the file says: where Gazebo moved the cube, an answer about the old picture is wrong."""
    x, y, z = QUESTIONS.world.object_named("red_cube").world_from_model.translation
    user.publishers.moved["red_cube"] = RigidTransform((x, y - 0.1, z))
    assert user.spin(lambda: user.poses["red_cube"].translation[1] < y - 0.05, 10)
    faults = user.faults("red_cube")
    assert "is on table, not on red_cube" in faults[0] and "off the surface of red_cube" in faults[1]
