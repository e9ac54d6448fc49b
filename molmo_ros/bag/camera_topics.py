# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which topics of a bag are the camera's: by what the user says, else by type and name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from molmo_ros.bag.recorded_bag import BagError

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO, CLOUD = "sensor_msgs/msg/CameraInfo", "sensor_msgs/msg/PointCloud2"
UNNAMED = "camera"
"""Name of a camera that nobody named; the node's default."""
TRANSPORTS = ("compressed", "compressedDepth")


@dataclass(frozen=True)
class CameraTopics:
    """Names of topics; empty where there is none.

    Attributes:
        image: The pictures.
        depth: Depth, images or clouds.
        info: The pictures' calibration.
        depth_info: That of depth images, beside them.
    """

    image: str
    depth: str = ""
    info: str = ""
    depth_info: str = ""


def find_camera(
    topics: Mapping[str, str],
    *,
    image: str = "",
    depth: str = "",
    info: str = "",
    depth_info: str = "",
    camera: str = "",
) -> CameraTopics:
    """The topics of one camera.

    Args:
        topics: Type by name, of all topics of the bag.
        image, depth, info, depth_info: Topics that the user has named.
        camera: Name of the camera: a part of its topics' names (`wrist` of `/wrist/image`).

    Raises:
        BagError: There is no image topic, several could be meant, or a named one does not exist or is of another type.
    """
    for option, name, types in (
        ("--image", image, (IMAGE, COMPRESSED)),
        ("--depth", depth, (IMAGE, COMPRESSED, CLOUD)),
        ("--camera-info", info, (INFO,)),
        ("--depth-camera-info", depth_info, (INFO,)),
    ):
        if name:
            _require(topics, option, name, types)
    pictures = [
        name for name, kind in topics.items() if kind in (IMAGE, COMPRESSED) and not _is_derived(name)
    ]
    image = image or _image(pictures, camera)
    depths = [name for name in pictures if _is_depth(name) and name != image]
    infos = [name for name, kind in topics.items() if kind == INFO]
    depth = depth or _depth(depths, image) or _cloud(topics, image)
    info = info or _info(infos, image)
    return CameraTopics(image, depth, info, depth_info or _depth_info(infos, depth, info))


def colour_topics(topics: Mapping[str, str]) -> list[str]:
    """The topics of pictures, one for each camera: of several transports of the same the raw one.

    Args:
        topics: Type by name, of all topics of the bag.
    """
    chosen: dict[str, str] = {}
    for name in sorted(topics, key=len, reverse=True):
        if topics[name] in (IMAGE, COMPRESSED) and not _is_depth(name) and not _is_derived(name):
            chosen[_base(name)] = name
    return sorted(chosen.values())


def _require(topics: Mapping[str, str], option: str, name: str, types: Sequence[str]) -> None:
    if topics.get(name) in types:
        return
    candidates = ", ".join(sorted(one for one, kind in topics.items() if kind in types)) or "none"
    what = f"is a {topics[name]}" if name in topics else "is not in the bag"
    raise BagError(f"{option} {name} {what}; topics of type {' or '.join(types)}: {candidates}")


def _is_depth(name: str) -> bool:
    """By name; what lies directly in `stereo` is an OAK's depth: a pair's pictures lie in its `left` and `right`."""
    parts = _base(name).lower().split("/")
    return "depth" in name.lower() or parts[-2:-1] == ["stereo"]


def _is_derived(name: str) -> bool:
    """Whether it is the drawing of an earlier run."""
    return "annotated" in name.split("/")


def _base(name: str) -> str:
    """The topic without its transport."""
    head, tail = os.path.split(name)
    return head if tail in TRANSPORTS else name


def _image(pictures: Sequence[str], camera: str) -> str:
    colour = [name for name in pictures if not _is_depth(name)]
    if not colour:
        raise BagError(
            "the bag holds no topic with pictures (sensor_msgs/msg/Image or CompressedImage)"
            + (f", only depth: {', '.join(sorted(pictures))}" if pictures else "")
        )
    if camera:
        named = [name for name in colour if camera in name.split("/")]
        if not named and camera != UNNAMED:
            raise BagError(
                f"no topic of pictures is the camera {camera!r}'s; there are {', '.join(sorted(colour))}"
            )
        colour = named or colour
    return _one(colour, "--image", "pictures", ("color", "rgb"))


def _depth(depths: Sequence[str], image: str) -> str:
    """Depth beside the pictures first, then the depth of the same camera, then any."""
    beside = os.path.dirname(_base(image)) + "/depth"
    nearest = [name for name in depths if _base(name) == beside] or _closest(depths, image)
    return _one(nearest, "--depth", "depth", ("aligned", "registered")) if nearest else ""


def _cloud(topics: Mapping[str, str], image: str) -> str:
    """The cloud of the same camera, where there is no depth image; none where several could be meant."""
    clouds = [name for name, kind in topics.items() if kind == CLOUD and "molmo_node" not in name.split("/")]
    nearest = _closest(clouds, image)
    return nearest[0] if len(nearest) == 1 else ""


def _depth_info(infos: Sequence[str], depth: str, info: str) -> str:
    """REP-104: camera_info is beside depth, or below it as the node has it; not the pictures' own."""
    names = (f"{os.path.dirname(_base(depth))}/camera_info", f"{_base(depth)}/camera_info") if depth else ()
    return next((name for name in reversed(names) if name in infos and name != info), "")


def _info(infos: Sequence[str], image: str) -> str:
    """REP-104: camera_info is beside the pictures; else the only one there is."""
    beside = os.path.dirname(_base(image)) + "/camera_info"
    if beside in infos:
        return beside
    nearest = _closest([name for name in infos if not _is_depth(name)], image)
    return _one(nearest, "--camera-info", "calibrations", ()) if nearest else ""


def _closest(names: Sequence[str], image: str) -> list[str]:
    """Those that share most of the beginning of their names with the image's."""

    def shared(name: str) -> int:
        return len(os.path.commonprefix([name.split("/"), image.split("/")]))

    return [name for name in names if shared(name) == max(map(shared, names))]


def _one(names: Sequence[str], option: str, what: str, preferred: Sequence[str]) -> str:
    """The only one; of several the only preferred one; raw rather than compressed."""
    for part in preferred:
        names = [name for name in names if part in name.lower()] or names
    if len({_base(name) for name in names}) > 1:
        raise BagError(f"several topics hold {what}, choose with {option}: {', '.join(sorted(names))}")
    return min(names, key=len)
