# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The objects as MoveIt's planning scene takes them, where moveit_msgs is installed: added, moved and removed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import Pose, Vector3
from molmo_msgs.msg import ObjectPoint, ObjectPointArray
from std_msgs.msg import Header

from molmo_ros.node import installed_ros
from molmo_ros.node.messages.object_regions import has_box_3d
from molmo_ros.node.messages.point_messages import position_header
from molmo_ros.node.records.query_names import plain_name

if TYPE_CHECKING:
    from moveit_msgs.msg import CollisionObject

SAME_SIZE_M, SAME_SIZE_SHARE = 0.01, 0.1
"""An object whose box changes by less is moved; else it is added anew, which replaces it."""


@dataclass
class _Known:
    """What the planning scene was told of an object.

    Attributes:
        size: Of its box [m].
        header: With which it was told last.
        query: Which asked for it.
        continuous: Whether that is a continuous query.
        seen: When it was last in a picture [ns].
    """

    size: Vector3
    header: Header
    query: str
    continuous: bool
    seen: int

    def is_same(self, header: Header, size: Vector3) -> bool:
        """Whether the planning scene's object only moves."""
        pairs = zip((self.size.x, self.size.y, self.size.z), (size.x, size.y, size.z), strict=True)
        return self.header.frame_id == header.frame_id and all(
            math.isclose(a, b, rel_tol=SAME_SIZE_SHARE, abs_tol=SAME_SIZE_M) for a, b in pairs
        )


class CollisionObjects:
    """What a planning scene has been told of the objects, and what to tell it next. For one thread.

    An object is called after its query's name, or else its label, and its track: `red_cube_3`; with several cameras the
    camera's name comes first. Where nothing is tracked, the objects of a query are numbered as they stand in its
    answer: `red_cube_1` is then the first of each answer, which need not be the same object.

    Args:
        several: Whether there are several cameras, whose objects may have the same name and number.
    """

    def __init__(self, several: bool = False) -> None:
        self._several = several
        self._known: dict[str, _Known] = {}

    def __len__(self) -> int:
        return len(self._known)

    def seen(self, array: ObjectPointArray, now: int) -> list[CollisionObject]:
        """Objects in a picture: added where they are new or have another size, else moved.

        Args:
            array: Points with their objects.
            now: The node's time [ns].
        """
        names = {state.query: state.topic for state in array.queries}
        numbers: Counter[str] = Counter()
        told, header = [], position_header(array)
        for point in array.points:
            query = point.query or array.query
            name = names.get(query) or plain_name(point.label) or "object"
            numbers[name] += 1
            if not has_box_3d(point):
                continue
            camera = array.camera if self._several else ""
            identity = "_".join(filter(None, (camera, name, str(point.track_id or numbers[name]))))
            before = self._known.get(identity)
            if before is not None and before.is_same(header, point.box_size):
                before.header, before.seen = header, now
                told.append(_message(identity, header, "MOVE", point.box_pose))
            else:
                continuous = array.source == ObjectPointArray.CONTINUOUS
                self._known[identity] = _Known(point.box_size, header, query, continuous, now)
                told.append(_added(identity, header, point))
        return told

    def gone(self, now: int, patience: float, queries: Collection[str]) -> list[CollisionObject]:
        """Objects to be removed: not seen for so long, or of queries that are asked no more.

        Args:
            now: The node's time [ns].
            patience: How long an object may be unseen [s].
            queries: The continuous queries, as they were written.
        """
        gone = []
        for identity, one in list(self._known.items()):
            one.seen = min(one.seen, now)  # the clock went back
            unasked = one.continuous and one.query not in queries
            if unasked or (now - one.seen) * 1e-9 > patience:
                gone.append(self._removed(identity))
        return gone

    def clear(self) -> list[CollisionObject]:
        """All objects, to be removed."""
        return [self._removed(identity) for identity in list(self._known)]

    def forget(self) -> None:
        """A planning scene that was told nothing listens now, or none does any more."""
        self._known.clear()

    def _removed(self, identity: str) -> CollisionObject:
        return _message(identity, self._known.pop(identity).header, "REMOVE", Pose())


def message_type() -> type[CollisionObject] | None:
    """What these are; None where moveit_msgs is not installed, or too old."""
    package = installed_ros.module("moveit_msgs")
    return None if package is None else package.msg.CollisionObject


def _added(identity: str, header: Header, point: ObjectPoint) -> CollisionObject:
    from shape_msgs.msg import SolidPrimitive

    size = point.box_size
    message = _message(identity, header, "ADD", point.box_pose)
    box = SolidPrimitive()
    box.type, box.dimensions = SolidPrimitive.BOX, [size.x, size.y, size.z]
    message.primitives, message.primitive_poses = [box], [Pose()]  # in the object's own frame
    return message


def _message(identity: str, header: Header, operation: str, pose: Pose) -> Any:
    from moveit_msgs.msg import CollisionObject

    message = CollisionObject()
    message.header, message.id, message.pose = header, identity, pose
    message.operation = getattr(CollisionObject, operation)
    return message
