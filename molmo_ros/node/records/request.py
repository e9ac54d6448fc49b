# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A query on its way through the node: who asked, under which limits, and whom to tell."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from molmo_ros.node.records.progress import Progress
from molmo_ros.node.records.query import Kind, Query

if TYPE_CHECKING:
    from molmo_msgs.msg import GraspArray, ObjectPointArray
    from sensor_msgs.msg import Image


class Source(str, Enum):
    """Who asked, the most urgent first. The value is the wire format."""

    ACTION = "action"
    SERVICE = "service"
    TOPIC = "topic"
    CONTINUOUS = "continuous"

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return list(Source).index(self)


@dataclass(frozen=True)
class QueryLimits:
    """Limits of one request; 0 means what the node's parameter of the same name says.

    Attributes:
        time_limit: Longest time for the answer [s].
        max_frame_age: Oldest accepted image [s].
    """

    max_points: int = 0
    max_new_tokens: int = 0
    min_confidence: float = 0.0
    time_limit: float = 0.0
    max_frame_age: float = 0.0


@dataclass(eq=False)
class Request:
    """One query that waits for its answer.

    Attributes:
        query: What is asked.
        source: Who asked.
        limits: Its limits.
        target_frame: Frame of the positions; empty means what the parameter says.
        image: A sensor_msgs/Image that came with it, looked at instead of a camera; else None.
        regions: Whether the object at each point is wanted, too.
        grasps: Whether ways to take hold of it are.
        on_progress: Called in the worker's thread with each piece of the answer, see `records.progress.Progress`.
        on_grasps: Called once, before `on_outcome`, where grasps are wanted and the model was asked.
        on_outcome: Called once, with what came of it.
        id: Unique.
        cancel: Ends it when set: at once while it waits, else before the next token.
        preempted: Set by the queue where a more urgent one took its place: it was cancelled and is asked again.
    """

    query: Query
    source: Source
    limits: QueryLimits = field(default_factory=QueryLimits)
    target_frame: str = ""
    image: Image | None = None
    regions: bool = False
    grasps: bool = False
    on_progress: Callable[[Progress], None] | None = None
    on_grasps: Callable[[GraspArray], None] | None = None
    on_outcome: Callable[[ObjectPointArray], None] | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    cancel: threading.Event = field(default_factory=threading.Event)
    preempted: bool = False

    @property
    def wants_objects(self) -> bool:
        """Whether its answer waits for the objects at its points, or for the room at its places."""
        return self.regions or self.grasps or self.query.kind is Kind.PLACE

    @property
    def continuous(self) -> bool:
        return self.source is Source.CONTINUOUS
