# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where the files of a model lie: in its folder, or, of an adapter, the others in the folder of its base model."""

from __future__ import annotations

import os
from pathlib import Path

from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.json_file import read_json

ADAPTER = "adapter_config.json"
"""What PEFT writes beside the tensors of an adapter."""
TENSORS, PICKLE = "adapter_model.safetensors", "adapter_model.bin"
WHOLE = ("model.safetensors", "model.safetensors.index.json")
BASE_KEY = "base_model_name_or_path"


def base_folder(folder: str | Path) -> Path | None:
    """The folder of the model that an adapter belongs to; None for a folder that is no adapter.

    Raises:
        CheckpointError: The adapter does not say which, that model is not on this machine or an adapter itself, or
            the folder holds a whole model, too.
    """
    folder = Path(folder)
    if not (folder / ADAPTER).is_file():
        return None
    if whole := [name for name in WHOLE if (folder / name).is_file()]:
        raise CheckpointError(
            f"{folder} holds a whole model ({whole[0]}) and an adapter ({ADAPTER}); nothing tells whether the one was "
            f"merged into the other. Move the adapter into a folder of its own, or delete it if it was merged"
        )
    name = read_json(folder / ADAPTER).get(BASE_KEY)
    if not isinstance(name, str) or not name.strip():
        raise CheckpointError(
            f"{folder / ADAPTER} names no model that it belongs to: {BASE_KEY} is {name!r:.80}"
        )
    try:
        beside = folder / name
        base = beside if not os.path.isabs(name) and beside.is_dir() else checkpoint_folder(name)
    except (CheckpointError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{folder} is an adapter for the model {name!r:.200}, which cannot be used: {error!s:.500}. Fetch it, or "
            f"set {BASE_KEY} in {ADAPTER} to its folder"
        ) from error
    if (base / ADAPTER).is_file():
        raise CheckpointError(f"{folder} is an adapter for another adapter, {base}; merge that one first")
    return base


def adapter_files(folder: Path) -> list[Path]:
    """What an adapter consists of.

    Raises:
        CheckpointError: Its tensors are not there, or pickled.
    """
    if not (folder / TENSORS).is_file():
        pickled = f", only {PICKLE}: pickled weights are not read, because a pickle can run any code; save it again "
        there = f"{pickled}with safe_serialization=True" if (folder / PICKLE).is_file() else ""
        raise CheckpointError(f"{folder} is an adapter without {TENSORS}{there}")
    return [folder / ADAPTER, folder / TENSORS]


def holding(folder: str | Path, *names: str) -> Path:
    """The folder with one of these files: the model's own, or, where that is an adapter without them, its base's."""
    folder = Path(folder)
    if any((folder / name).is_file() for name in names):
        return folder
    return base_folder(folder) or folder
