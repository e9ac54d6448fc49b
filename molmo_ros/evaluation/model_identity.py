# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which model answered, what ran it, and versions: what a score is worth nothing without."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.store.checkpoint_hash import checkpoint_sha256
from molmo_ros.molmo.catalog.checksums import read_checksums
from molmo_ros.molmo.catalog.model_store import FetchNote, checkpoint_folder
from molmo_ros.molmo.running.runtime import Runtime

PACKAGES = ("molmo_ros", "torch", "numpy", "opencv-python-headless", "onnxruntime", "scipy", "pyarrow")
SNAPSHOTS = "snapshots"
"""Where the hub's own cache has the folders of a repository's commits."""


def model_identity(model: str | Path) -> dict[str, Any]:
    """What was asked.

    Args:
        model: A name, a hub id or a folder.

    Returns:
        name, hub_id and revision (the commit; None where the folder does not say) and checkpoint_sha256.

    Raises:
        CheckpointError: There is no such model, or its files are damaged.
    """
    folder = checkpoint_folder(model)
    note, checksums = FetchNote.read(folder), read_checksums(folder)
    origin = checksums.origin if checksums else {}
    hub_id, revision = origin.get("repository"), origin.get("revision")
    if note is not None:
        hub_id, revision = note.hub_id, note.commit
    elif folder.parent.name == SNAPSHOTS:
        revision = folder.name
    return {
        "name": str(model),
        "hub_id": hub_id,
        "revision": revision,
        "checkpoint_sha256": checkpoint_sha256(folder),
    }


def engine_identity(runtime: Runtime) -> dict[str, Any]:
    """What ran the model: its name, number format, device, and the manifest of an engine that was built; else None."""
    manifest = runtime.manifest if isinstance(runtime, EngineRuntime) else None
    return {
        "runtime": runtime.name,
        "dtype": str(runtime.dtype).removeprefix("torch."),
        "device": str(runtime.device),
        "manifest": None if manifest is None else manifest.plain(),
    }


def versions() -> dict[str, str]:
    """Of Python and of every package here that a score may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
