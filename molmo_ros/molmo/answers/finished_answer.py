# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An answer once its last token has come: what became of the query, and why."""

from __future__ import annotations

from collections import Counter

from molmo_ros.molmo.answer import Answer, Asked
from molmo_ros.molmo.answers.answer_stream import AnswerStream
from molmo_ros.molmo.images.crop_budget import CropChoice
from molmo_ros.molmo.pointing.points import ParsedPoints
from molmo_ros.molmo.running.generation import Generation, StopReason
from molmo_ros.molmo.status import Status

ENDED_EARLY = {StopReason.CANCELLED: Status.CANCELLED, StopReason.TIME_LIMIT: Status.TIMEOUT}
"""What became of queries that the caller ended."""
LIMITS = {
    StopReason.MAX_NEW_TOKENS: "max_new_tokens",
    StopReason.CONTEXT: "context",
    StopReason.TIME_LIMIT: "time_limit",
    StopReason.SATISFIED: "max_points",
}
"""What `Answer.limit` calls the limits that end answers."""


def finished_answer(
    stream: AnswerStream,
    parsed: ParsedPoints,
    generation: Generation,
    asked: Asked,
    timing_ms: dict[str, float],
    crops: CropChoice | None,
) -> Answer:
    """The answer.

    Args:
        stream: What its tokens went through.
        parsed: What its text says.
        generation: Its tokens, and why they ended.
        asked: What it answers.
        timing_ms: Wall time of each stage [ms].
        crops: The limit that the images were cut under.
    """
    tokens, confidence = len(generation.token_ids), stream.confidence
    return Answer(
        status=status_of(generation.stop, parsed, asked),
        text=stream.text.strip(),
        points=parsed.points,
        truncated=is_cut(generation.stop, parsed),
        limit=LIMITS.get(generation.stop, ""),
        count=parsed.count,
        timing_ms=timing_ms,
        tokens=tokens,
        passes=generation.passes,
        error=sentence_of(generation.stop, parsed, asked, tokens),
        not_found_probability=None if confidence is None else confidence.not_found,
        calibrated=confidence is not None and confidence.calibrated,
        crops=crops,
    )


def status_of(stop: StopReason, parsed: ParsedPoints, asked: Asked) -> Status:
    """The status of an answer.

    Args:
        stop: Why generation ended.
        parsed: What its text says.
        asked: What it answers.
    """
    if stop in ENDED_EARLY:
        return ENDED_EARLY[stop]
    if parsed.points:
        return Status.FOUND
    if parsed.not_found and asked is not Asked.WORDS:
        return Status.NOT_FOUND
    if asked is Asked.POINTS or (asked is Asked.COUNT and parsed.count is None):
        return Status.UNPARSEABLE
    return Status.ANSWERED


def is_cut(stop: StopReason, parsed: ParsedPoints) -> bool:
    """Whether the text of an answer is not whole."""
    if stop is StopReason.SATISFIED:
        return False  # it is as long as it was asked to be
    return stop is not StopReason.EOS or parsed.truncated


def sentence_of(stop: StopReason, parsed: ParsedPoints, asked: Asked, tokens: int) -> str:
    """`Answer.error` of an answer of so many tokens: why it is not what was asked for, and what ended it."""
    reasons = []
    if status_of(stop, parsed, asked) is Status.UNPARSEABLE:
        reasons.append(parsed.doubt or "the answer holds neither points nor a 'not found'")
    places = Counter((point.image, point.x, point.y) for point in parsed.points)
    if repeated := len(parsed.points) - len(places):
        reasons.append(
            f"{repeated} of {len(parsed.points)} points are where another one is: the model has repeated itself"
        )
    if stop in LIMITS:
        reasons.append(f"{LIMITS[stop]} ended the answer after {tokens} tokens")
    return "; ".join(reasons)
