# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is used of an installed ROS, and what of it stands in here where only ROS's pip wheels are.

The wheels bring rclpy and messages; cv_bridge, tf2_ros, vision_msgs, moveit_msgs and bondpy come with apt or a
workspace. Each is looked for once, when it is first asked for. Packages of the same names on PyPI are ROS 1's or
unrelated, so a library counts only if it has what is used of it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from types import ModuleType


@dataclass(frozen=True)
class _Library:
    """What is used of a library: (module, attribute) pairs; what serves without it; a further check."""

    used: tuple[tuple[str, str], ...]
    stand_in: str
    check: Callable[[], None] = lambda: None


# Two pixels through everything that a picture goes through.
_CONVERT = """
from types import SimpleNamespace
from cv_bridge import CvBridge
message = SimpleNamespace(height=1, width=2, encoding="bgr8", is_bigendian=0, step=6, data=bytes(range(6)))
assert CvBridge().imgmsg_to_cv2(message, "rgb8").tolist() == [[[2, 1, 0], [5, 4, 3]]]
"""


def _convert_in_a_child() -> None:
    """Convert a picture in a process of its own: built for another numpy, cv_bridge crashes instead of raising."""
    child = subprocess.run([sys.executable, "-c", _CONVERT], capture_output=True, text=True, timeout=60)
    if child.returncode < 0:
        raise RuntimeError(f"converting a picture ends the process with signal {-child.returncode}")
    if child.returncode:
        raise RuntimeError((child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1])


def _load_type_support(message: type) -> None:
    """Fails where the message's compiled half does not load, built for another release of ROS: publishers need it."""
    if load := getattr(type(message), "__import_type_support__", None):
        load()


def _hypothesis_is_nested() -> None:
    messages = import_module("vision_msgs.msg")
    if "hypothesis" not in messages.ObjectHypothesisWithPose.get_fields_and_field_types():
        raise AttributeError("ObjectHypothesisWithPose has no hypothesis: vision_msgs 4 or newer is needed")
    _load_type_support(messages.Detection2DArray)


def _objects_have_a_pose() -> None:
    message = import_module("moveit_msgs.msg").CollisionObject
    if "pose" not in message.get_fields_and_field_types():
        raise AttributeError("CollisionObject has no pose: moveit_msgs of Humble or newer is needed")
    _load_type_support(message)


_LIBRARIES = {
    "cv_bridge": _Library((("cv_bridge", "CvBridge"),), "own conversion", _convert_in_a_child),
    "tf2_ros": _Library(
        (
            ("tf2_ros", "Buffer.wait_for_transform_async"),  # ROS 1's has none
            ("tf2_ros", "TransformListener"),
            ("tf2_ros", "TransformException"),
        ),
        "own buffer",
    ),
    "vision_msgs": _Library(
        (("vision_msgs.msg", "Detection2DArray"), ("vision_msgs.msg", "Detection3DArray")),
        "no detections",
        _hypothesis_is_nested,
    ),
    "moveit_msgs": _Library(
        (("moveit_msgs.msg", "CollisionObject"), ("shape_msgs.msg", "SolidPrimitive")),
        "no collision objects",
        _objects_have_a_pose,
    ),
    "bondpy": _Library((("bondpy.bondpy", "Bond"),), "no bond"),
}


def module(name: str) -> ModuleType | None:
    """A library of the installed ROS, with the submodules that are used of it; None where it cannot be used.

    Args:
        name: cv_bridge, tf2_ros, vision_msgs, moveit_msgs or bondpy.

    Raises:
        KeyError: Another name. Nothing else, however broken the installation.
    """
    return _load(name)[0]


def summary() -> str:
    """One line for the log: where each library comes from, and why not from ROS."""
    lines = []
    for name, library in _LIBRARIES.items():
        loaded, reason = _load(name)
        lines.append(f"{name}: from ROS" if loaded else f"{name}: {library.stand_in} ({reason})")
    return "; ".join(lines)


@cache
def _load(name: str) -> tuple[ModuleType | None, str]:
    """The library, or None and the reason."""
    library = _LIBRARIES[name]
    try:
        if name not in sys.modules and find_spec(name) is None:
            return None, "not installed"
        library.check()
        for path, attribute in library.used:
            attrgetter(attribute)(import_module(path))
        return import_module(name), ""
    except Exception as error:  # a broken installation may raise anything
        text = " ".join(str(error).split())[:160]
        return None, f"installed, but {type(error).__name__}: {text}"
