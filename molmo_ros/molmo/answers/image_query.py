# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One query among those about the same image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from molmo_ros.molmo.answer import Asked, Point
from molmo_ros.molmo.pointing.moved_points import Move
from molmo_ros.molmo.running.generation import GenerateOptions


@dataclass(frozen=True)
class ImageQuery:
    """What is asked, and how far.

    Attributes:
        text: What is sent to the model as it is; empty where `asked` and `label` say it.
        asked: What its answer may mean: points at what `label` names, or their number, are asked for in the words that
            the model was trained on.
        label: What is asked for; of points that the model has not labelled, or not yet.
        options: Limits.
        max_points: Stop as soon as this many points are complete.
        cancel: Ends the query when set; the others go on.
        on_text: Called with each piece of text as it is decoded.
        on_point: Called with each point as it becomes complete.
        moves: Where points of the last answer to the same query about the same view are seen now, as far as something
            follows them: the next answer is guessed from it, and is the same whatever it says.
    """

    text: str = ""
    asked: Asked = Asked.ANYTHING
    label: str = ""
    options: GenerateOptions | None = None
    max_points: int | None = None
    cancel: threading.Event | None = None
    on_text: Callable[[str], None] | None = None
    on_point: Callable[[Point], None] | None = None
    moves: Sequence[Move] = ()
