# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a server says about an answer, piece by piece, held against what such servers say."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from molmo_ros.remote.server_error import ServerError, Trouble

LONGEST_LINE = 1 << 20
"""Bytes of one event."""
LONGEST_STREAM = 256 << 20
"""Bytes of all events of one answer: twenty candidates for each of several thousand tokens take some tens of them."""
OWN_FIELD = "molmo"
"""Where `molmo-ros serve` takes what is asked, and says what it knows of an answer beyond its text."""
_LONGEST_WORD = 400


@dataclass(frozen=True)
class TokenChances:
    """One token of an answer, and what could have come in its place.

    Attributes:
        text: The token's.
        probability: Its own.
        others: Texts of the likeliest tokens there with their probabilities, itself among them mostly.
    """

    text: str
    probability: float
    others: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class AnswerChunk:
    """A piece of an answer.

    Attributes:
        text: Of the answer.
        chances: Of its tokens; None where the server tells none.
        finish: Why the answer ended, in the server's word; "" before.
        tokens: How many tokens the answer has; None where it is not told.
        model: What the server calls the model that answers; "" where it does not say.
        own: What `molmo-ros serve` adds.
    """

    text: str = ""
    chances: tuple[TokenChances, ...] | None = None
    finish: str = ""
    tokens: int | None = None
    model: str = ""
    own: dict[str, Any] | None = None


class EventReader:
    """Server-sent events, from bytes in any pieces to answer chunks.

    Attributes:
        done: Whether the server has said that no more will come.
    """

    def __init__(self) -> None:
        self.done = False
        self._rest, self._read = bytearray(), 0

    def feed(self, data: bytes) -> Iterator[AnswerChunk]:
        """Takes the next bytes.

        Raises:
            ServerError: They are no such events.
        """
        self._read += len(data)
        self._rest += data
        lines: list[bytes] = []
        if b"\n" in data:
            whole, _, rest = self._rest.rpartition(b"\n")
            lines, self._rest = bytes(whole).split(b"\n"), rest
        if len(self._rest) > LONGEST_LINE or self._read > LONGEST_STREAM:
            raise nonsense(f"sends more than an answer takes ({self._read / 1e6:.0f} MB and no end)")
        for line in lines:
            yield from self._line(line.rstrip(b"\r"))

    def finish(self) -> Iterator[AnswerChunk]:
        """The connection has ended; its last line may lack an end."""
        rest, self._rest = bytes(self._rest), bytearray()
        yield from self._line(rest.rstrip(b"\r"))

    def _line(self, line: bytes) -> Iterator[AnswerChunk]:
        if self.done or not line.startswith(b"data:"):
            return  # comments, names and numbers of events
        data = line[5:].strip()
        if data == b"[DONE]":
            self.done = True
        elif data:
            yield parse_chunk(data)


def parse_chunk(data: bytes) -> AnswerChunk:
    """One event of a stream, or a whole answer.

    Raises:
        ServerError: It is none, or it tells of an error.
    """
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        if data.lstrip().startswith(b'{"error"'):  # transformers' server does not escape what it quotes there
            raise failed(data.decode(errors="replace")) from None
        raise nonsense(f"sends {_quoted(data.decode(errors='replace'))}, which is no JSON") from None
    if not isinstance(event, dict):
        raise nonsense(f"sends {_quoted(event)} where an answer should be")
    if event.get("error"):
        raise failed(error_text(event))
    choices, usage = event.get("choices"), event.get("usage")
    if not isinstance(choices, list) or not all(isinstance(one, dict) for one in choices):
        raise nonsense(f"sends {_quoted(event)}, an answer without choices")
    choice: dict[str, Any] = choices[0] if choices else {}
    said = choice.get("delta") or choice.get("message") or {}
    text = said.get("content") if isinstance(said, dict) else said
    if not isinstance(text, (str, type(None))):
        raise nonsense(f"sends {_quoted(text)} where text should be")
    finish, model, own = choice.get("finish_reason"), event.get("model"), choice.get(OWN_FIELD)
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return AnswerChunk(
        text or "",
        _chances(choice.get("logprobs")),
        finish if isinstance(finish, str) else "",
        tokens if type(tokens) is int and tokens >= 0 else None,
        model if isinstance(model, str) else "",
        own if isinstance(own, dict) else None,
    )


def _chances(logprobs: Any) -> tuple[TokenChances, ...] | None:
    """The tokens' chances; None where any of them is not as it should be, as they are not needed."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return None
    try:
        return tuple(
            TokenChances(
                one["token"] + "",
                _probability(one["logprob"]),
                tuple(
                    (other["token"] + "", _probability(other["logprob"]))
                    for other in one.get("top_logprobs") or ()
                ),
            )
            for one in content
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _probability(logarithm: Any) -> float:
    value = math.exp(min(float(logarithm), 0.0))
    if math.isnan(value):
        raise ValueError("not a number")
    return value


def error_text(body: Any) -> str:
    """What a server says went wrong, from the places where servers write it; "" where it says nothing."""
    for key in ("error", "detail", "message"):
        if isinstance(body, dict) and body.get(key):
            inner = body[key]
            return error_text(inner) or _quoted(inner) if isinstance(inner, (dict, list)) else _quoted(inner)
    return ""


def nonsense(what: str) -> ServerError:
    """The server does something that no such server does; the address is put before it."""
    return ServerError(Trouble.NONSENSE, what)


def failed(what: str) -> ServerError:
    """The server tells of an error in the middle of an answer."""
    return ServerError(Trouble.FAILED, f"has failed while it answered: {_quoted(what)}")


def _quoted(value: Any) -> str:
    """Text of anyone, short, in one line, with nothing that a terminal would obey."""
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    shown = "".join(one if one.isprintable() else " " for one in text[: 2 * _LONGEST_WORD])
    shown = " ".join(shown.split())
    return f"'{shown[:_LONGEST_WORD]}{' …' if len(shown) > _LONGEST_WORD else ''}'"
