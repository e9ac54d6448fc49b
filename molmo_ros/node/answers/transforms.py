# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Transforms between frames at an image's time, from /tf and /tf_static.

With tf2_ros, which every installed ROS has, its buffer is used; with tf2_msgs alone, the package's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import yaml
from geometry_msgs.msg import Transform, TransformStamped
from rclpy.callback_groups import CallbackGroup
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from std_msgs.msg import Header

from molmo_ros.geometry.frame_names import plain, shown
from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError
from molmo_ros.geometry.transform_buffer import TransformBuffer
from molmo_ros.node import installed_ros
from molmo_ros.node.records.frame import PastTime, stamp_ns

if TYPE_CHECKING:
    from tf2_msgs.msg import TFMessage

QUEUED = 100
"""Messages that the middleware holds for each topic, as tf2's listener does."""
AHEAD = 1.0
"""So much later than now a transform may be stamped after a jump of the clock [s]: localisation dates its own ahead."""
WARNED_EVERY = 10.0
"""How often ignored transforms are logged [s]."""


class Transforms:
    """Listens to the transforms of a robot.

    The executor's callbacks store them; `lookup` is called from another thread, or it would wait for callbacks
    that cannot run.

    Args:
        node: Whose executor runs the subscriptions' callbacks.
        callback_group: Theirs; tf2_ros takes a reentrant one of its own instead.
    """

    def __init__(self, node: Node, callback_group: CallbackGroup | None = None) -> None:
        self._listener = _listen(node, callback_group)

    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, patience_s: float
    ) -> RigidTransform:
        """As `TransformSource.lookup`; the identity, at once, for a frame in itself.

        Raises:
            TransformError: There is none at that time; the message says why.
        """
        target, source = plain(target_frame), plain(source_frame)
        if not source:
            raise TransformError("the image's header names no frame")
        if target == source:
            return RigidTransform()
        wanted = f"no transform from {shown(source)} to {shown(target)}"
        if self._listener is None:
            raise TransformError(
                f"{wanted}: neither tf2_ros nor tf2_msgs is installed; install ros-$ROS_DISTRO-tf2-ros, or "
                f"leave target_frame empty for points in {shown(source)}"
            )
        if stamp_ns == 0:  # tf2 would take it for "the latest", which is where the camera is now
            raise TransformError(f"{wanted}: the image has no stamp")
        try:
            return self._listener.lookup(target, source, stamp_ns, patience_s)
        except TransformError as error:
            raise TransformError(f"{wanted} at the image's stamp: {error}") from error

    def parents(self) -> dict[str, str]:
        """All frames that are known, by their children's names."""
        return self._listener.parents() if self._listener else {}

    def clear(self, by: int = 0) -> None:
        """Forget the moving frames, because the clock jumped. Those of /tf_static stay.

        Args:
            by: How far it went back [ns]: what comes late from before is not used. 0 where another clock took over.
        """
        if self._listener:
            self._listener.clear(by)

    def close(self) -> None:
        """End the subscriptions."""
        if self._listener:
            self._listener.close()
            self._listener = None


class _Listener(Protocol):
    def lookup(self, target: str, source: str, stamp_ns: int, patience_s: float) -> RigidTransform: ...
    def parents(self) -> dict[str, str]: ...
    def clear(self, by: int) -> None: ...
    def close(self) -> None: ...


def _listen(node: Node, group: CallbackGroup | None) -> _Listener | None:
    """The best listener that is installed; None where there is none."""
    if tf2_ros := installed_ros.module("tf2_ros"):
        return _Tf2Listener(tf2_ros, node)
    try:
        from tf2_msgs.msg import TFMessage

        return _TopicListener(TFMessage, node, group)
    except ImportError:
        return None


class _Present:
    """Refuses moving transforms of the time before the clock went back, whenever they come."""

    def __init__(self, node: Node) -> None:
        self._now: Callable[[], int] = lambda: int(node.get_clock().now().nanoseconds)
        self._past: PastTime | None = None

    def jumped(self, by: int) -> None:
        """The clock went back by so much [ns]; 0 where another one took over."""
        if by > 0:
            self._past = PastTime(self._now(), by, self._past, AHEAD)

    def refuses(self, header: Header) -> bool:
        """Whether a transform with this header is of the time before."""
        return self._past is not None and self._past.holds(stamp_ns(header), self._now())


class _Tf2Listener:
    """The buffer and the listener of tf2_ros."""

    def __init__(self, tf2_ros: Any, node: Node) -> None:
        self._failure = tf2_ros.TransformException
        self._buffer, self._present = tf2_ros.Buffer(), _Present(node)
        take = self._buffer.set_transform

        def take_present(transform: TransformStamped, authority: str) -> None:
            if not self._present.refuses(transform.header):
                take(transform, authority)

        self._buffer.set_transform = take_present  # what its listener calls
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    def lookup(self, target: str, source: str, stamp_ns: int, patience_s: float) -> RigidTransform:
        try:
            stamped = self._buffer.lookup_transform(
                target, source, Time(nanoseconds=stamp_ns), Duration(nanoseconds=int(patience_s * 1e9))
            )
        except self._failure as error:
            # tf2 gives no reason, only ", when looking up ...", for a frame that it knows but has no data of.
            reason = str(error).strip()
            unsaid = "a frame between them has no data" if reason.startswith(",") else ""
            raise TransformError(unsaid + reason) from error
        return _from_message(stamped.transform)

    def parents(self) -> dict[str, str]:
        try:  # "{}" or "[]" where nothing is known
            frames = dict(yaml.safe_load(self._buffer.all_frames_as_yaml()) or {})
        except yaml.YAMLError:  # tf2 does not quote the names
            return {}
        return {str(child): about["parent"] for child, about in frames.items()}

    def clear(self, by: int) -> None:
        self._present.jumped(by)
        self._buffer.clear()

    def close(self) -> None:
        self._listener.unregister()


class _TopicListener:
    """Own subscriptions, into the package's own buffer."""

    def __init__(self, message_type: type[TFMessage], node: Node, group: CallbackGroup | None) -> None:
        self._node, self._buffer, self._present = node, TransformBuffer(), _Present(node)
        # The qualities of tf2's listener: every broadcaster is reliable, and a lost transform is a gap.
        moving = QoSProfile(depth=QUEUED, reliability=ReliabilityPolicy.RELIABLE)
        static = QoSProfile(
            depth=QUEUED,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        self._subscriptions = [
            node.create_subscription(message_type, "/tf", self._on_moving, moving, callback_group=group),
            node.create_subscription(
                message_type, "/tf_static", self._on_static, static, callback_group=group
            ),
        ]

    def lookup(self, target: str, source: str, stamp_ns: int, patience_s: float) -> RigidTransform:
        return self._buffer.wait(target, source, stamp_ns, patience_s)

    def parents(self) -> dict[str, str]:
        return self._buffer.parents()

    def clear(self, by: int) -> None:
        self._present.jumped(by)
        self._buffer.clear()

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _on_moving(self, message: TFMessage) -> None:
        self._store(message, static=False)

    def _on_static(self, message: TFMessage) -> None:
        self._store(message, static=True)

    def _store(self, message: TFMessage, static: bool) -> None:
        for stamped in message.transforms:
            if not static and self._present.refuses(stamped.header):
                continue
            parent, child = plain(stamped.header.frame_id), plain(stamped.child_frame_id)
            try:
                parent_from_child = _from_message(stamped.transform)
                self._buffer.set(parent, child, stamp_ns(stamped.header), parent_from_child, static)
            except TransformError as error:
                self._node.get_logger().warning(
                    f"ignored a transform of {shown(child)} in {shown(parent)}: {error}",
                    throttle_duration_sec=WARNED_EVERY,
                )


def _from_message(transform: Transform) -> RigidTransform:
    """From a geometry_msgs/Transform."""
    t, q = transform.translation, transform.rotation
    return RigidTransform((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
