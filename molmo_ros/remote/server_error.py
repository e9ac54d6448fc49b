# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What goes wrong with a server, and what follows from it."""

from __future__ import annotations

from enum import Enum

from molmo_ros.molmo.errors import MolmoError


class Trouble(Enum):
    """The kinds of it."""

    UNREACHABLE = "unreachable"
    """Nobody is there: it may come back."""
    SILENT = "silent"
    """It took the question, and no more came within the time that it was given."""
    CUT = "cut"
    """The connection ended in the middle of an answer."""
    NONSENSE = "nonsense"
    """What came is nothing that such a server says."""
    FAILED = "failed"
    """It says that it has failed: 5xx."""
    BUSY = "busy"
    """It says that it has too much to do: 429, or 503 with the time to come again."""
    REFUSED = "refused"
    """It wants another key, or is no server of this kind: nothing helps until somebody has changed something."""
    UNKNOWN = "unknown"
    """It knows no such path or model; the same holds."""
    REQUEST = "request"
    """It does not take this one request; others it may."""
    LIBRARY = "library"
    """This Python has no HTTP client."""


class ServerError(MolmoError):
    """A server gave no answer.

    Args:
        trouble: What kind of trouble.
        message: A sentence with the server's address, what happened and what to do.
        retry_after: After which time the server wants to be asked again [s]; None where it did not say.
    """

    def __init__(self, trouble: Trouble, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.trouble, self.retry_after = trouble, retry_after

    @property
    def server_is_down(self) -> bool:
        """Whether the next query would fare no better."""
        return self.trouble not in (Trouble.BUSY, Trouble.REQUEST)

    @property
    def is_lasting(self) -> bool:
        """Whether somebody has to change something."""
        return self.trouble in (Trouble.REFUSED, Trouble.UNKNOWN, Trouble.LIBRARY)
