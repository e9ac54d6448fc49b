# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What goes with engine remote, as the node, the command line and Python call it."""

from __future__ import annotations

from dataclasses import dataclass

from molmo_ros.molmo.errors import MolmoError
from molmo_ros.remote.outgoing_picture import LOSSLESS
from molmo_ros.remote.remote_load import RemoteChoice
from molmo_ros.remote.remote_molmo import PATIENCE

NOT_NAMED = "tiny"
"""The model where none is named; a server has its own."""


@dataclass(frozen=True)
class ServerArguments:
    """What goes with engine remote, by the names of the node's parameters; "" where nothing is said."""

    server: str = ""
    server_model: str = ""
    server_family: str = ""
    server_certificate: str = ""
    server_patience: float = PATIENCE
    server_jpeg_quality: int = LOSSLESS
    fallback_model: str = ""
    fallback_engine: str = "auto"

    def choice(self, model: str = NOT_NAMED) -> RemoteChoice:
        """The server.

        Args:
            model: What was given as the model where a model of this machine would be named.

        Raises:
            MolmoError: No server is named, a value is out of range, or two models are named.
        """
        if model != NOT_NAMED and self.server_model not in ("", model):
            raise MolmoError(
                f"model {model!r:.200} and server_model {self.server_model!r:.200}: with engine remote either is "
                "what the server calls its model"
            )
        if not self.server:
            raise MolmoError(
                "engine remote asks a server: say which with server, as in http://192.168.1.20:8000"
            )
        if self.fallback_engine == "remote":
            raise MolmoError(
                "fallback_engine remote would be away when the network is; take one of this machine"
            )
        return RemoteChoice(
            self.server,
            self.server_model or ("" if model == NOT_NAMED else model),
            self.server_family,
            self.server_certificate,
            self.server_patience,
            self.server_jpeg_quality,
        )
