# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One message of a bag, and many of several sources in the order of their log times."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2.metadata import parse_qos

from molmo_ros.molmo.errors import MolmoError

CDR = "cdr"
"""The encoding of ROS 2 messages; channels of other encodings (json, protobuf, ros1) hold something else."""
FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}


class BagError(MolmoError):
    """A bag cannot be read or written, or does not hold what is needed."""


class RecordedMessage(NamedTuple):
    """One message of a bag.

    Attributes:
        connection: Its topic and type.
        time: When it was recorded [ns].
        data: CDR.
    """

    connection: Connection
    time: int
    data: bytes


TimedMessages = tuple[int, Callable[[], Iterator[RecordedMessage]]]
"""Log time of the first message [ns], and what opens it; its messages are in order."""


def in_order(sources: Iterable[TimedMessages]) -> Iterator[RecordedMessage]:
    """All messages by log time. A source is opened when its time has come, so few are held at a time."""
    heads: list[tuple[int, int, RecordedMessage, Iterator[RecordedMessage]]] = []
    for number, (start, opened) in enumerate(sorted(sources, key=lambda source: source[0])):
        while heads and heads[0][0] < start:
            yield _advanced(heads)
        messages = opened()
        if (first := next(messages, None)) is not None:
            heapq.heappush(heads, (first.time, number, first, messages))
    while heads:
        yield _advanced(heads)


def _advanced(heads: list[tuple[int, int, RecordedMessage, Iterator[RecordedMessage]]]) -> RecordedMessage:
    """The first message; its source's next takes its place."""
    _, number, message, messages = heads[0]
    if (follower := next(messages, None)) is None:
        heapq.heappop(heads)
    else:
        heapq.heapreplace(heads, (follower.time, number, follower, messages))
    return message


def connection(
    number: int,
    topic: str,
    kind: str,
    encoding: str,
    *,
    definition: tuple[str, str] = ("", ""),
    qos: str = "",
) -> Connection:
    """A topic of a file, as rosbags describes it, with no message yet.

    Args:
        number: Its id in the file.
        kind: Type of its messages.
        encoding: How they are serialised.
        definition: Format ("ros2msg", "ros2idl") and text of the type's definition.
        qos: Offered QoS profiles as YAML; where they cannot be read there are none.
    """
    try:
        profiles = parse_qos(qos)
    except Exception:  # YAML of anything but what is expected
        profiles = []
    form, text = definition
    known = MessageDefinition(
        FORMATS.get(form, MessageDefinitionFormat.NONE), text if form in FORMATS else ""
    )
    return Connection(number, topic, kind, known, "", 0, ConnectionExtRosbag2(encoding, profiles), None)
