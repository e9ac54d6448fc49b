# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One question on its way to the model and back, seen from both threads: the client's and the model's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.server.asking import Asking
from molmo_ros.server.request_error import RequestError
from molmo_ros.server.sent_picture import SentPicture


@dataclass(frozen=True)
class FinishedJob:
    """What came of it.

    Attributes:
        answer: The model's.
        prompt_tokens: Of the images and the words.
        cached_tokens: Of these, tokens of images that had been encoded before.
        sizes: (height, width) of each picture that points are in [px].
        notes: What was assumed about the pictures.
    """

    answer: Answer
    prompt_tokens: int
    cached_tokens: int
    sizes: tuple[tuple[int, int], ...]
    notes: tuple[str, ...] = ()


JobEvent = str | Point | FinishedJob | RequestError
"""A piece of text, a point that is complete, the end of it, or why there is none."""


@dataclass(frozen=True, eq=False)
class ModelJob:
    """A question that waits or is answered.

    Attributes:
        pictures: What it is about.
        asking: What is asked.
        deadline: On the clock of `time.monotonic` [s].
        deliver: Called with each event, from the model's thread; the last one is a `FinishedJob` or a `RequestError`.
        max_tokens: Longest answer; None for the usual.
        stream: Whether pieces and points are wanted before the end.
        cancel: Set where nobody waits for it any more.
        arrived: When it came [s].
    """

    pictures: tuple[SentPicture, ...]
    asking: Asking
    deadline: float
    deliver: Callable[[JobEvent], None] = field(repr=False)
    max_tokens: int | None = None
    stream: bool = False
    cancel: threading.Event = field(default_factory=threading.Event)
    arrived: float = field(default_factory=time.monotonic)

    @property
    def image_key(self) -> tuple[int | None, bytes]:
        """The same for questions that one encoding of the same pictures can answer."""
        return self.asking.max_crops, b"".join(picture.digest for picture in self.pictures)
