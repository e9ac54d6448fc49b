# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Transforms between frames from a bag's /tf and /tf_static."""

from __future__ import annotations

import logging
from typing import Any

from rosbags.typesys import Stores, get_typestore

from molmo_ros.geometry.frame_names import plain, shown
from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError
from molmo_ros.geometry.transform_buffer import TransformBuffer
from molmo_ros.node.records import frame

LOG = logging.getLogger(__name__)
MOVING, STATIC = "/tf", "/tf_static"


class RecordedTransforms:
    """Looks up what was added; the messages need no tf2_msgs to be installed."""

    def __init__(self) -> None:
        self._buffer = TransformBuffer()
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._warned: set[tuple[str, str]] = set()

    def add(self, data: bytes, static: bool) -> None:
        """Add what a tf2_msgs/TFMessage says.

        Args:
            data: The message as CDR.
            static: It comes from /tf_static.
        """
        message: Any = self._types.deserialize_cdr(data, "tf2_msgs/msg/TFMessage")
        for stamped in message.transforms:
            t, q = stamped.transform.translation, stamped.transform.rotation
            parent, child = plain(stamped.header.frame_id), plain(stamped.child_frame_id)
            try:
                parent_from_child = RigidTransform((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
                self._buffer.set(parent, child, frame.stamp_ns(stamped.header), parent_from_child, static)
            except TransformError as error:
                if (parent, child) not in self._warned:
                    self._warned.add((parent, child))
                    LOG.warning("ignored a transform of %s in %s: %s", shown(child), shown(parent), error)

    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, patience_s: float
    ) -> RigidTransform:
        """As `TransformSource.lookup`; nothing is waited for.

        Raises:
            TransformError: There is none at that time; the message says why.
        """
        target, source = plain(target_frame), plain(source_frame)
        try:
            return self._buffer.lookup(target, source, stamp_ns)
        except TransformError as error:
            raise TransformError(
                f"no transform from {shown(source)} to {shown(target)} at the image's stamp: {error}"
            ) from error

    def parents(self) -> dict[str, str]:
        """All frames that are known, by their children's names."""
        return self._buffer.parents()
