# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The model of a worker, asked the queries of a task about one frame: encoded once, decoded together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from molmo_ros.engine.load import load_molmo
from molmo_ros.labelling.label_table import Row
from molmo_ros.labelling.label_task import LabelTask
from molmo_ros.molmo.answer import Answer, Asked
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.answers.query_answerer import Outcome
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.prompts.prompt_text import count_prompt, place_label, point_prompt
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.status import Status
from molmo_ros.node.records.query import Kind, Query


class QueriedModel:
    """For one thread.

    Args:
        task: What is asked, by which model.
        device: A torch device.
        threads: Of the CPU, that it computes with.

    Attributes:
        molmo: The model.
        engine: What runs it.

    Raises:
        molmo_ros.molmo.errors.MolmoError: It cannot be loaded.
    """

    def __init__(self, task: LabelTask, device: str, threads: int) -> None:
        self.task = task
        limits = dict(task.parameters)
        self.molmo: Molmo = load_molmo(
            task.model,
            engine=task.engine,
            engine_path=task.engine_path or None,
            device=device,
            dtype=task.dtype,
            threads=threads,
        )
        self.molmo.limit_crops(limits.get("max_crops") or None, limits.get("latency_target") or None)
        self.engine = runtime_name(self.molmo)
        self._options = GenerateOptions(
            max_new_tokens=limits.get("max_new_tokens") or "auto", time_limit=limits.get("time_limit") or None
        )
        self._max_points = limits.get("max_points") or None
        self._least = float(limits.get("min_confidence", 0.0))

    def prompt(self, query: Query) -> str:
        """What the model is sent for a query."""
        wording, text = self.molmo.family.prompt.wording, query.texts[0]
        if query.kind is Kind.COUNT:
            return count_prompt(text, wording)
        if query.kind is Kind.ASK:
            return text
        return point_prompt(_label(query), wording)

    def ask(self, picture: np.ndarray, queries: Sequence[Query], camera: str) -> list[Outcome]:
        """All queries about a frame.

        Args:
            picture: uint8 [h, w, 3] RGB.
            queries: What is asked.
            camera: Whose frame it is: an answer is guessed from the last one to the same query about the same camera.

        Raises:
            molmo_ros.molmo.errors.ImageError: The frame cannot be asked about.
        """
        return self.molmo.answers(
            self.molmo.encode(picture, view=camera), [self._image_query(query) for query in queries]
        )

    def rows(self, query: Query, outcome: Outcome) -> list[Row]:
        """The rows of an answer, without what is known of its frame: one for each point, or one without."""
        common: Row = {
            "query": query.written,
            "kind": query.kind.value if query.kind else "",
            "prompt": self.prompt(query),
            "engine": self.engine,
            "model": self.task.model,
            "revision": self.task.revision,
        }
        if not isinstance(outcome, Answer):
            return [common | {"status": Status.ERROR.value, "reason": str(outcome), "label": _label(query)}]
        points = [one for one in outcome.points if one.confidence is None or one.confidence >= self._least]
        left_out = len(outcome.points) - len(points)
        status, reason = outcome.status, outcome.error
        if left_out and not points:
            status, reason = Status.NOT_FOUND, f"{left_out} points are less sure than {self._least:g}"
        common |= {
            "status": status.value,
            "reason": reason,
            "text": outcome.text,
            "count": outcome.count,
            "not_found_probability": outcome.not_found_probability,
            "calibrated": outcome.calibrated,
        }
        if not points:
            return [common | {"label": _label(query) if query.points else ""}]
        return [
            common | {"label": one.label or _label(query), "x": one.x, "y": one.y, "score": one.confidence}
            for one in points
        ]

    def _image_query(self, query: Query) -> ImageQuery:
        if query.kind is Kind.ASK:
            return ImageQuery(query.texts[0], Asked.WORDS, options=self._options, max_points=self._max_points)
        if query.kind is Kind.COUNT:
            return ImageQuery(asked=Asked.COUNT, label=query.texts[0], options=self._options)
        return ImageQuery(
            asked=Asked.POINTS, label=_label(query), options=self._options, max_points=self._max_points
        )


def runtime_name(molmo: Any) -> str:
    """What runs a model: the runtime's name."""
    return str(getattr(molmo.runtime, "name", "") or "torch")


def _label(query: Query) -> str:
    return place_label(query.texts[0]) if query.kind is Kind.PLACE else query.texts[0]
