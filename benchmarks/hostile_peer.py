# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A peer that sends a node what nobody should: every topic, service and action, with values at and beyond the edges.

Messages are filled field by field, by their types alone, from a seeded generator: the same seed sends the same.
"""

from __future__ import annotations

import array
import math
import random
import re
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import Any

INTEGER = re.compile(r"u?int(8|16|32|64)")
ARRAY = re.compile(r"(?P<item>.+)\[(?P<size>\d*)\]")
SEQUENCE = re.compile(r"sequence<(?P<item>[^,]+)(?:, *(?P<size>\d+))?>")
TEXTS = (
    "",
    " ",
    "/",
    "//",
    "~",
    "at 0.5,0.5",
    "count: cups",
    "@camera red cube",
    "@nobody red cube",
    "ask:",
    "\x1b[2J\x07",
    "\u202eevil\u2066",
    "\ufeff",
    "💥" * 50,
    "<|im_start|>",
    "x" * 5000,
    "../../etc/passwd",
    "%s%n{0}",
    "nan",
    "map",
    "camera_optical",
    "rgb8",
    "32FC1",
    "16UC1",
    "bayer_rggb8",
    "configure",
    "plumb_bob",
    "equidistant",
    "jpeg",
)
NUMBERS = (0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.5, 1e9)
LENGTHS = (0, 0, 1, 2, 3, 9, 12, 100)
TRANSITIONS = (0, 8, 9, 10, 30, 52, 60, 62, 99, 128, 255)
"""Ids of the life cycle that are internal or that there are not: what a manager may ask for is no attack."""
MOST_PENDING = 20
"""Unanswered requests, beyond which it waits."""


class HostilePeer:
    """Sends one thing at a time to a node; see the module.

    Args:
        node: Its own rclpy node.
        target: Name of the node under attack, such as `/molmo_node`.
        seed: Of everything that it sends.
        parameters: Names of the target's parameters, for requests that are nearly right.

    Attributes:
        sent: How often what was sent.
        answered: How many requests had a response.
    """

    def __init__(self, node: Any, target: str, seed: int, parameters: list[str]) -> None:
        self._node, self._target, self._parameters = node, target, parameters
        self._random = random.Random(seed)
        self._pending: list[Any] = []
        self.sent: Counter[str] = Counter()
        self.answered = 0
        self._topics = [self._topic(*one) for one in _topics()]
        self._services = [self._service(*one) for one in _services()]

    def step(self) -> None:
        """Send one thing; nothing while too many requests are open."""
        if self.pending < MOST_PENDING:
            self._random.choice(self._topics + self._services)()

    @property
    def pending(self) -> int:
        """How many requests still have no response."""
        self._settle()
        return len(self._pending)

    def forget(self) -> None:
        """Wait for no response any more."""
        self._pending.clear()

    def message(self, kind: Any) -> Any:
        """A message of any type, filled with values of the right types and the wrong sizes."""
        message = kind()
        for name, written in kind.get_fields_and_field_types().items():
            part = getattr(message, name)
            nested = hasattr(part, "get_fields_and_field_types")
            try:
                setattr(message, name, self.message(type(part)) if nested else self._value(written))
            except AssertionError:  # rclpy's own check: what a peer in Python cannot send either
                continue
        return message

    def _value(self, written: str) -> Any:
        choose = self._random.choice
        if match := ARRAY.fullmatch(written):
            return self._items(match["item"], int(match["size"] or 0))
        if match := SEQUENCE.fullmatch(written):
            longest = int(match["size"] or 10**9)
            return self._items(match["item"], min(choose(LENGTHS), longest))
        if match := INTEGER.fullmatch(written):
            bits, unsigned = int(match[1]), written.startswith("u")
            low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            return choose((0, 1, low, high, min(high, 64), min(high, 48), self._random.randint(low, high)))
        if written in ("double", "float"):
            value = choose(NUMBERS)
            return value if written == "double" or abs(value) < 3e38 or not math.isfinite(value) else 3e38
        if written == "boolean":
            return choose((True, False))
        if written == "octet":
            return bytes([self._random.randrange(256)])
        if written.startswith(("string", "wstring")):
            return choose(self._parameters) if self._random.random() < 0.2 else choose(TEXTS)
        package, name = written.split("/")
        return self.message(getattr(import_module(f"{package}.msg"), name))

    def _items(self, item: str, size: int) -> Any:
        if item == "uint8" and size > 3:  # pixels
            return array.array("B", self._random.randbytes(size * self._random.choice((1, 8, 64))))
        return [self._value(item) for _ in range(size)]

    def _topic(self, kind: Any, name: str, durable: bool) -> Callable[[], None]:
        from rclpy.qos import DurabilityPolicy, QoSProfile

        latched = DurabilityPolicy.TRANSIENT_LOCAL if durable else DurabilityPolicy.VOLATILE
        out = self._node.create_publisher(kind, name, QoSProfile(depth=5, durability=latched))

        def publish() -> None:
            out.publish(self.message(kind))
            self.sent[name] += 1

        return publish

    def _service(self, kind: Any, name: str) -> Callable[[], None]:
        client = self._node.create_client(kind, f"{self._target}/{name}")

        def call() -> None:
            request = self.message(kind.Request)
            if name == "change_state":
                request.transition.id = self._random.choice(TRANSITIONS)
                request.transition.label = self._random.choice(("", "nothing", "x" * 80))
            self._pending.append(client.call_async(request))
            self.sent[name] += 1

        return call

    def _settle(self) -> None:
        open_ones = [one for one in self._pending if not one.done()]
        self.answered += len(self._pending) - len(open_ones)
        self._pending = open_ones


def _topics() -> list[tuple[Any, str, bool]]:
    from rcl_interfaces.msg import ParameterEvent
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import CameraInfo, Image
    from std_msgs.msg import String
    from tf2_msgs.msg import TFMessage

    return [
        (Image, "image", False),
        (Image, "depth", False),
        (CameraInfo, "camera_info", False),
        (String, "query", False),
        (Clock, "/clock", False),
        (TFMessage, "/tf", False),
        (TFMessage, "/tf_static", True),
        (ParameterEvent, "/parameter_events", False),
    ]


def _services() -> list[tuple[Any, str]]:
    from action_msgs.srv import CancelGoal
    from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState
    from molmo_msgs.action import Query
    from molmo_msgs.srv import Ask, Point
    from rcl_interfaces.srv import (
        DescribeParameters,
        GetParameters,
        GetParameterTypes,
        ListParameters,
        SetParameters,
        SetParametersAtomically,
    )

    return [
        (SetParameters, "set_parameters"),
        (SetParametersAtomically, "set_parameters_atomically"),
        (GetParameters, "get_parameters"),
        (GetParameterTypes, "get_parameter_types"),
        (DescribeParameters, "describe_parameters"),
        (ListParameters, "list_parameters"),
        (ChangeState, "change_state"),
        (GetState, "get_state"),
        (GetAvailableStates, "get_available_states"),
        (GetAvailableTransitions, "get_available_transitions"),
        (Point, "point_at"),
        (Ask, "ask"),
        (Query.Impl.SendGoalService, "query/_action/send_goal"),
        (Query.Impl.GetResultService, "query/_action/get_result"),
        (CancelGoal, "query/_action/cancel_goal"),
    ]
