# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks a model every question of a benchmark: those about one picture together, which is encoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from molmo_ros.evaluation.answer_record import AnswerRecord
from molmo_ros.evaluation.evaluation_error import UnusableError
from molmo_ros.evaluation.question import BenchmarkQuestion, Skipped
from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.errors import GenerationError, MolmoError
from molmo_ros.molmo.running.generation import GenerateOptions

TOGETHER = 8
"""Questions about one picture that are decoded together at most."""


class Answering(Protocol):
    """What is asked; `Molmo` is one."""

    def answers(self, image: np.ndarray, queries: Sequence[ImageQuery]) -> Sequence[Answer | Exception]:
        """See `Molmo.answers`."""


@dataclass(frozen=True)
class RunProgress:
    """How far an evaluation is.

    Attributes:
        records: The answers that have just come.
        skipped: What has just turned out not to be usable.
        done: Questions so far, with those of before.
        total: All questions.
    """

    records: list[AnswerRecord]
    skipped: list[Skipped]
    done: int
    total: int


def ask(
    model: Answering,
    questions: Sequence[BenchmarkQuestion],
    known: Callable[[str], bool],
    options: GenerateOptions | None = None,
) -> Iterator[RunProgress]:
    """Asks what is not known yet, picture by picture, and hands the answers out as they come.

    A picture or a mask that cannot be read costs its own questions alone. What a model raises about one question is
    that question's answer; whatever else goes wrong in it (no memory, no device) ends the evaluation.

    Args:
        model: Answers.
        questions: All that is asked.
        known: Whether there is an answer to the question of an id.
        options: Limits of each.
    """
    done = sum(known(question.id) for question in questions)
    for group in _groups([question for question in questions if not known(question.id)]):
        usable, skipped = [], []
        try:
            image = group[0].picture.rgb()
        except UnusableError as error:
            skipped = [Skipped(question.id, question.category, str(error)) for question in group]
        else:
            for question in group:
                try:
                    question.truth(image.shape[:2])
                    usable.append(question)
                except UnusableError as error:
                    skipped.append(Skipped(question.id, question.category, str(error)))
        records = _asked(model, image, usable, options) if usable else []
        done += len(group)
        yield RunProgress(records, skipped, done, len(questions))


def _asked(
    model: Answering,
    image: np.ndarray,
    questions: Sequence[BenchmarkQuestion],
    options: GenerateOptions | None,
) -> list[AnswerRecord]:
    size = image.shape[:2]
    outcomes: Sequence[Answer | Exception]
    try:
        outcomes = model.answers(image, [question.query(options) for question in questions])
    except MolmoError as error:  # the picture itself is none that the model takes
        outcomes = [error] * len(questions)
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, (MolmoError, GenerationError)):
            raise outcome
    return [AnswerRecord.of(*one) for one in zip(questions, [size] * len(questions), outcomes, strict=True)]


def _groups(questions: Sequence[BenchmarkQuestion]) -> Iterator[list[BenchmarkQuestion]]:
    """Questions about the same picture, so many at most, in the order of the first of each."""
    by_picture: dict[str, list[BenchmarkQuestion]] = {}
    for question in questions:
        by_picture.setdefault(question.picture.name, []).append(question)
    for group in by_picture.values():
        for first in range(0, len(group), TOGETHER):
            yield group[first : first + TOGETHER]
