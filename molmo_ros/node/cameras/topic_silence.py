# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Why nothing comes on a topic, as far as the graph of nodes knows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.utilities import get_rmw_implementation_identifier

from molmo_ros.node.fast_dds import installed_fast_dds

if TYPE_CHECKING:  # since Lyrical it lies in another module
    from rclpy.topic_endpoint_info import TopicEndpointInfo

MOST_NAMED = 4
"""How many topics or nodes a reason names."""
SHARED_MEMORY = Path("/dev/shm")


def silence(node: Node, subscription: Subscription) -> str:
    """What is known of a subscription on which nothing has come, and what cures it.

    Args:
        node: An rclpy node.
        subscription: One of its subscriptions.
    """
    topic, wanted = subscription.topic_name, type_name(subscription.msg_type)
    infos = node.get_publishers_info_by_topic(topic)
    if not infos:
        return f"nobody publishes it{_elsewhere(node, topic, wanted)}"
    matching = [info for info in infos if info.topic_type == wanted]
    if not matching:
        types = ", ".join(sorted({info.topic_type for info in infos})[:MOST_NAMED])
        return f"{_names(infos)} it as {types}, and {wanted} is wanted{_elsewhere(node, topic, wanted)}"
    refused = [
        reason
        for compatible, reason in (
            qos_check_compatible(info.qos_profile, subscription.qos_profile) for info in matching
        )
        if compatible == QoSCompatibility.ERROR
    ]
    if len(refused) == len(matching):
        text = " ".join(refused[0].removeprefix("ERROR: ").split()).rstrip(";")
        return f"{_names(matching)} it with other qualities of service ({text}): see the parameters qos_overrides"
    return (
        f"{_names(matching)} it, but nothing has been sent, or nothing gets here"
        f"{_of_a_bridge(matching)}{_of_another_user()}"
    )


def type_name(kind: Any) -> str:
    """A message type as the graph calls it, such as `sensor_msgs/msg/Image`."""
    package, _, rest = kind.__module__.partition(".")
    return f"{package}/{rest.split('.')[0]}/{kind.__name__}"


def _names(infos: list[TopicEndpointInfo]) -> str:
    names = sorted({f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos})
    return f"{', '.join(names[:MOST_NAMED])} publish{'es' if len(names) == 1 else ''}"


def _of_a_bridge(infos: list[TopicEndpointInfo]) -> str:
    """What a simulator needs to send something: its bridge publishes a topic, whether there is such a sensor or not."""
    if not any("bridge" in info.node_name for info in infos):
        return ""
    return (
        ": is there a sensor with the <topic> that the bridge names in the world, has the world the plugin of the "
        "system Sensors, and does it run?"
    )


def _elsewhere(node: Node, topic: str, wanted: str) -> str:
    """Where messages of the wanted type are to be had."""
    others = [
        name
        for name, types in node.get_topic_names_and_types()
        if wanted in types
        and name != topic
        and any(
            info.topic_type == wanted and info.node_name != node.get_name()
            for info in node.get_publishers_info_by_topic(name)
        )
    ]
    if not others:
        return ""
    return f"; {wanted} is published on {', '.join(sorted(others)[:MOST_NAMED])}: remap it, -r image:=TOPIC"


def _of_another_user() -> str:
    """What FastDDS says nothing about: shared memory that it cannot open. It may be somebody else's, or of a process
    that is no more, so it is named beside other causes."""
    if "fastrtps" not in get_rmw_implementation_identifier():
        return ""
    try:
        owners = {path.stat().st_uid for path in SHARED_MEMORY.glob(installed_fast_dds().shared_memory)}
    except OSError:
        return ""
    if not (others := sorted(owners - {os.getuid()})):
        return ""
    return (
        f"; there is shared memory of user {others[0]} here, which user {os.getuid()} may not use: if that one "
        "publishes, run both as one user, or let both use a FastDDS profile without shared memory"
    )
