# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Queries about one image to answers: decoded together, each read, scored and limited for itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from molmo_ros.molmo.answer import Answer, Asked
from molmo_ros.molmo.answers.answer_stream import AnswerStream
from molmo_ros.molmo.answers.encoded_image import EncodedImage
from molmo_ros.molmo.answers.finished_answer import ENDED_EARLY, finished_answer
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.answers.point_format import PointFormat
from molmo_ros.molmo.drafts.answer_drafter import AnswerDrafter
from molmo_ros.molmo.drafts.draft_memory import DraftMemory
from molmo_ros.molmo.drafts.pass_times import PassTimes
from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.images.crop_budget import CropBudget
from molmo_ros.molmo.prompts.prompt import PromptBuilder
from molmo_ros.molmo.prompts.tokenizer import Tokenizer
from molmo_ros.molmo.running.generate import generate_together
from molmo_ros.molmo.running.generation import GenerateOptions, Generation, Limits, StopReason
from molmo_ros.molmo.running.pack import MOST_DRAFTED
from molmo_ros.molmo.running.runtime import Cache, Runtime
from molmo_ros.molmo.running.turn import AnswerRequest
from molmo_ros.molmo.scoring.confidence import AnswerConfidence
from molmo_ros.molmo.scoring.confidence_calibration import ConfidenceCalibration
from molmo_ros.molmo.scoring.not_found import NotFoundScorer

USUAL_TOKENS = 96
"""Of the answers that are decoded together, each has room for so many at once; longer ones wait for each other."""

Outcome = Answer | Exception
"""An answer, or why there is none."""


@dataclass
class _Asking:
    """One query on its way.

    Attributes:
        number: Among those that are asked together.
        query: What is asked.
        stream: What its tokens go through.
        options: Its limits, as they were given.
        limits: The same, on the clock.
        words: int64 [n], what follows the image's tokens.
        room: How many tokens the context has for its answer.
    """

    number: int
    query: ImageQuery
    stream: AnswerStream
    options: GenerateOptions
    limits: Limits
    words: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    room: int = 0

    @property
    def wanted(self) -> int:
        """The longest answer that is wanted [tokens]."""
        return self.options.tokens(self.query.asked is Asked.COUNT)


class QueryAnswerer:
    """Answers queries with one model.

    Attributes:
        point_format: How the model writes points, and how they are scored.
        not_found: Tokens of the sentences that say that nothing is there.
        scores: Whether points and answers are scored.
    """

    def __init__(
        self,
        runtime: Runtime,
        tokenizer: Tokenizer,
        prompts: PromptBuilder,
        point_format: PointFormat,
        crop_budget: CropBudget,
        not_found: Sequence[Sequence[int]],
    ) -> None:
        """Puts the parts together.

        Args:
            runtime: Runs the network.
            tokenizer: Of its prompts and answers.
            prompts: Makes the prompts.
            point_format: How it writes points.
            crop_budget: Learns what queries take.
            not_found: Tokens of the sentences that say that nothing is there.
        """
        self._runtime, self._tokenizer, self._prompts = runtime, tokenizer, prompts
        self.point_format, self._crop_budget, self.not_found = point_format, crop_budget, not_found
        self._memory = DraftMemory(tokenizer)
        self.scores = True

    @property
    def pass_times(self) -> PassTimes:
        """What passes cost, from which follows how long a guess is worth it."""
        return self._memory.pass_times

    def answers(
        self,
        encode: Callable[[], EncodedImage],
        queries: Sequence[ImageQuery],
        calibration: ConfidenceCalibration | None,
        on_answer: Callable[[int, Outcome], None] | None = None,
        encodes: bool = True,
    ) -> list[Outcome]:
        """Answers queries about one image.

        Args:
            encode: Gives the image; called where a query is left that nothing has ended.
            queries: What is asked.
            calibration: Of confidences; None for raw scores.
            on_answer: Called with each outcome and its query's number, as soon as there is one.
            encodes: Whether `encode` encodes it now; the first answer's time then holds that.

        Returns:
            The outcomes, in the order of the queries.
        """
        started = time.perf_counter()
        outcomes: dict[int, Outcome] = {}

        def ended(number: int, outcome: Outcome) -> None:
            outcomes[number] = outcome
            if on_answer is not None:
                on_answer(number, outcome)

        asking = []
        for number, query in enumerate(queries):
            try:
                one = self._asking(number, query)
            except PromptError as error:
                ended(number, error)
                continue
            stop = one.limits.reached()
            if stop is None:
                asking.append(one)
            else:
                ended(number, self._answer(one, Generation((), stop), started, {}, None))
        if asking:
            self._ask(encode(), asking, calibration, ended, started, encodes)
        return [outcomes[number] for number in range(len(queries))]

    def _asking(self, number: int, query: ImageQuery) -> _Asking:
        """A query that may be asked.

        Raises:
            PromptError: Its text or its `max_points` is refused, before any work on the image.
        """
        options = query.options or GenerateOptions()
        stream = AnswerStream(
            label=query.label, max_points=query.max_points, on_text=query.on_text, on_point=query.on_point
        )
        limit = options.time_limit
        limits = Limits(None if limit is None else time.monotonic() + limit, query.cancel)
        self._prompts.query(query.text, 0)
        return _Asking(number, query, stream, options, limits)

    @torch.inference_mode()
    def _ask(
        self,
        encoded: EncodedImage,
        asking: list[_Asking],
        calibration: ConfidenceCalibration | None,
        ended: Callable[[int, Outcome], None],
        started: float,
        encodes: bool,
    ) -> None:
        """Prefills what the image's cache does not hold yet, and decodes."""
        fitting = []
        for one in asking:
            try:
                one.words = self._prompts.query(one.query.text, len(encoded.prefix))
            except PromptError as error:
                ended(one.number, error)
                continue
            one.room = self._prompts.max_tokens - len(encoded.prefix) - len(one.words)
            fitting.append(one)
        if not fitting:
            return
        cache = self._cache(encoded, fitting)
        new = not encoded.asked  # what the image took was not measured with another query yet
        encoded.asked = True

        def on_end(one: _Asking, outcome: Generation | Exception) -> None:
            if isinstance(outcome, Exception):
                ended(one.number, outcome)
                return
            encoding = encoded.timing_ms if encodes and one is fitting[0] else {}
            answer = self._answer(one, outcome, started, encoding, encoded)
            if new and len(fitting) == 1 and outcome.stop not in ENDED_EARLY and encoded.crops is not None:
                timing = encoded.crops.timing(answer.timing_ms | encoded.timing_ms, answer.tokens)
                self._crop_budget.measured(timing)
            ended(one.number, answer)

        requests = [self._request(encoded, one, calibration, partial(on_end, one)) for one in fitting]
        generate_together(self._runtime, cache, encoded.shared(cache), requests, self._memory.pass_times)

    def _cache(self, encoded: EncodedImage, asking: Sequence[_Asking]) -> Cache:
        """With room for every answer alone and beside it for what is guessed and scored; for several, for what they
        usually take."""
        beside = MOST_DRAFTED + sum(map(len, self.not_found))
        alone = max(len(one.words) + min(one.wanted, one.room) for one in asking) + beside
        together = sum(len(one.words) + min(one.wanted, one.room, USUAL_TOKENS) + beside for one in asking)
        wanted = len(encoded.prefix) + (alone if len(asking) == 1 else max(alone, together))
        return encoded.cache(min(wanted, self._prompts.max_tokens))

    def _request(
        self,
        encoded: EncodedImage,
        one: _Asking,
        calibration: ConfidenceCalibration | None,
        on_end: Callable[[Generation | Exception], None],
    ) -> AnswerRequest:
        """What is to be decoded for a query."""
        stream, query = one.stream, one.query
        stream.start(*self.point_format.reading(encoded, query.asked))
        not_found = NotFoundScorer(self.not_found)
        # Fitted on single images: of several, nothing was measured.
        curves = calibration if encoded.prefix.about == "image" else None
        if self.scores:
            stream.confidence = AnswerConfidence(not_found, self.point_format.scorer(encoded), curves)
        words = torch.from_numpy(one.words).to(self._runtime.device).unsqueeze(0)
        return AnswerRequest(
            self._runtime.embedding(words),
            self.point_format.chooser(encoded),
            min(one.wanted, one.room),
            self._tokenizer.eos_ids,
            one.limits,
            lambda choice: stream.feed(choice.token, choice),
            self._drafter(encoded, query) if one.options.drafts else None,
            not_found.asides if self.scores else (),
            on_end,
        )

    def _drafter(self, encoded: EncodedImage, query: ImageQuery) -> AnswerDrafter:
        moves = query.moves if encoded.prefix.about == "image" else ()
        moved = partial(self.point_format.moved, moves=moves, encoded=encoded) if moves else None
        return self._memory.drafter(encoded.view, query.text, query.label, moved)

    def _answer(
        self,
        one: _Asking,
        generation: Generation,
        started: float,
        image_timing: dict[str, float],
        encoded: EncodedImage | None,
    ) -> Answer:
        """The answer that a generation is."""
        if generation.stop is StopReason.MAX_NEW_TOKENS and one.room < one.wanted:
            generation = replace(generation, stop=StopReason.CONTEXT)
        parsed = one.stream.finish(generation.stop is StopReason.EOS)
        timing = {"preprocess": 0.0, "vision": 0.0} | image_timing
        timing |= {"prefill": generation.prefill_ms, "decode": generation.decode_ms}
        timing["total"] = (time.perf_counter() - started) * 1e3
        crops = None if encoded is None else encoded.crops
        return finished_answer(one.stream, parsed, generation, one.query.asked, timing, crops)
