"""What people write on the `query` topic, and what is asked of the model for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MAX_QUERY_CHARS = 4096
"""Longer queries are refused: no prompt of a person is this long, and the prefill would take minutes."""


class Kind(str, Enum):
    """What is asked of the model."""

    POINT = "point"
    ASK = "ask"
    COUNT = "count"


class QueryError(ValueError):
    """A query that cannot be asked."""


@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        kind: What to do with the text.
        text: The label to point at or to count, or the question.
        written: What was written, for the result.
        continuous: Whether it comes from the `query` parameter, not from the topic.
    """

    kind: Kind
    text: str
    written: str
    continuous: bool = False


def parse_query(written: str, *, continuous: bool = False) -> Query:
    """Read a query.

    `point: red cube`, `ask: what is left of the mug` and `count: cubes` force a kind. Without a prefix a
    text that ends with `?` is a question, and any other text is a thing to point at; a leading
    "point to" is understood and left out.

    Raises:
        QueryError: The query is empty or longer than `MAX_QUERY_CHARS`.
    """
    if len(written) > MAX_QUERY_CHARS:
        raise QueryError(f"the query has {len(written)} characters, at most {MAX_QUERY_CHARS} are accepted")
    text = written.strip()
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
    return Query(kind, text, written, continuous)
