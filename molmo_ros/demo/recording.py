# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes the run as an MCAP file, which Foxglove, PlotJuggler and `ros2 bag` open."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from rclpy.serialization import serialize_message
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from molmo_ros.bag.message_definition import message_types, type_name

PROFILE_VERSION: Final = 9


class Recording:
    """An open MCAP recording; a context manager, so that the file is complete however the run ends.

    Args:
        folder: Replaced where it exists. The file in it is called as the folder, with `.mcap`.
    """

    def __init__(self, folder: Path):
        if folder.exists():
            shutil.rmtree(folder)
        self.path = folder / f"{folder.name}.mcap"
        self._writer = Writer(folder, version=PROFILE_VERSION, storage_plugin=StoragePlugin.MCAP)
        # Simulated pictures compress well: a fifth of the size.
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> Recording:
        self._writer.open()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._writer.close()

    def write(self, topic: str, message: Any, time_ns: int) -> None:
        """Adds one ROS message.

        Args:
            topic: Full name.
            message: Of any installed type.
            time_ns: When it was received [ns since the epoch].
        """
        if topic not in self._connections:
            kind = type(message)
            self._connections[topic] = self._writer.add_connection(
                topic, type_name(kind), typestore=message_types(kind)
            )
        self._writer.write(self._connections[topic], time_ns, serialize_message(message))
