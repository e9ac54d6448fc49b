# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which of a server's models is to be asked."""

from __future__ import annotations

from molmo_ros.remote.served_model import ServedModel, served_model
from molmo_ros.remote.server_error import ServerError, Trouble
from molmo_ros.remote.server_link import ServerLink

LISTING = 5.0
"""So long may a server take to say which models it has [s]."""


async def find_model(link: ServerLink, name: str = "", family: str = "") -> ServedModel:
    """The model that is to be asked, by the server's list of models.

    Args:
        link: To the server.
        name: See `served_model`; with a name, a server need not have such a list.
        family: See `served_model`.

    Raises:
        ServerError: See `served_model`, or the server does not answer.
    """
    try:
        listing = await link.get("models", LISTING)
    except ServerError as error:
        if not name or error.trouble not in (Trouble.UNKNOWN, Trouble.FAILED):
            raise
        listing = {"data": []}
    return served_model(listing, link.address.base, name, family)
