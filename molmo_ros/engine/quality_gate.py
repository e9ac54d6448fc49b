# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the quality gate asks: about pictures of one tile and of many, each of which an engine must answer well.

An image that becomes one tile goes another way through the vision side than one that becomes many, so one kind says
nothing about the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from molmo_ros.engine.quality import QualityReport, QualityThreshold, compare
from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.images.crop_budget import CropBudget
from molmo_ros.molmo.pipeline import Molmo

AskedPicture = tuple[np.ndarray, str]
"""A picture uint8 RGB [h, w, 3], and what is asked about it."""
ONE, MANY = "one tile", "many tiles"
ONE_TILE = 1
"""The `max_crops` that makes one tile of any picture."""
LARGEST = 4096
"""Sides of a picture that was enlarged [px]."""


class Question(NamedTuple):
    """One question.

    Attributes:
        image: uint8 RGB [h, w, 3].
        query: What the user says.
        max_crops: See `Molmo.encode`; None for what the engine takes.
        kind: `ONE` or `MANY`: what becomes of the picture.
    """

    image: np.ndarray
    query: str
    max_crops: int | None
    kind: str


def questions(budget: CropBudget, asked: Iterable[AskedPicture], most: int | None = None) -> list[Question]:
    """What is asked, and what else so that there are both kinds.

    Every picture of many tiles is asked about as one tile too, with its first question. Where there is none of many
    tiles, each is cut as finely as the engine takes it, and enlarged until it has some.

    Args:
        budget: Knows what becomes of a picture.
        asked: Pictures uint8 RGB [h, w, 3] with what is asked about each.
        most: Tiles that the engine takes, where they may be more than the budget's.

    Raises:
        ImageError: A picture has no pixels.
    """

    def kind(image: np.ndarray, max_crops: int | None = None) -> str:
        (cost,) = budget.choose([image.shape[:2]], max_crops).costs
        return ONE if cost.tiling == (1, 1) else MANY

    plain = [Question(image, query, None, kind(image)) for image, query in asked]
    first = [one for one, before in zip(plain, [None, *plain], strict=False) if not _same(one, before)]
    as_one = [one._replace(max_crops=ONE_TILE, kind=ONE) for one in first if one.kind == MANY]
    as_many = []
    if not as_one:
        for one in first:
            enlarged = one.image
            while kind(enlarged, most) == ONE and max(enlarged.shape[:2]) <= LARGEST // 2:
                enlarged = cv2.resize(enlarged, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
            if kind(enlarged, most) == MANY:
                as_many.append(one._replace(image=enlarged, max_crops=most, kind=MANY))
    return [*plain, *as_one, *as_many]


def _same(one: Question, other: Question | None) -> bool:
    return other is not None and one.image is other.image


def record(
    model: Molmo, asked: Sequence[Question], progress: Callable[[int], None] | None = None
) -> list[Answer]:
    """A model's answers.

    Args:
        model: Whatever runs it.
        asked: The questions; those about the same picture that follow each other share its encoding.
        progress: Called with the number of answers so far.

    Raises:
        ImageError: A picture is none, or the engine takes fewer crops.
        PromptError: A query is empty or too long.
    """
    answers: list[Answer] = []
    last = encoded = None
    for question in asked:
        if last is None or question.image is not last.image or question.max_crops != last.max_crops:
            last, encoded = question, model.encode(question.image, max_crops=question.max_crops)
        assert encoded is not None
        answers.append(model.query(encoded, question.query))
        if progress is not None:
            progress(len(answers))
    return answers


class GateReport:
    """How a candidate's answers compare with the reference's.

    Attributes:
        all: Of every question.
        kinds: Of each kind of picture that was asked about.
    """

    def __init__(
        self, asked: Sequence[Question], reference: Sequence[Answer], candidate: Sequence[Answer]
    ) -> None:
        """Compares.

        Raises:
            EngineError: There are no answers, or not as many of the one as of the other.
        """
        self.all = compare(reference, candidate)
        self.kinds: Mapping[str, QualityReport] = {
            kind: compare(*([given[i] for i in which] for given in (reference, candidate)))
            for kind in (ONE, MANY)
            if (which := [number for number, one in enumerate(asked) if one.kind == kind])
        }

    def failed(self, threshold: QualityThreshold) -> list[str]:
        """The kinds of pictures with which the candidate is not good enough."""
        return [kind for kind, report in self.kinds.items() if not report.passes(threshold)]

    def as_dict(self) -> dict[str, object]:
        """The figures, for a manifest."""
        by_kind = {kind: report.as_dict() for kind, report in self.kinds.items()}
        return self.all.as_dict() | {"tiles": by_kind}

    def text(self) -> str:
        """The figures in a few sentences."""
        if len(self.kinds) < 2:
            return self.all.text()
        return " ".join(f"Pictures of {kind}: {report.text()}" for kind, report in self.kinds.items())
