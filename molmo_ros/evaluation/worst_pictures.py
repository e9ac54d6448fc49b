# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of the worst answers, with what was right and what the model pointed at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from molmo_ros.drawing import annotate, draw_regions
from molmo_ros.evaluation.evaluation_error import EvaluationError, NotKeptError
from molmo_ros.evaluation.evaluation_report import SCORE, ScoredReply
from molmo_ros.evaluation.truth import WordTruth, regions_of
from molmo_ros.molmo.answer import Answer, Point

MOST = 20
"""Pictures of one evaluation."""


def check_folder_for_pictures(folder: Path) -> None:
    """Refuses a folder that cannot take them, before any work.

    Raises:
        EvaluationError: It is no folder, or holds something.
    """
    try:
        if not folder.exists():
            if not folder.parent.is_dir():
                raise EvaluationError(f"there is no folder {folder.parent} to make {folder.name} in")
        elif not folder.is_dir():
            raise EvaluationError(f"{folder} is no folder; pictures of the worst answers are written to one")
        elif any(folder.iterdir()):
            raise EvaluationError(
                f"{folder} is not empty; pictures of the worst answers go into an empty or new folder"
            )
    except OSError as error:
        raise EvaluationError(f"{folder} cannot be looked into: {error.strerror or error}") from error


def write_worst(folder: Path, worst: Sequence[ScoredReply]) -> None:
    """Writes a picture for each, numbered from the worst on.

    Raises:
        NotKeptError: A picture cannot be written.
        EvaluationError: A picture of the benchmark cannot be read any more.
    """
    try:
        folder.mkdir(exist_ok=True)
        for number, answer in enumerate(worst, 1):
            name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{answer.question.category}_{answer.question.id}")[:100]
            done, coded = cv2.imencode(".png", cv2.cvtColor(drawn(answer), cv2.COLOR_RGB2BGR))
            assert done
            (folder / f"{number:02d}_{name}.png").write_bytes(coded.tobytes())
    except OSError as error:
        raise NotKeptError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}"
        ) from error


def drawn(answer: ScoredReply) -> np.ndarray:
    """uint8 [h, w, 3] RGB: the picture, what is right tinted, the answer's points, and below words and scores.

    Raises:
        UnusableError: The picture cannot be read any more.
    """
    question, record = answer.question, answer.record
    picture = question.picture.rgb()
    truth, _ = question.truth(picture.shape[:2])
    draw_regions(picture, regions_of(truth, picture.shape[:2]))
    scores = ", ".join(f"{rule} {scores[SCORE]:.2f}" for rule, scores in answer.scores.items())
    right = f" (right: {truth.word})" if isinstance(truth, WordTruth) else ""
    points = tuple(Point(x, y, index=number) for number, (x, y) in enumerate(record.points, 1))
    title = f"{scores} | {question.category}: {question.words}{right}"
    return annotate(picture, Answer(record.status, record.text, points, error=record.error), title)
