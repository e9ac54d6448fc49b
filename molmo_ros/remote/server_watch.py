# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks a server that is away whether it is back: in the background, never in a query's way."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import numpy as np

from molmo_ros.molmo.errors import MolmoError
from molmo_ros.remote.answer_chunk import AnswerChunk
from molmo_ros.remote.completion_request import completion_request
from molmo_ros.remote.model_search import find_model
from molmo_ros.remote.outgoing_picture import outgoing_picture
from molmo_ros.remote.remote_molmo import RemoteMolmo
from molmo_ros.remote.served_model import ServedModel
from molmo_ros.remote.server_error import ServerError, Trouble
from molmo_ros.remote.server_link import ServerLink
from molmo_ros.remote.server_state import ServerRecord

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Between two attempts [s]: twice as long each time."""
STEADY = 60.0
"""A server that was back for less than this has not come back for good [s]: the pauses go on from where they were."""
LOOK = 0.2
"""How often it is looked whether the server is away [s]."""
SPREAD = 0.2
"""Pauses are longer or shorter by up to this share, so that several robots do not ask all at once."""
PROBE = 28
"""Edge of the picture that is asked about [px]."""


class ServerWatch:
    """Keeps the way to a server open.

    Attributes:
        remote: The model behind it; None until it was there for the first time.
    """

    def __init__(
        self,
        link: ServerLink,
        record: ServerRecord,
        make: Callable[[ServedModel], RemoteMolmo],
        name: str,
        family: str,
        patience: float,
    ) -> None:
        """Watches nothing yet.

        Args:
            link: To the server.
            record: Of what it does.
            make: Makes the model, once it is known which.
            name: See `find_model`.
            family: See `find_model`.
            patience: How long an attempt may take [s].
        """
        self._link, self._record, self._make = link, record, make
        self._name, self._family, self._patience = name, family, patience
        self.remote: RemoteMolmo | None = None

    async def find(self) -> None:
        """Looks which model is there.

        Raises:
            ServerError: None is.
        """
        served = await find_model(self._link, self._name, self._family)
        if self.remote is None or self.remote.model != served:
            self.remote = self._make(served)
        self._record.is_up(served.name)

    async def watch(self) -> None:
        """Until it is cancelled: whenever the server is away, asks again and again whether it is back."""
        pause, back = FIRST_PAUSE, -STEADY
        while True:
            await asyncio.sleep(LOOK)
            if self._record.up is not False:
                continue
            if time.monotonic() - back > STEADY:
                pause = FIRST_PAUSE
            while self._record.up is False:
                await asyncio.sleep(pause * random.uniform(1 - SPREAD, 1 + SPREAD))
                pause = min(2 * pause, LONGEST_PAUSE)
                try:
                    await self._answers()
                    await self.find()
                except MolmoError as error:
                    self._record.is_down(str(error))
            back = time.monotonic()

    async def _answers(self) -> None:
        """Returns if the server answers a small question, which a list of models alone does not show.

        Raises:
            ServerError: It does not.
        """
        served = await find_model(self._link, self._name, self._family)
        picture = outgoing_picture([np.full((PROBE, PROBE, 3), 128, np.uint8)])
        body = completion_request(served.name, picture.urls, "Describe this image.", 1)

        def take(chunk: AnswerChunk) -> None:
            if not served.answers_as(chunk.model):
                raise ServerError(
                    Trouble.REFUSED,
                    f"answers with the model {chunk.model!r:.200}, not with {served.name!r:.200}",
                )

        try:
            await asyncio.wait_for(self._link.ask(body, take), self._patience)
        except asyncio.TimeoutError:
            raise ServerError(
                Trouble.SILENT,
                f"{self._link.address.base} took a question and said nothing for {self._patience:.3g} s",
            ) from None
