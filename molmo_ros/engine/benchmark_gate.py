# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A benchmark as a gate of builds: what a build wants of whoever can read and score one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from molmo_ros.molmo.pipeline import Molmo

BenchmarkAnswers = Mapping[str, Any]
"""A model's answers by the question's id; only the benchmark looks into them."""


@dataclass(frozen=True)
class BenchmarkVerdict:
    """The engine's score beside the 16-bit model's.

    Attributes:
        text: The figures in a few sentences.
        figures: The same, for a manifest.
        refusal: Why the engine is not good enough; empty where it is.
    """

    text: str
    figures: Mapping[str, object]
    refusal: str = ""


class BenchmarkGate(Protocol):
    """A benchmark that both models are asked."""

    def ask(self, model: Molmo, progress: Callable[[int, int], None]) -> BenchmarkAnswers:
        """A model's answers to all of it.

        Args:
            model: Is asked.
            progress: Called with the number of answers so far, and of all.
        """

    def judge(self, reference: BenchmarkAnswers, candidate: BenchmarkAnswers) -> BenchmarkVerdict:
        """Holds the engine's answers against the 16-bit model's."""
