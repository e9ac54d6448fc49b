# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which topics of the graph are a camera's, where the user has named none or others."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rclpy.node import Node

from molmo_ros.bag.camera_topics import CameraTopics, find_camera
from molmo_ros.bag.recorded_bag import BagError

DISCOVERY = 3.0
"""How long publishers are waited for [s]."""
SETTLED = 0.7
"""How long after the first camera's topic the others may still appear [s]."""


def published(node: Node) -> dict[str, str]:
    """Type by name of the topics that others publish."""
    return {
        name: types[0]
        for name, types in node.get_topic_names_and_types()
        if any(one.node_name != node.get_name() for one in node.get_publishers_info_by_topic(name))
    }


def camera_topics(topics: Mapping[str, str], image: str = "", camera: str = "") -> CameraTopics:
    """The topics of a camera, by type and name; without names where none, or several, could be meant.

    Args:
        topics: Type by name.
        image: The pictures', where they are known.
        camera: The camera's name.
    """
    try:
        return find_camera(topics, image=image if image in topics else "", camera=camera)
    except BagError:
        return CameraTopics(image)


def pictures(topics: Mapping[str, str]) -> list[str]:
    """All topics with raw pictures or depth."""
    return sorted(name for name, kind in topics.items() if kind == "sensor_msgs/msg/Image")


def await_camera(node: Node) -> CameraTopics:
    """The topics of the only camera there is, once they have been discovered."""
    deadline = time.monotonic() + DISCOVERY
    while time.monotonic() < deadline:
        if camera_topics(published(node)).image:
            time.sleep(SETTLED)
            break
        time.sleep(0.1)
    return camera_topics(published(node))
