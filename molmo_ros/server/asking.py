# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a request asks the model, as its field `molmo` says it, and the words that the model gets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.families.wording import About, Wording
from molmo_ros.molmo.prompts.prompt_text import count_prompt, describe_prompt, place_label, point_prompt
from molmo_ros.server.request_error import bad_request

MOST_POINTS = 100_000
MOST_TILES = 1000


class AskingKind(Enum):
    """What is done with the words."""

    QUERY = "query"
    """They go to the model as they are; what the answer means is read from it."""
    ASK = "ask"
    """A question, as it is: the answer is words, and points only in tags."""
    POINT = "point"
    """Point at what they name, in the words that the model was trained on."""
    PLACE = "place"
    """Point where something could be put: "left of the mug"."""
    COUNT = "count"
    """How many there are, with a point on each."""
    DESCRIBE = "describe"
    """Describe what is seen; there are no words."""

    @property
    def takes_label(self) -> bool:
        """Whether what it is about may stand in `label`."""
        return self in (AskingKind.POINT, AskingKind.PLACE, AskingKind.COUNT)


_FIELDS = ("kind", "label", "max_points", "max_crops", "time_limit")


@dataclass(frozen=True)
class Asking:
    """What is asked of the model, whatever picture it is about.

    Attributes:
        kind: What is done with the words.
        words: The user's text, or the label.
        max_points: Stop after so many; None for all.
        max_crops: Most tiles that each picture is cut into; None for the server's own limit.
        time_limit: [s], of the whole query with its waiting; None for the server's own.
    """

    kind: AskingKind = AskingKind.QUERY
    words: str = ""
    max_points: int | None = None
    max_crops: int | None = None
    time_limit: float | None = None

    @property
    def asked(self) -> Asked:
        """What the answer may mean."""
        if self.kind is AskingKind.QUERY:
            return Asked.ANYTHING
        if self.kind in (AskingKind.POINT, AskingKind.PLACE):
            return Asked.POINTS
        return Asked.COUNT if self.kind is AskingKind.COUNT else Asked.WORDS

    @property
    def label(self) -> str:
        """Of points that the model has not labelled."""
        return self.words.strip() if self.kind.takes_label else ""

    def text(self, wording: Wording, about: About) -> str:
        """What the model reads.

        Raises:
            PromptError: The label is empty.
        """
        if self.kind is AskingKind.POINT:
            return point_prompt(self.words, wording, about)
        if self.kind is AskingKind.PLACE:
            return point_prompt(place_label(self.words), wording, about)
        if self.kind is AskingKind.COUNT:
            return count_prompt(self.words, wording, about)
        return describe_prompt(wording, about) if self.kind is AskingKind.DESCRIBE else self.words


def read_asking(field: Any, text: str, longest: float) -> Asking:
    """What a request asks.

    Args:
        field: The request's `molmo`; None where it has none, and the text is a query as it is.
        text: The words of its message.
        longest: The server's own limit [s].

    Raises:
        RequestError: 400: a field that is not known, a value that is none of its own, words twice or nowhere.
    """
    if field is None:
        field = {}
    if not isinstance(field, dict):
        raise bad_request(f"molmo is {field!r:.80}; it must be an object", "molmo")
    for name in field:
        if name not in _FIELDS:
            raise bad_request(
                f"molmo has no field {name!r:.80}; valid: {', '.join(_FIELDS)}", f"molmo.{name:.80}"
            )
    kind = _kind(field.get("kind", AskingKind.QUERY.value))
    return Asking(
        kind,
        _words(kind, field.get("label"), text),
        _whole(field.get("max_points"), "max_points", MOST_POINTS),
        _whole(field.get("max_crops"), "max_crops", MOST_TILES),
        _seconds(field.get("time_limit"), longest),
    )


def _kind(value: Any) -> AskingKind:
    kinds = [one.value for one in AskingKind]
    if not isinstance(value, str) or value not in kinds:
        raise bad_request(f"molmo.kind is {value!r:.80}; valid: {', '.join(kinds)}", "molmo.kind")
    return AskingKind(value)


def _words(kind: AskingKind, label: Any, text: str) -> str:
    """The label or the message's words, of which there is one and only one."""
    if label is not None and not kind.takes_label:
        raise bad_request(
            f"molmo.label goes with point, place and count, not with {kind.value}", "molmo.label"
        )
    if label is not None and not isinstance(label, str):
        raise bad_request(f"molmo.label is {label!r:.80}; it must be text", "molmo.label")
    if kind is AskingKind.DESCRIBE:
        if text.strip():
            raise bad_request(
                f"a description takes no words, and the message says {text!r:.80}; ask with kind query or ask",
                "messages",
            )
        return ""
    if label is not None and text.strip():
        raise bad_request(
            f"the message says {text!r:.80} and molmo.label {label!r:.80}; say it in one of them",
            "molmo.label",
        )
    words = text if label is None else label
    if not words.strip():
        where = (
            "the message has no text, and molmo has no label"
            if kind.takes_label
            else "the message has no text"
        )
        raise bad_request(f"{where}: nothing is asked", "messages")
    return words


def _whole(value: Any, name: str, most: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise bad_request(
            f"molmo.{name} is {value!r:.80}; it must be a whole number from 1 to {most}", f"molmo.{name}"
        )
    return value


def _seconds(value: Any, longest: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= longest:
        raise bad_request(
            f"molmo.time_limit is {value!r:.80} s; it must be above 0 and up to {longest:g}",
            "molmo.time_limit",
        )
    return float(value)
