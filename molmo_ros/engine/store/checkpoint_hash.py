# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What identifies a checkpoint: the content of its config.json and of its weights.

Reading 16 GB takes half a minute. So hashes come from the folder's own checksums where it has them, as every fetched
model does; those of other folders are kept in the folder of all engines, for as long as a file stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from molmo_ros.engine.store.engines_home import engines_home, make_home
from molmo_ros.engine.store.trust import open_trusted
from molmo_ros.molmo.catalog.checksums import read_checksums, sha256_of, verify_checksums
from molmo_ros.molmo.catalog.model_folder import adapter_files, base_folder
from molmo_ros.molmo.errors import CheckpointError, MolmoError
from molmo_ros.molmo.weights.weight_files import stored_tensors

CONFIG = "config.json"
KNOWN = "checkpoints.json"
"""SHA-256 by a file's state, in the folder of all engines."""
MOST = 1000
"""Files that are remembered; the oldest are forgotten first."""


def checkpoint_sha256(folder: str | Path, home: Path | None = None) -> str:
    """SHA-256 over the names and the content of a checkpoint's config.json and weight files.

    Args:
        folder: The checkpoint.
        home: Of all engines, where hashes are kept; default `engines_home`.

    Raises:
        CheckpointError: Files are missing or damaged, or differ from the folder's checksums.
    """
    folder = Path(folder)
    if home is None:
        with suppress(MolmoError):  # a user without a home folder: nothing is kept
            home = engines_home()
    if (base := base_folder(folder)) is not None:
        files = {path.name: path for path in adapter_files(folder)}
        return _identity(folder, files, home, checkpoint_sha256(base, home))
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"{folder} has no {CONFIG}")
    weights = {tensor.path for tensor in stored_tensors(folder).values()}
    paths = (folder / CONFIG, *sorted(weights))
    return _identity(folder, {path.relative_to(folder).as_posix(): path for path in paths}, home)


def _identity(folder: Path, files: Mapping[str, Path], home: Path | None, base: str | None = None) -> str:
    """Over the content of some files of a folder by name; an adapter's begins with that of its `base`."""
    listed = _listed(folder)
    known = {} if home is None else _read_known(home)
    fresh: dict[str, str] = {}
    identity = hashlib.sha256(f"{base}  base\n".encode() if base else b"")
    for name, path in files.items():
        digest = listed.get(name) or _sha256(path, known, fresh)
        identity.update(f"{digest}  {name}\n".encode())
    if fresh and home is not None:
        _write_known(home, known | fresh)
    return identity.hexdigest()


def _listed(folder: Path) -> dict[str, str]:
    """SHA-256 by name from the folder's checksums, which hold for the files as they are now."""
    if not verify_checksums(folder):
        return {}
    manifest = read_checksums(folder)
    return {file.name: file.sha256 for file in manifest.files} if manifest else {}


def _sha256(path: Path, known: dict[str, str], fresh: dict[str, str]) -> str:
    """Of a file, which is read if its state is not known; what is learnt goes to `fresh`."""
    try:
        state = _state(path)
        if state in known:
            return known[state]
        digest = sha256_of(path)
        if _state(path) == state:  # it was not written to meanwhile
            fresh[state] = digest
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    return digest


def _state(path: Path) -> str:
    """What tells a changed file from this one."""
    real = os.path.realpath(path)
    state = os.stat(real)
    return f"{real}|{state.st_ino}|{state.st_size}|{state.st_mtime_ns}|{state.st_ctime_ns}"


def _read_known(home: Path) -> dict[str, str]:
    """What was kept; nothing where that is damaged, or others could have written it."""
    try:
        with open_trusted(home / KNOWN) as descriptor, open(descriptor, "rb", closefd=False) as file:
            known = json.loads(file.read())
    except (MolmoError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {state: digest for state, digest in known.items() if isinstance(digest, str) and len(digest) == 64}


def _write_known(home: Path, known: dict[str, str]) -> None:
    """In one step. Where it cannot be written, the files will be read again the next time."""
    kept = dict(list(known.items())[-MOST:])
    with suppress(OSError, MolmoError):
        make_home(home)
        handle, temporary = tempfile.mkstemp(prefix=f".{KNOWN}.", dir=home)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(kept, file, indent=1)
            os.replace(temporary, home / KNOWN)
        except BaseException:
            os.unlink(temporary)
            raise
