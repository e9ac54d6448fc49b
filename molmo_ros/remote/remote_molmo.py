# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A model behind a server, asked as `Molmo` is: words and picture out, an answer with points in pixels back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import Any

import numpy as np

from molmo_ros.molmo.answer import Answer, Asked
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.errors import MolmoError, PromptError
from molmo_ros.molmo.families.wording import Wording
from molmo_ros.molmo.images.crop_budget import CropChoice
from molmo_ros.molmo.prompts.clean_text import clean_text
from molmo_ros.molmo.prompts.prompt_text import count_prompt, point_prompt
from molmo_ros.remote.asked_by_words import AskedByWords, Outcomes
from molmo_ros.remote.completion_request import completion_request
from molmo_ros.remote.exchange import Exchange, RemoteOutcome
from molmo_ros.remote.outgoing_picture import LOSSLESS, OutgoingPicture, outgoing_picture
from molmo_ros.remote.served_model import ServedModel
from molmo_ros.remote.server_link import ServerLink
from molmo_ros.remote.server_state import ServerRecord, ServerState

PATIENCE = 10.0
"""How long a server may say nothing [s], unless told otherwise."""
MOST_CROPS = 1000
LONGEST_TEXT = 100_000
"""Characters of a question."""
SentImages = np.ndarray | Sequence[np.ndarray] | OutgoingPicture
"""What a question is about: pictures, or what was made ready before."""


class RemoteMolmo(AskedByWords):
    """A model that a server runs. Needs neither weights nor torch.

    From any thread, one question or several at a time::

        model = remote_molmo("http://workstation:8000")
        answer = model.point(image, "red cube")     # image: uint8 RGB [h, w, 3]
        answer.points[0].x, answer.points[0].y      # pixels of that image

    Every question ends: by its `time_limit`, by its `cancel` event, or where the server says nothing for `patience`.

    Attributes:
        model: The model, and the words that it is asked in.
    """

    def __init__(
        self,
        link: ServerLink,
        model: ServedModel,
        record: ServerRecord | None = None,
        *,
        patience: float = PATIENCE,
        jpeg_quality: int = LOSSLESS,
    ) -> None:
        """A model that is known to be there; see `remote_molmo`.

        Args:
            link: To its server.
            model: Which one.
            record: Keeps what is known of the server.
            patience: How long the server may say nothing [s].
            jpeg_quality: Of the pictures that are sent, 1 to 100; 0 for PNG, the very pixels.
        """
        self.model, self._link = model, link
        self._record = record or ServerRecord(link.address.base)
        self._patience, self._quality = patience, jpeg_quality
        self._max_crops: int | None = None
        self._latency_target: float | None = None

    @property
    def wording(self) -> Wording:
        """See `AskedByWords`."""
        return self.model.family.prompt.wording

    def state(self) -> ServerState:
        """What is known of the server."""
        return self._record.state()

    def close(self) -> None:
        """Ends the connections; questions that are under way end as if the server had gone."""
        self._link.close()

    def limit_crops(self, max_crops: int | None = None, latency_target: float | None = None) -> None:
        """Sets how finely the next images are looked at, where the server is `molmo-ros serve`.

        Other servers decide that themselves; `Answer.crops` then says so.

        Args:
            max_crops: Most tiles of one image; None for what the server takes.
            latency_target: Cannot be kept from here: `Answer.crops` says so. None for none.

        Raises:
            MolmoError: As of `Molmo.limit_crops`.
        """
        if max_crops is not None and not (type(max_crops) is int and 1 <= max_crops <= MOST_CROPS):
            raise MolmoError(
                f"max_crops is {max_crops!r:.80}; it must be a whole number from 1 to {MOST_CROPS}"
            )
        if latency_target is not None and not (
            isinstance(latency_target, Real) and 0 < latency_target < math.inf
        ):
            raise MolmoError(
                f"latency_target is {latency_target!r:.80} s; it must be positive, or None for no target"
            )
        self._max_crops, self._latency_target = max_crops, latency_target

    def encode(self, image: Any, *, view: str = "") -> OutgoingPicture:
        """Makes pictures ready to be sent with any number of questions; nothing is sent yet.

        Args:
            image: uint8 RGB [h, w, 3]; a list of several where the model takes several.
            view: What it is a view of.

        Raises:
            ImageError: An image is not what it should be.
            PromptError: Several images for a model that takes one, or none.
        """
        pictures = list(image) if isinstance(image, (list, tuple)) else [image]
        if not pictures:
            raise PromptError("there is no image; a question is about one at least")
        if len(pictures) > 1 and not self.model.family.prompt.many_images:
            raise PromptError(
                f"{len(pictures)} images for {self.model.name}, which takes one ({self.model.family.members})"
            )
        return outgoing_picture(pictures, self._quality, view)

    def answers(
        self,
        image: SentImages,
        queries: Sequence[ImageQuery],
        on_answer: Callable[[int, RemoteOutcome], None] | None = None,
    ) -> Outcomes:
        """Asks several questions about one image at once, each in a request of its own; see `Molmo.answers`.

        Everything that is given back or called is so in this thread.

        Raises:
            ImageError: The image is not what it should be.
        """
        return self.outcomes(image, queries, on_answer)

    def outcomes(
        self,
        image: SentImages,
        queries: Sequence[ImageQuery],
        on_answer: Callable[[int, RemoteOutcome], None] | None = None,
        share: float = 1.0,
    ) -> Outcomes:
        """As `answers`.

        Args:
            image: As of `point`.
            queries: What is asked.
            on_answer: Called with each outcome and its query's number.
            share: Of a query's time limit: a server that has said nothing by then is given up, so that another model
                has the rest of the time.
        """
        started = time.monotonic()
        picture = self._picture(image)
        exchange = Exchange(
            self._link, self._record, self.model, picture, started, share, self._patience, on_answer
        )
        exchange.finish = partial(self._finished, picture, not isinstance(image, OutgoingPicture))
        for number, query in enumerate(queries):
            exchange.ask(number, query, partial(self._body, picture, query))
        return exchange.wait()

    def _picture(self, image: SentImages) -> OutgoingPicture:
        return image if isinstance(image, OutgoingPicture) else self.encode(image)

    def _body(self, picture: OutgoingPicture, query: ImageQuery, max_tokens: int) -> bytes:
        """What is sent for a query.

        Raises:
            PromptError: Nothing is asked.
        """
        own: dict[str, Any] | None = None
        text = query.text
        if self.model.is_own:
            own = {"kind": "ask" if query.asked is Asked.WORDS else "query"}
            if not text and query.asked in _KINDS:
                own["kind"], text = _KINDS[query.asked], query.label
            if query.max_points:
                own["max_points"] = query.max_points
            if self._max_crops:
                own["max_crops"] = self._max_crops
        elif not text and query.asked in _WORDS:
            text = _WORDS[query.asked](query.label, self.wording, picture.about)
        if not isinstance(text, str):
            raise PromptError(f"the query is {text!r:.80}; it must be text")
        text = clean_text(text)
        if not text:
            raise PromptError(f"the query is empty: {query.text[:40]!r}")
        if len(text) > LONGEST_TEXT:
            raise PromptError(f"the query has {len(text)} characters; at most {LONGEST_TEXT} are sent")
        return completion_request(self.model.name, picture.urls, text, max_tokens, scores=True, own=own)

    def _finished(self, picture: OutgoingPicture, new: bool, answer: Answer) -> Answer:
        """With what all answers about a picture share."""
        timing = answer.timing_ms | (picture.timing_ms if new else {})
        return replace(answer, timing_ms=timing, crops=self._crops())

    def _crops(self) -> CropChoice | None:
        """What became of the limits, where there are any."""
        if self._latency_target is not None:
            note = "latency_target is not kept by engine remote: the server does not say what its tiles take"
            return CropChoice(self._max_crops or MOST_CROPS, (), note=note)
        if self._max_crops is None:
            return None
        note = (
            ""
            if self.model.is_own
            else "max_crops is not kept: this server cuts images as it was started with"
        )
        return CropChoice(self._max_crops, (), note=note)


_WORDS = {Asked.POINTS: point_prompt, Asked.COUNT: count_prompt}
_KINDS = {Asked.POINTS: "point", Asked.COUNT: "count"}
