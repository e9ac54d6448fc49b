# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What people ask for, and how they write it on the `query` topic and in the `queries` parameter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from molmo_ros.molmo.prompts.clean_text import clean_text

MAX_QUERY_CHARS = 4096
"""Longer queries are refused: no prompt of a person is this long, and the prefill would take minutes."""
MAX_LABELS = 64
"""More labels in one query are refused."""
MAX_CONTINUOUS = 64
"""More continuous queries are refused: they would take minutes to come round."""


class Kind(str, Enum):
    """What is asked of the model. The value is the wire format.

    Attributes:
        points: Whether it is about things or places, each named by a label, that have points; else one question, for
            words.
    """

    points: bool

    def __new__(cls, value: str, points: bool = True) -> Kind:
        kind = str.__new__(cls, value)
        kind._value_, kind.points = value, points
        return kind

    POINT = "point", True
    ASK = "ask", False
    COUNT = "count", True
    PLACE = "place", True


class QueryError(ValueError):
    """A query that cannot be asked."""


@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        kind: What to do with the texts; None where the query was refused before it was understood.
        texts: The labels to point at or to count, the places to put something, or the one question.
        written: What was written, for the result.
        camera: Name of the camera to look at; empty where none was named.
    """

    kind: Kind | None
    texts: tuple[str, ...]
    written: str
    camera: str = ""

    @property
    def points(self) -> bool:
        """See `Kind`."""
        return self.kind is not None and self.kind.points


def parse_query(written: str) -> Query:
    """Read a query.

    `point: red cube`, `ask: what is left of the mug`, `count: cubes` and `place: left of the mug` force a kind. Without
    a prefix a text that ends with `?` is a question, and any other text is a thing to point at; a leading "point to" is
    understood and left out. `@wrist red cube` is about the camera `wrist`.

    Raises:
        QueryError: The query is empty or longer than `MAX_QUERY_CHARS`.
    """
    _check_length(written)
    text, camera = clean_text(written), ""
    if named := re.match(r"@(\S+)\s*", text):
        camera, text = named[1], text[named.end() :]
    kind = Kind.ASK if text.endswith("?") else Kind.POINT
    for forced in Kind:
        prefix = f"{forced.value}:"
        if text.lower().startswith(prefix):
            kind, text = forced, text[len(prefix) :].strip()
            break
    if kind is Kind.POINT and (text.lower() + " ").startswith("point to "):
        text = text[len("point to") :].strip()
    if not text:
        raise QueryError("the query is empty")
    return Query(kind, (text,), written, camera)


def continuous_queries(written: Sequence[str]) -> tuple[Query, ...]:
    """The queries of the parameter `queries`, each once, in their order; empty texts are none.

    Raises:
        QueryError: One cannot be asked, or there are more than `MAX_CONTINUOUS`.
    """
    if len(written) > MAX_CONTINUOUS:
        raise QueryError(f"there are {len(written)} queries, at most {MAX_CONTINUOUS} are accepted")
    return _parsed(tuple(written))


@lru_cache(maxsize=8)  # they are looked at with every frame, and set once
def _parsed(written: tuple[str, ...]) -> tuple[Query, ...]:
    return tuple({text: parse_query(text) for text in written if text.strip()}.values())


def structured_query(kind: str, prompt: str, labels: list[str], camera: str) -> Query:
    """A query of a service or an action.

    Args:
        kind: "point", "count", "place" or "ask"; empty means point where there are labels, and otherwise what the
            prompt looks like, see `parse_query`.
        prompt: The question, or what to point at.
        labels: What to point at or to count, or where to put something.
        camera: Name of the camera; empty for the first.

    Raises:
        QueryError: There is nothing to ask, or too much.
    """
    if kind and kind not in {one.value for one in Kind}:
        valid = ", ".join(one.value for one in Kind)
        raise QueryError(f"kind is {kind[:40]!r}; valid: {valid}, or empty")
    if len(labels) > MAX_LABELS:
        raise QueryError(f"the query has {len(labels)} labels, at most {MAX_LABELS} are accepted")
    if kind and not Kind(kind).points and labels:
        raise QueryError("a question takes a prompt and no labels")
    if labels and prompt:
        raise QueryError("the query has a prompt and labels; it takes one of them")
    for text in labels or [prompt]:
        _check_length(text)
        if not clean_text(text):
            raise QueryError("the query is empty" if not labels else "a label of the query is empty")
    if not labels and not kind:
        parsed = parse_query(prompt)
        return Query(parsed.kind, parsed.texts, prompt, camera or parsed.camera)
    texts = tuple(clean_text(text) for text in labels or [prompt])
    return Query(Kind(kind or Kind.POINT.value), texts, ", ".join(texts), camera)


def _check_length(text: str) -> None:
    if len(text) > MAX_QUERY_CHARS:
        raise QueryError(f"the query has {len(text)} characters, at most {MAX_QUERY_CHARS} are accepted")
