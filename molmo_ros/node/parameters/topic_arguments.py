# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The arguments that name topics, of the launch file and of the camera check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TOPIC_ARGUMENTS = {
    "image": ("image", ("compressed",)),
    "depth": ("depth", ("compressedDepth", "compressed")),
    "depth_camera_info": ("depth/camera_info", ()),
    "points": ("points", ()),
    "camera_info": ("camera_info", ()),
}
"""By argument: the node's topic, and its transports, each of which is a topic of its own."""


def remappings(values: Mapping[str, str], cameras: Sequence[str]) -> list[tuple[str, str]]:
    """From the node's topics to those of the arguments.

    A topic of image_transport, such as image/compressed, is one of its own and goes where its image goes.

    Args:
        values: Of all arguments, by name.
        cameras: Names of the cameras; empty where none are named.

    Raises:
        ValueError: A topic does not say which camera's it is.
    """
    pairs: list[tuple[str, str]] = []
    for argument, (topic, transports) in TOPIC_ARGUMENTS.items():
        wanted = values[argument]
        if "{camera}" in wanted and not cameras:
            raise ValueError(
                f"{argument}:={wanted} is refused: the argument cameras must say for which cameras"
            )
        if len(cameras) > 1 and wanted == topic:  # not given: NAME/image and so on, as the node has them
            continue
        if len(cameras) > 1 and "{camera}" not in wanted:
            raise ValueError(
                f"{argument}:={wanted} is refused: of several cameras it must contain {{camera}}"
            )
        for camera in cameras or [""]:
            own = f"{camera}/{topic}" if len(cameras) > 1 else topic
            source = wanted.replace("{camera}", camera)
            pairs.append((own, source))
            pairs += [(f"{own}/{transport}", f"{source}/{transport}") for transport in transports]
    return pairs
