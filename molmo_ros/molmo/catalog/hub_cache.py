# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Models that the Hugging Face hub's own programs left on this machine.

Its cache holds a folder for each repository, `models--ORG--NAME`: `refs/main` names a commit, `snapshots/COMMIT/` has
links to the contents in `blobs/`. Where the cache lies: HF_HUB_CACHE, else HF_HOME/hub, else huggingface/hub below
XDG_CACHE_HOME or ~/.cache. Source: huggingface_hub's documentation of its cache and of its environment variables.
Nothing here writes, nor asks the network.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from molmo_ros.molmo.errors import CheckpointError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
PREFIX, SNAPSHOTS, REFS = "models--", "snapshots", "refs"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")
LISTED = 12


def hub_cache() -> Path | None:
    """The hub's cache; None where this user has no home and no variable says where."""
    for name, inside in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if value := os.environ.get(name):
            return _expanded(os.path.join(value, inside))
    return _expanded(os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface", "hub"))


def cached_model(hub_id: str, revision: str | None = None) -> Path | None:
    """The snapshot of a repository in the hub's cache; None where it is not there, or holds no weights.

    Args:
        hub_id: The repository, in its own case of letters.
        revision: A commit, or a branch or tag as it was when it was fetched; default: main, else the only one.
    """
    cache = hub_cache()
    if cache is None or not HUB_ID.fullmatch(hub_id):
        return None
    try:
        snapshot = _snapshot(cache / f"{PREFIX}{hub_id.replace('/', '--')}", revision)
    except (OSError, CheckpointError):
        return None
    return snapshot if snapshot and any(os.path.lexists(snapshot / name) for name in WEIGHTS) else None


def inside_cache(folder: Path) -> Path:
    """The snapshot that a folder of the hub's cache stands for; any other folder is itself.

    Args:
        folder: There may be `models--ORG--NAME`, its `snapshots`, or the whole cache where it holds one model.

    Raises:
        CheckpointError: Several snapshots or models are possible (the message lists them), or there is none.
    """
    if (folder / "config.json").exists() or (folder / "adapter_config.json").exists():
        return folder
    if folder.name == SNAPSHOTS and folder.parent.name.startswith(PREFIX):
        folder = folder.parent
    if (folder / SNAPSHOTS).is_dir() and folder.name.startswith(PREFIX):
        if (snapshot := _snapshot(folder, None)) is None:
            raise CheckpointError(
                f"{folder} is of the hub's cache and holds no snapshot; fetch the model again"
            )
        return snapshot
    inner = folder / "hub" if any((folder / "hub").glob(f"{PREFIX}*")) else folder
    models = sorted(path for path in inner.glob(f"{PREFIX}*--*") if (path / SNAPSHOTS).is_dir())
    if not models:
        return folder
    if len(models) == 1:
        return inside_cache(models[0])
    names = [path.name.removeprefix(PREFIX).replace("--", "/") for path in models]
    raise CheckpointError(
        f"{folder} is the hub's cache with {len(names)} models; name one of them: {_listed(names)}"
    )


def _snapshot(repository: Path, revision: str | None) -> Path | None:
    """A snapshot of a repository's folder.

    Raises:
        CheckpointError: There are several, and none of them is main.
    """
    there = sorted(path for path in (repository / SNAPSHOTS).glob("*") if path.is_dir())
    by_name = {path.name: path for path in there}
    wanted = revision or "main"
    if wanted in by_name:
        return by_name[wanted]
    reference = repository / REFS / wanted
    if ".." not in Path(wanted).parts and reference.is_file():
        commit = reference.read_text(encoding="utf-8", errors="replace")[:200].strip()
        if commit in by_name:
            return by_name[commit]
    if revision is not None or not there:
        return None
    if len(there) > 1:
        paths = [str(path) for path in there]
        raise CheckpointError(
            f"{repository} holds {len(there)} snapshots, and none is main; name one of {_listed(paths)}"
        )
    return there[0]


def _expanded(path: str) -> Path | None:
    expanded = os.path.expanduser(os.path.expandvars(path))
    return None if expanded.startswith("~") else Path(expanded)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
