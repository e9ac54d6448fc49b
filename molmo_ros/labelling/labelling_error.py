# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What goes wrong with a whole run, or with one episode."""

from __future__ import annotations

from molmo_ros.molmo.errors import MolmoError


class LabellingError(MolmoError):
    """An input, an episode or the output folder is not what it should be; the message says what to do."""


class DiskFullError(LabellingError):
    """Nothing more can be written below the output folder: the run ends, and what is done stays."""


class MissingExtraError(LabellingError):
    """A library of the extra is not installed.

    Args:
        name: The module that was not found.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"labelling needs {name}, which is not installed. It is of the extra scale: "
            "pip install ray pyarrow av, or in a checkout pip install -e '.[scale]'"
        )
