# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Errors of evaluating."""

from __future__ import annotations

import sys

from molmo_ros.molmo.errors import MolmoError


class EvaluationError(MolmoError):
    """A benchmark cannot be read, asked or scored, or its answers cannot be kept; the message says what to do."""


class UnusableError(EvaluationError):
    """One question of a benchmark cannot be asked or scored; the message says why, and the others go on."""


class NotKeptError(EvaluationError):
    """Answers or a report cannot be written, as on a full disk; what was kept before is whole."""


class MissingEvalLibraryError(EvaluationError):
    """What the extra `eval` brings is not installed.

    Args:
        name: The module that was not found.
        needed_for: What it does here.
    """

    def __init__(self, name: str, needed_for: str) -> None:
        super().__init__(
            f"{sys.executable} has no {name}, which {needed_for} needs. It comes with the extra eval; in the checkout: "
            "pip install '.[eval]'"
        )
