# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The config.json of a folder with a whole model."""

from __future__ import annotations

import os
from pathlib import Path

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families.table import parse_config
from molmo_ros.molmo.json_file import read_json

FILES = ("*.json", "*.safetensors", "merges.txt")
LISTED = 3


def read_config_file(folder: Path) -> MolmoConfig:
    """Reads `folder`/config.json.

    Raises:
        CheckpointError: No such folder or file, not JSON, or a model that is not supported.
    """
    refuse_unreadable(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} has no config.json")
    raw = read_json(path)
    try:
        return parse_config(raw)
    except CheckpointError as error:
        raise type(error)(f"{path}: {error}") from error


def refuse_unreadable(folder: Path) -> None:
    """Refuses what is no folder, and one whose files are links to what is gone, as after the hub's cache was cleaned.

    Raises:
        CheckpointError: Names them.
    """
    if not folder.is_dir():
        raise CheckpointError(f"no such checkpoint folder: {folder}")
    gone = [path for pattern in FILES for path in sorted(folder.glob(pattern)) if not path.exists()]
    if gone:
        names = ", ".join(f"{path.name} -> {os.readlink(path):.200}" for path in gone[:LISTED])
        more = f" and {len(gone) - LISTED} more" if len(gone) > LISTED else ""
        raise CheckpointError(
            f"{folder} has links to files that are gone: {names}{more}. Was the hub's cache cleaned, or copied without "
            "its blobs? Fetch the model again, or copy it with its links followed (cp -rL)"
        )
