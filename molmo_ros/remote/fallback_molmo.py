# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A model behind a server that may be away, and another one that answers in its place."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.remote.asked_by_words import AskedByWords, Outcomes
from molmo_ros.remote.exchange import RemoteOutcome
from molmo_ros.remote.outgoing_picture import OutgoingPicture
from molmo_ros.remote.remote_molmo import RemoteMolmo
from molmo_ros.remote.server_error import ServerError, Trouble
from molmo_ros.remote.server_link import ServerLink
from molmo_ros.remote.server_state import ServerRecord, ServerState
from molmo_ros.remote.server_watch import ServerWatch

SHARE = 0.5
"""Of a query's time limit: a server that has said nothing by then leaves the rest to the other model."""
LEAST = 1e-3
"""The time limit of a query that has none left [s]."""


class LocalModel(Protocol):
    """What is used of the model that answers in the server's place: `Molmo` is one."""

    def limit_crops(self, max_crops: int | None, latency_target: float | None, /) -> None:
        """See `Molmo.limit_crops`."""

    def encode(self, image: Any, /, *, view: str) -> Any:
        """See `Molmo.encode`."""

    def answers(
        self,
        image: Any,
        queries: Sequence[ImageQuery],
        on_answer: Callable[[int, RemoteOutcome], None] | None = None,
    ) -> Outcomes:
        """See `Molmo.answers`."""


@dataclass
class FallbackPicture:
    """Pictures that either of the models may be asked about; made ready for each of them at most once.

    Attributes:
        pixels: Each uint8 RGB [h, w, 3].
        view: What they are a view of.
        timing_ms: What making them ready took at first [ms].
    """

    pixels: tuple[np.ndarray, ...]
    view: str = ""
    timing_ms: dict[str, float] = field(default_factory=dict)
    outgoing: OutgoingPicture | None = field(default=None, repr=False)
    encoded: Any = field(default=None, repr=False)


class FallbackMolmo(AskedByWords):
    """Asks the server while it answers, and the other model while it does not; within one query's time limit, and back
    again as soon as the server is there.

    For one thread, as the other model is. Where that has answered, `Answer.error` says so, and why. What had been
    streamed of an answer that the server did not end stays with whoever heard it; the answer holds nothing of it.
    """

    def __init__(
        self,
        link: ServerLink,
        watch: ServerWatch,
        record: ServerRecord,
        local: LocalModel | None = None,
        name: str = "",
    ) -> None:
        """Begins to watch the server.

        Args:
            link: To the server.
            watch: Of it.
            record: Of what it does.
            local: The other model; None where there is none, and queries end with an error while the server is away.
            name: What people call that.
        """
        self._watch, self._record, self._local, self._name = watch, record, local, name
        self._limits: tuple[int | None, float | None] = None, None
        record.has_fallback(name)
        link.start(watch.watch())
        # What watches holds the link, so that the link's own end does not come by itself.
        self.close = weakref.finalize(self, link.close)
        self.close.atexit = False

    def state(self) -> ServerState:
        """What is known of the server."""
        return self._record.state()

    def limit_crops(self, max_crops: int | None = None, latency_target: float | None = None) -> None:
        """See `RemoteMolmo.limit_crops`, and of the other model `Molmo.limit_crops`."""
        self._limits = max_crops, latency_target
        if self._watch.remote is not None:
            self._watch.remote.limit_crops(*self._limits)

    def encode(self, image: Any, *, view: str = "") -> FallbackPicture:
        """Makes pictures ready for the model that would be asked now.

        Raises:
            ImageError, PromptError: See `RemoteMolmo.encode`.
        """
        pictures = tuple(image) if isinstance(image, (list, tuple)) else (image,)
        ready = FallbackPicture(pictures, view)
        remote = self._watch.remote
        if remote is not None and self._asks_server:
            self._outgoing(ready, remote)
        elif self._local is not None:
            self._encoded(ready)
        return ready

    @property
    def _asks_server(self) -> bool:
        """Whether the server would be asked now: away or not, where nobody else can be."""
        return self._watch.remote is not None and (self._local is None or self._record.up is True)

    def answers(
        self,
        image: Any,
        queries: Sequence[ImageQuery],
        on_answer: Callable[[int, RemoteOutcome], None] | None = None,
    ) -> Outcomes:
        """See `RemoteMolmo.answers`.

        Raises:
            ImageError: The image is not what it should be.
        """
        started = time.monotonic()
        picture = image if isinstance(image, FallbackPicture) else self.encode(image)
        outcomes: dict[int, RemoteOutcome] = {}
        owed: dict[int, str] = {}

        def ended(number: int, outcome: RemoteOutcome) -> None:
            if self._local is not None and isinstance(outcome, ServerError):
                owed[number] = str(outcome)
                return
            outcomes[number] = outcome
            if on_answer is not None:
                on_answer(number, outcome)

        remote = self._watch.remote
        if remote is not None and self._asks_server:
            remote.limit_crops(*self._limits)
            share = 1.0 if self._local is None else SHARE
            remote.outcomes(self._outgoing(picture, remote), queries, ended, share)
        else:
            for number in range(len(queries)):
                ended(number, ServerError(Trouble.UNREACHABLE, self._record.reason))
        if owed:
            self._ask_local(picture, {number: queries[number] for number in owed}, owed, started, ended)
        return [outcomes[number] for number in range(len(queries))]

    def _ask_local(
        self,
        picture: FallbackPicture,
        queries: Mapping[int, ImageQuery],
        reasons: Mapping[int, str],
        started: float,
        ended: Callable[[int, RemoteOutcome], None],
    ) -> None:
        """Has the other model answer, in the time that is left."""
        assert self._local is not None
        numbers = list(queries)
        encoded = self._encoded(picture)
        lost = time.monotonic() - started

        def on_answer(place: int, outcome: RemoteOutcome) -> None:
            number = numbers[place]
            if isinstance(outcome, Answer):
                self._record.fallback_answered()
                told = f"answered by {self._name}, as {reasons[number]}"
                timing = outcome.timing_ms | {"total": outcome.timing_ms.get("total", 0.0) + lost * 1e3}
                outcome = replace(
                    outcome, error="; ".join(filter(None, (told, outcome.error))), timing_ms=timing
                )
            ended(number, outcome)

        self._local.answers(encoded, [_in_time(queries[number], lost) for number in numbers], on_answer)

    def _outgoing(self, picture: FallbackPicture, remote: RemoteMolmo) -> OutgoingPicture:
        """The picture as the server takes it."""
        if picture.outgoing is None:
            picture.outgoing = remote.encode(picture.pixels, view=picture.view)
            picture.timing_ms = picture.timing_ms or dict(picture.outgoing.timing_ms)
        return picture.outgoing

    def _encoded(self, picture: FallbackPicture) -> Any:
        """The picture as the other model takes it."""
        assert self._local is not None
        if picture.encoded is None:
            self._local.limit_crops(*self._limits)
            picture.encoded = self._local.encode(picture.pixels, view=picture.view)
            picture.timing_ms = picture.timing_ms or dict(picture.encoded.timing_ms)
        return picture.encoded


def _in_time(query: ImageQuery, lost: float) -> ImageQuery:
    """With what is left of its time limit."""
    options = query.options or GenerateOptions()
    if options.time_limit is None:
        return query
    return replace(query, options=replace(options, time_limit=max(options.time_limit - lost, LEAST)))
