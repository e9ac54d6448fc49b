# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds the model behind a server, and makes it ready to be asked."""

from __future__ import annotations

from concurrent.futures import TimeoutError as LateError

from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.families.table import FAMILIES
from molmo_ros.remote.outgoing_picture import LOSSLESS
from molmo_ros.remote.remote_molmo import PATIENCE, RemoteMolmo
from molmo_ros.remote.served_model import ServedModel, served_model
from molmo_ros.remote.server_address import ServerAddress
from molmo_ros.remote.server_error import ServerError, Trouble
from molmo_ros.remote.server_link import ServerLink
from molmo_ros.remote.server_state import ServerRecord

LISTING = 5.0
"""So long may a server take to say which models it has [s]."""


def remote_molmo(
    server: str,
    model: str = "",
    *,
    family: str = "",
    certificate: str = "",
    patience: float = PATIENCE,
    jpeg_quality: int = LOSSLESS,
) -> RemoteMolmo:
    """A model that a server runs: `molmo-ros serve`, vLLM, SGLang, or another that has OpenAI's chat completions.

    The server's key, where it asks for one, is taken from the environment variable `MOLMO_ROS_SERVER_KEY`.

    Args:
        server: Its address: "http://workstation:8000".
        model: What the server calls the model; "" for the only one that it has.
        family: Whose words it was trained on, one of `FAMILIES`; "" to go by its name.
        certificate: A file with the certificate that the server's is signed by; "" for those that the system trusts.
        patience: How long the server may say nothing [s].
        jpeg_quality: Of the pictures that are sent, 1 to 100; 0 for PNG, the very pixels.

    Raises:
        ServerError: It is not there, has no such model, or this Python has no HTTP client.
        MolmoError: Another argument is out of range.
    """
    check_settings(family, patience, jpeg_quality)
    address = ServerAddress.of(server, certificate)
    link = ServerLink(address)
    try:
        served = link.start(find_model(link, model, family)).result(LISTING + 1)
    except LateError:
        link.close()
        raise ServerError(Trouble.SILENT, f"{address.base} does not answer") from None
    except MolmoError:
        link.close()
        raise
    record = ServerRecord(address.base)
    record.is_up(served.name)
    return RemoteMolmo(link, served, record, patience=patience, jpeg_quality=jpeg_quality)


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


def check_settings(family: str, patience: float, jpeg_quality: int) -> None:
    """Refuses what is out of range.

    Raises:
        MolmoError: It is.
    """
    if family and family not in FAMILIES:
        raise MolmoError(
            f"server_family {family!r:.80} is not known; it must be one of {', '.join(FAMILIES)}, or empty"
        )
    if not isinstance(patience, (int, float)) or not 0 < patience <= 3600:
        raise MolmoError(f"the server's patience is {patience!r:.80} s; it must be above 0, up to 3600")
    if type(jpeg_quality) is not int or not 0 <= jpeg_quality <= 100:
        raise MolmoError(f"jpeg_quality is {jpeg_quality!r:.80}; it must be 1 to 100, or 0 for PNG")
