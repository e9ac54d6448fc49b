# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What ros_gz_bridge takes from a world to ROS: its command line, and its configuration file."""

from __future__ import annotations

from typing import NamedTuple

from molmo_ros.gazebo.release import Release
from molmo_ros.gazebo.world_file import World

POSES = "/gazebo/poses"
"""Where the places of objects come."""
IMAGES = ("image", "depth_image")


def frame_of(model: str) -> str:
    """The frame of a model's pose in ROS: ros_gz writes `outer/inner` for a nested model's `outer::inner`."""
    return model.replace("::", "/")


class BridgedTopic(NamedTuple):
    """A topic from Gazebo to ROS, with its type there and without the release's prefix here."""

    gz_topic: str
    ros_topic: str
    ros_type: str
    gz_type: str


def bridged_topics(world: World) -> list[BridgedTopic]:
    """The clock, each camera's three topics, and the places of what tells its own: cameras' are transforms."""
    topics = [BridgedTopic("/clock", "/clock", "rosgraph_msgs/msg/Clock", "Clock")]
    for camera in world.cameras:
        for part in IMAGES:
            topic = f"/{camera.topic}/{part}"
            topics.append(BridgedTopic(topic, topic, "sensor_msgs/msg/Image", "Image"))
        topic = f"/{camera.topic}/camera_info"
        topics.append(BridgedTopic(topic, topic, "sensor_msgs/msg/CameraInfo", "CameraInfo"))
    told = {camera.model: "/tf" for camera in world.cameras if camera.publishes_pose}
    told |= {one.name: POSES for one in world.objects if one.publishes_pose}
    for model, topic in told.items():
        scoped = f"/model/{model.replace('::', '/model/')}/pose"
        topics.append(BridgedTopic(scoped, topic, "tf2_msgs/msg/TFMessage", "Pose_V"))
    return topics


def bridge_arguments(world: World, release: Release) -> tuple[list[str], list[tuple[str, str]]]:
    """The command line of `parameter_bridge`, and the remappings that its node takes besides."""
    topics = bridged_topics(world)
    named = [f"{one.gz_topic}@{one.ros_type}[{release.messages}.{one.gz_type}" for one in topics]
    return named, [(one.gz_topic, one.ros_topic) for one in topics if one.gz_topic != one.ros_topic]


def bridge_yaml(world: World, release: Release) -> str:
    """The file that `parameter_bridge` takes as its parameter `config_file`."""
    lines = [f"# What ros_gz_bridge takes from the world {world.name!r} to ROS; made of its SDF file."]
    for topic in bridged_topics(world):
        lines += [
            f"- gz_topic_name: {topic.gz_topic}",
            f"  ros_topic_name: {topic.ros_topic}",
            f"  ros_type_name: {topic.ros_type}",
            f"  gz_type_name: {release.messages}.{topic.gz_type}",
            "  direction: GZ_TO_ROS",
        ]
    return "\n".join(lines) + "\n"
