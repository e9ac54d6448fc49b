# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Questions about the same pictures, asked of the model together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from molmo_ros.molmo.answers.encoded_image import about
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.answers.query_answerer import Outcome
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.server.encoded_images import KeptImage
from molmo_ros.server.model_job import FinishedJob, ModelJob
from molmo_ros.server.request_error import RequestError, bad_request
from molmo_ros.server.server_metrics import ServerMetrics

LOG = logging.getLogger(__name__)


class PackedJobs:
    """Questions that are answered together.

    Args:
        model: Who answers.
        image: What they are about, encoded.
        known: Whether it was encoded for questions before these.
        jobs: The questions.
        metrics: Is told.
    """

    def __init__(
        self,
        model: Molmo,
        image: KeptImage,
        known: bool,
        jobs: Sequence[ModelJob],
        metrics: ServerMetrics,
    ) -> None:
        self._model, self._image, self._known, self._metrics = model, image, known, metrics
        self._jobs: list[ModelJob] = []
        self._tokens: list[int] = []
        self._queries: list[ImageQuery] = []
        for job in jobs:
            self._add(job)

    def answer(self) -> None:
        """Asks them; each is told its answer as soon as it has one."""
        if not self._queries:
            return
        started = time.monotonic()
        self._metrics.packed(len(self._queries))
        try:
            self._model.answers(self._image.encoded, self._queries, self._on_answer)
        finally:
            self._metrics.took(time.monotonic() - started)

    def _add(self, job: ModelJob) -> None:
        """A job as a query; refused where its words do not fit the model."""
        encoded, asking = self._image.encoded, job.asking
        try:
            text = asking.text(self._model.family.prompt.wording, about(encoded))
            words = len(self._model.prompts.query(text, len(encoded.prefix)))
        except MolmoError as error:
            job.deliver(bad_request(str(error), "messages", "context_length_exceeded"))
            return
        options = GenerateOptions(job.max_tokens or "auto", max(1e-3, job.deadline - time.monotonic()))
        query = ImageQuery(
            text, asking.asked, asking.label, options, asking.max_points, job.cancel, self._started(job)
        )
        if job.stream:
            query = replace(query, on_point=job.deliver)
        self._jobs.append(job)
        self._tokens.append(len(encoded.prefix) + words)
        self._queries.append(query)

    def _started(self, job: ModelJob) -> Callable[[str], None]:
        """Takes each piece of text; the first one's time is measured."""
        first = True

        def on_text(piece: str) -> None:
            nonlocal first
            if first:
                first = False
                self._metrics.first_text(time.monotonic() - job.arrived)
            if job.stream:
                job.deliver(piece)

        return on_text

    def _on_answer(self, number: int, outcome: Outcome) -> None:
        job, encoded = self._jobs[number], self._image.encoded
        if isinstance(outcome, MolmoError):
            job.deliver(bad_request(str(outcome), "messages"))
            return
        if isinstance(outcome, Exception):
            LOG.error("an answer failed: %s: %.300s", type(outcome).__name__, outcome)
            job.deliver(RequestError(500, f"the model failed: {str(outcome):.300}", code="model_failed"))
            return
        cached = len(encoded.prefix) if self._known or self._image.asked else 0
        self._image.asked += 1
        self._metrics.answered(outcome.status.value, self._tokens[number], outcome.tokens)
        job.deliver(
            FinishedJob(outcome, self._tokens[number], cached, tuple(encoded.sizes), self._image.notes)
        )
