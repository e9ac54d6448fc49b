# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How the hand and the camera are told what to do, in standard messages: the topics, and what their fields mean.

A command is carried out as a whole before the next one, and answered on the topic beside it by a message with the
command's own stamp, once it is there or can go no further.
"""

from __future__ import annotations

from geometry_msgs.msg import Pose, PoseStamped
from sensor_msgs.msg import JointState

from molmo_ros.geometry import RigidTransform

MOVE, MOVED = "hand/move", "hand/pose"
"""PoseStamped: go straight there; where it has come to. In the frame `WORLD_FRAME` of the camera's transform."""
SET_FINGERS, FINGERS_SET = "hand/set_fingers", "hand/fingers"
"""JointState with one position, the distance between the pads [m]; on the way back also the effort, how hard they press
[N]."""
TURN, TURNED = "camera/turn", "camera/turned"
"""JointState with one position: how far the camera is turned about the table's vertical, from where it first stood
[rad]; the answer comes when it stands there."""
FINGER_JOINT, CAMERA_JOINT = "fingers", "camera"
HAND_FRAME = "hand"
"""On /tf while it moves, in the world."""


def pose_message(transform: RigidTransform) -> Pose:
    """A pose of the transform's source frame in its target frame."""
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = transform.translation
    rotation = pose.orientation
    rotation.x, rotation.y, rotation.z, rotation.w = transform.rotation
    return pose


def pose_transform(pose: Pose) -> RigidTransform:
    """The inverse of `pose_message`.

    Raises:
        TransformError: The pose holds values that are not finite, or a quaternion that is not of unit length.
    """
    place, turn = pose.position, pose.orientation
    return RigidTransform((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))


def move_command(frame_id: str, target_from_hand: RigidTransform) -> PoseStamped:
    """An unstamped command to go somewhere."""
    command = PoseStamped(pose=pose_message(target_from_hand))
    command.header.frame_id = frame_id
    return command


def joint_command(joint: str, position: float) -> JointState:
    """An unstamped command: the fingers' opening [m], or the camera's turn [rad]."""
    return JointState(name=[joint], position=[position])
