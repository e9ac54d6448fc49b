# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One question of a benchmark: a picture, words, and how to get at what is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from molmo_ros.evaluation.evaluation_error import UnusableError
from molmo_ros.evaluation.truth import Truth
from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.pictures.any_picture import rgb_pixels, stored_samples
from molmo_ros.pictures.coded_picture import PictureError


@dataclass(frozen=True)
class StoredPicture:
    """A coded picture that is read when it is needed.

    Attributes:
        name: Where it lies, for people.
        read: Gives its bytes; raises OSError or `UnusableError`.
    """

    name: str
    read: Callable[[], bytes] = field(compare=False, repr=False)

    def samples(self) -> tuple[np.ndarray, int]:
        """As stored, see `stored_samples`.

        Raises:
            UnusableError: It cannot be read.
        """
        try:
            return stored_samples(self.read())
        except PictureError as error:
            raise UnusableError(f"{self.name} is not a picture that can be read: {error}") from error
        except OSError as error:
            raise UnusableError(f"{self.name} cannot be read: {error.strerror or error}") from error

    def rgb(self) -> np.ndarray:
        """uint8 [h, w, 3] RGB as people look at it: an EXIF orientation is applied, as Ai2's own code does.

        Raises:
            UnusableError: It cannot be read.
        """
        return rgb_pixels(*self.samples())[0]


@dataclass(frozen=True)
class BenchmarkQuestion:
    """One question.

    Attributes:
        id: Tells it from the others of its benchmark.
        category: In which the benchmark counts it.
        picture: What it is about.
        words: The benchmark's own.
        truth: Gives what is right for a picture of a height and a width, and what was assumed for it in words, empty
            for nothing; raises `UnusableError`.
        is_label: Whether the words only name what is to be pointed at: the model is then asked in the words that it
            was trained on, once. Else they are sent as they are.
        asked: What the answer may mean.
        fractions: Whether the words ask for pairs of fractions of the picture's width and height.
    """

    id: str
    category: str
    picture: StoredPicture
    words: str
    truth: Callable[[tuple[int, int]], tuple[Truth, str]] = field(compare=False, repr=False)
    is_label: bool = False
    asked: Asked = Asked.POINTS
    fractions: bool = False

    def query(self, options: GenerateOptions | None = None) -> ImageQuery:
        """What the model is asked."""
        if self.is_label:
            return ImageQuery(asked=self.asked, label=self.words, options=options)
        return ImageQuery(self.words, self.asked, options=options)


@dataclass(frozen=True)
class Skipped:
    """A question that was not asked, or whose answer cannot be scored.

    Attributes:
        id: See `BenchmarkQuestion`.
        category: See `BenchmarkQuestion`.
        reason: Why.
    """

    id: str
    category: str
    reason: str


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as it was read.

    Attributes:
        format: Its name on the command line.
        questions: Those that can be asked.
        skipped: Those of which something is missing.
        notes: What was assumed, and what it does not say itself; one sentence each.
    """

    format: str
    questions: tuple[BenchmarkQuestion, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def part(self, limit: int | None) -> tuple[BenchmarkQuestion, ...]:
        """So many questions at most, as many of each category as there are in turn, in the benchmark's order."""
        if limit is None or limit >= len(self.questions):
            return self.questions
        by_category: dict[str, list[int]] = {}
        for number, question in enumerate(self.questions):
            by_category.setdefault(question.category, []).append(number)
        turns = sorted(
            (turn, first) for numbers in by_category.values() for turn, first in enumerate(numbers)
        )
        return tuple(self.questions[number] for number in sorted(number for _, number in turns[:limit]))
