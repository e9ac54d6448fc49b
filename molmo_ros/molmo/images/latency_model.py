# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How long a query takes on this machine: a few coefficients, fitted to queries that were timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class QueryTiming:
    """One query that was timed, from its image to the end of its answer.

    Attributes:
        passes: Crops that the vision tower saw.
        tokens: Image tokens of the prompt.
        answer_tokens: Tokens of the answer.
        image: Wall time of image processing and vision [s].
        prefill: Wall time up to the first token's scores [s].
        decode: Wall time of the rest [s].
    """

    passes: int
    tokens: int
    answer_tokens: int
    image: float
    prefill: float
    decode: float

    @property
    def total(self) -> float:
        """Wall time of the whole query [s]."""
        return self.image + self.prefill + self.decode


@dataclass(frozen=True)
class LatencyModel:
    """seconds = base + per_pass * passes + per_token * tokens + per_answer_token * answer tokens.

    Attention over the prompt grows with the square of its tokens; within the few thousand of an image the rest of
    the decoder outweighs it, and a line is near enough.

    Attributes:
        base: What every query takes [s].
        per_pass: Each pass of the vision tower [s].
        per_token: Each image token of the prefill [s].
        per_answer_token: Each token of the answer [s].
    """

    base: float
    per_pass: float
    per_token: float
    per_answer_token: float

    @classmethod
    def fit(cls, timings: Sequence[QueryTiming]) -> LatencyModel:
        """The model of least squared relative error, stage by stage, no coefficient below zero.

        Timings of the same crops and tokens count as one, their median. From timings of one tiling alone,
        everything counts as proportional to it, which overrates larger ones.

        Args:
            timings: At least one.
        """
        image_base, per_pass = _line([t.passes for t in timings], [t.image for t in timings])
        prefill_base, per_token = _line([t.tokens for t in timings], [t.prefill for t in timings])
        per_answer_token = [t.decode / t.answer_tokens for t in timings if t.answer_tokens]
        return cls(
            image_base + prefill_base,
            per_pass,
            per_token,
            float(np.median(per_answer_token)) if per_answer_token else 0.0,
        )

    def predict(self, passes: int, tokens: int, answer_tokens: float) -> float:
        """Wall time of a query [s]; arguments as in `QueryTiming`."""
        return (
            self.base
            + self.per_pass * passes
            + self.per_token * tokens
            + self.per_answer_token * answer_tokens
        )


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Intercept and slope, neither negative, of the line of least squared relative error.

    It goes through the medians of the y that share an x: other work on the machine makes some of them much too long.
    """
    xs = np.unique(np.array(x, float))
    ys = np.array([np.median(np.array(y, float)[np.array(x) == one]) for one in xs]).clip(1e-9)
    slope_alone = (xs / ys).sum() / (xs / ys).dot(xs / ys)
    if len(xs) == 1:
        return 0.0, float(slope_alone)
    intercept, slope = np.linalg.lstsq(np.stack([1 / ys, xs / ys], 1), np.ones(len(ys)), rcond=None)[0]
    if intercept < 0:
        return 0.0, float(slope_alone)
    if slope < 0:
        return float((1 / ys).sum() / (1 / ys).dot(1 / ys)), 0.0
    return float(intercept), float(slope)
