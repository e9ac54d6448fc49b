# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The new bag: what the node would have published, as an MCAP file with the definitions of its messages."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from rclpy.duration import Duration
from rclpy.serialization import serialize_message
from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinitionFormat,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from molmo_ros.bag.message_definition import message_types, type_name
from molmo_ros.bag.recorded_bag import BagError, RecordedMessage
from molmo_ros.node.seams.publishing import Publisher

LOG = logging.getLogger(__name__)
NODE = "/molmo_node"
PROFILE_VERSION: Final = 8
"""The last one whose QoS profiles are numbers: Humble reads no others, and newer ROS reads both."""
FOREVER = QosTime(9223372036, 854775807)
"""How rosbag2 writes an infinite duration."""


class ResultBag:
    """A bag that is being written; stands for the node that `Outputs` publishes with.

    It is written under another name and appears under its own when it is closed, also where the run ended early. A
    process that is killed leaves the other file, an MCAP file without its end, which `mcap recover` completes.

    Args:
        path: The .mcap file.
        force: Replace it where it exists.
        without: Topics that nobody wants, such as `~/annotated`.

    Attributes:
        time: Log time of what is published next [ns].

    Raises:
        BagError: The file exists or cannot be written; also while it is written.
    """

    def __init__(self, path: Path, *, force: bool = False, without: tuple[str, ...] = ()) -> None:
        if path.suffix != ".mcap":
            raise BagError(f"--out {path} must end with .mcap")
        if path.is_dir() or (path.exists() and not force):
            raise BagError(f"{path} exists" + ("" if path.is_dir() else "; --force replaces it"))
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise BagError(f"{path} cannot be written: {path.parent} is no folder, or is not writable")
        self.path, self.time = path, 0
        self._without, self._empty = without, True
        self._copies: dict[int, Connection | None] = {}
        self._topics: set[str] = set()

    def __enter__(self) -> ResultBag:
        path = self.path
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=f"{path.stem}.part-", dir=path.parent))
            self._writer = Writer(
                self._folder / path.stem, version=PROFILE_VERSION, storage_plugin=StoragePlugin.MCAP
            )
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(self, *_exception: object) -> None:
        """Completes the file however the run ended, so that what was done can be read."""
        try:
            self._writer.close()
            if not self._empty:
                written = self._folder / self.path.stem / f"{self.path.stem}.mcap"
                written.replace(self.path)
            shutil.rmtree(self._folder)
        except OSError as error:
            raise self._unwritable(error) from error

    def create_publisher(self, kind: type, name: str, depth: int, /) -> Publisher:
        """A publisher to a topic of the node's, such as `~/result`; reliable, as the node's are."""
        topic = name.replace("~", NODE, 1)
        if name in self._without:
            return _Publisher(self, topic, None)
        self._topics.add(topic)
        qos = _qos(depth)
        types, written = message_types(kind), type_name(kind)
        return _Publisher(
            self,
            topic,
            self._writer.add_connection(topic, written, typestore=types, offered_qos_profiles=[qos]),
        )

    def destroy_publisher(self, publisher: Publisher, /) -> None:
        """Nothing: its topic stays in the bag."""

    def copy(self, message: RecordedMessage) -> None:
        """Add a message of another bag as it is; those of topics that are written here are left out."""
        source = message.connection
        if source.id not in self._copies:
            self._copies[source.id] = self._copied(source)
        if (connection := self._copies[source.id]) is not None:
            self.write(connection, message.time, message.data)

    def write(self, connection: Connection, time: int, data: bytes) -> None:
        """Add a serialised message."""
        try:
            self._writer.write(connection, time, data)
            self._empty = False
        except OSError as error:
            raise self._unwritable(error) from error

    def _copied(self, source: Connection) -> Connection | None:
        if source.topic in self._topics:
            LOG.warning("%s of the bag is not copied: the new results are written to it", source.topic)
            return None
        definition, extra = source.msgdef, source.ext
        assert isinstance(extra, ConnectionExtRosbag2)
        types = message_types()
        if definition.format is MessageDefinitionFormat.MSG:
            types = get_typestore(Stores.EMPTY)
            types.register(get_types_from_msg(definition.data, source.msgtype))
        if source.msgtype not in types.fielddefs:
            LOG.warning(
                "%s is not copied: the bag has no .msg definition of %s", source.topic, source.msgtype
            )
            return None
        return self._writer.add_connection(
            source.topic,
            source.msgtype,
            typestore=types,
            offered_qos_profiles=extra.offered_qos_profiles,
        )

    def _unwritable(self, error: OSError) -> BagError:
        return BagError(f"{self.path} cannot be written: {error.strerror or error}")


class _Publisher:
    """A topic of the new bag; what `Outputs` knows of a publisher.

    Attributes:
        topic_name: The topic.
    """

    def __init__(self, bag: ResultBag, topic: str, connection: Connection | None) -> None:
        self.topic_name: str = topic
        self._bag, self._connection = bag, connection

    def publish(self, message: Any) -> None:
        if self._connection is not None:
            self._bag.write(self._connection, self._bag.time, serialize_message(message))

    def get_subscription_count(self) -> int:
        return int(self._connection is not None)

    def wait_for_all_acked(self, timeout: Duration) -> bool:
        return True


def _qos(depth: int) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE,
        QosDurability.VOLATILE,
        FOREVER,
        FOREVER,
        QosLiveliness.AUTOMATIC,
        FOREVER,
        avoid_ros_namespace_conventions=False,
    )
