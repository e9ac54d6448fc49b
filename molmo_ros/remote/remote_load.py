# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds the model behind a server, and makes it ready to be asked."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import TimeoutError as LateError
from dataclasses import dataclass, fields
from typing import Any

from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.families.table import FAMILIES
from molmo_ros.remote.fallback_molmo import FallbackMolmo, LocalModel
from molmo_ros.remote.model_search import LISTING
from molmo_ros.remote.outgoing_picture import LOSSLESS
from molmo_ros.remote.remote_molmo import PATIENCE, RemoteMolmo
from molmo_ros.remote.server_address import ServerAddress
from molmo_ros.remote.server_error import ServerError, Trouble
from molmo_ros.remote.server_link import ServerLink
from molmo_ros.remote.server_state import ServerRecord
from molmo_ros.remote.server_watch import ServerWatch


@dataclass(frozen=True)
class RemoteChoice:
    """A server, and how it is asked.

    Attributes:
        server: Its address: `http://workstation:8000`.
        model: What the server calls the model; "" for the only one that it has.
        family: Whose words it was trained on, one of `FAMILIES`; "" to go by its name.
        certificate: A file with the certificate that the server's is signed by; "" for those that the system trusts.
        patience: How long the server may say nothing [s].
        jpeg_quality: Of the pictures that are sent, 1 to 100; 0 for PNG, the very pixels.
    """

    server: str
    model: str = ""
    family: str = ""
    certificate: str = ""
    patience: float = PATIENCE
    jpeg_quality: int = LOSSLESS

    def __post_init__(self) -> None:
        if self.family and self.family not in FAMILIES:
            raise MolmoError(
                f"server_family {self.family!r:.80} is not known; it must be one of {', '.join(FAMILIES)}, or empty"
            )
        patience = self.patience
        if isinstance(patience, bool) or not isinstance(patience, (int, float)) or not 0 < patience <= 3600:
            raise MolmoError(f"server_patience is {patience!r:.80} s; it must be above 0, up to 3600")
        if type(self.jpeg_quality) is not int or not 0 <= self.jpeg_quality <= 100:
            raise MolmoError(
                f"server_jpeg_quality is {self.jpeg_quality!r:.80}; it must be 1 to 100, or 0 for PNG"
            )


def remote_molmo(server: str, model: str = "", **choice: Any) -> RemoteMolmo:
    """A model that a server runs: `molmo-ros serve`, vLLM, SGLang, or another that has OpenAI's chat completions.

    The server's key, where it asks for one, is taken from the environment variable `MOLMO_ROS_SERVER_KEY`.

    Args:
        server: See `RemoteChoice`.
        model: See `RemoteChoice`.
        choice: The rest of it.

    Raises:
        ServerError: The server is not there, has no such model, or this Python has no HTTP client.
        MolmoError: Another argument is out of range.
    """
    link, record, watch = _opened(RemoteChoice(server, model, **choice))
    try:
        _find(link, watch)
    except MolmoError:
        link.close()
        raise
    assert watch.remote is not None
    return watch.remote


def fallback_molmo(
    choice: RemoteChoice,
    load_local: Callable[[], LocalModel] | None = None,
    name: str = "",
    log: Callable[[str], None] = lambda text: None,
) -> FallbackMolmo:
    """The same for a server that may be away, and a model that then answers.

    A server that cannot be reached or fails is waited for in the background; one that refuses is an error, as somebody
    has to change something.

    Args:
        choice: The server.
        load_local: Loads the other model; None where there is none.
        name: What people call that.
        log: Told if the server is away.

    Raises:
        ServerError: The server refuses, has no such model, or this Python has no HTTP client.
        MolmoError: The other model cannot be loaded.
    """
    link, record, watch = _opened(choice)
    try:
        try:
            _find(link, watch)
        except ServerError as error:
            if error.is_lasting or error.trouble is Trouble.NONSENSE:
                raise
            record.is_down(str(error))
            log(f"{error}; it is waited for" + (f", and {name} answers meanwhile" if name else ""))
        local = None if load_local is None else load_local()
    except BaseException:
        link.close()
        raise
    return FallbackMolmo(link, watch, record, local, name)


def _opened(choice: RemoteChoice) -> tuple[ServerLink, ServerRecord, ServerWatch]:
    address = ServerAddress.of(choice.server, choice.certificate)
    link, record = ServerLink(address), ServerRecord(address.base)

    def make(served: Any) -> RemoteMolmo:
        return RemoteMolmo(link, served, record, patience=choice.patience, jpeg_quality=choice.jpeg_quality)

    return link, record, ServerWatch(link, record, make, choice.model, choice.family, choice.patience)


def _find(link: ServerLink, watch: ServerWatch) -> None:
    """Looks which model is there.

    Raises:
        ServerError: None is.
    """
    finding = link.start(watch.find())
    try:
        finding.result(LISTING + 1)
    except LateError:
        finding.cancel()
        raise ServerError(Trouble.SILENT, f"{link.address.base} does not answer") from None


def open_remote(
    choice: RemoteChoice,
    fallback: str = "",
    load_fallback: Callable[[], LocalModel] | None = None,
    *,
    waits: bool = False,
    log: Callable[[str], None] = lambda text: None,
) -> RemoteMolmo | FallbackMolmo:
    """A model behind a server, with or without another one that answers while the server is away.

    Args:
        choice: The server.
        fallback: The other model, for people; "" for none.
        load_fallback: Loads it.
        waits: Whether a server that is away now is waited for, also where there is no other model.
        log: Told if the server is away.

    Raises:
        ServerError, MolmoError: See `remote_molmo` and `fallback_molmo`.
    """
    if fallback or waits:
        return fallback_molmo(choice, load_fallback if fallback else None, fallback, log)
    return remote_molmo(**{field.name: getattr(choice, field.name) for field in fields(choice)})
