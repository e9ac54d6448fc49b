# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Checksums of a model folder: what its files should be, and which of them have been looked at.

`checksums.json` lists every file with size [bytes] and SHA-256, and when a file was found right, its time of
change. A file whose size and time are still those is not read again, so that a start does not read a whole model
twice; any other is. A manifest that came with a download holds what the hub says; nothing here asks the network.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from molmo_ros.molmo.errors import CheckpointError

CHECKSUMS = "checksums.json"
VERSION = 1
BLOCK = 4 << 20
SECOND = 10**9
HashProgress = Callable[[str, int], None]


@dataclass(frozen=True)
class FileChecksum:
    """What one file should be.

    Attributes:
        name: Its path below the folder, with forward slashes.
        size: Bytes.
        sha256: Of its content, 64 lower-case hexadecimal digits.
        changed_ns: Time of change [ns since 1970] of the file when its hash was last found right; None: not yet.
    """

    name: str
    size: int
    sha256: str
    changed_ns: int | None = None


@dataclass(frozen=True)
class Checksums:
    """The files of a folder, and where they came from.

    Attributes:
        files: One entry per file.
        origin: Free text by key, such as {"repository": …, "revision": …}.
    """

    files: tuple[FileChecksum, ...]
    origin: Mapping[str, str]


def sha256_of(path: str | Path, progress: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file, read in blocks.

    Args:
        path: The file.
        progress: Called with the number of bytes of each block.
    """
    digest, block = hashlib.sha256(), memoryview(bytearray(BLOCK))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(block[:count])
            if progress is not None:
                progress(count)
    return digest.hexdigest()


def write_checksums(
    folder: str | Path,
    names: Iterable[str] | None = None,
    *,
    expected: Mapping[str, str] | None = None,
    origin: Mapping[str, str] | None = None,
    progress: HashProgress | None = None,
) -> Checksums:
    """Reads the files of a folder and writes their manifest.

    Args:
        folder: The model folder.
        names: Files relative to it; default: all files directly in it that are not hidden.
        expected: SHA-256 by name, as far as the source tells; what is read must agree.
        origin: Kept in the manifest, such as {"repository": "allenai/Molmo2-ER", "revision": commit}.
        progress: Called with (name, bytes) for each block that was read.

    Returns:
        What was written. All of it counts as verified.

    Raises:
        CheckpointError: A file is missing or differs from `expected`; the message names file, found and
            expected. No manifest is written then.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"no such checkpoint folder: {folder}")
    if names is None:
        found = (path for path in folder.iterdir() if path.is_file())
        names = [path.name for path in found if path.name != CHECKSUMS and not path.name.startswith(".")]
    expected = expected or {}
    files, wrong = [], []
    for name in sorted(set(names) | set(expected)):
        path = _inside(folder, name)
        if not os.path.isfile(path):  # also for names that no file can have
            wrong.append(f"{name} is missing")
            continue
        entry = _read(path, name, progress)
        if entry.sha256 != expected.get(name, entry.sha256).lower():
            wrong.append(
                f"{name} ({entry.size} bytes): found SHA-256 {entry.sha256}, expected {expected[name]}"
            )
        files.append(entry)
    if wrong:
        raise CheckpointError(f"files in {folder} are not what they should be: {'; '.join(wrong)}")
    manifest = Checksums(tuple(files), dict(origin or {}))
    _write(folder, manifest)
    return manifest


def read_checksums(folder: str | Path) -> Checksums | None:
    """The manifest of a folder; None where it has none.

    Raises:
        CheckpointError: The manifest is damaged.
    """
    path = Path(folder) / CHECKSUMS
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["version"] != VERSION:
            raise ValueError(f"version {raw['version']!r:.200}; this package reads version {VERSION}")
        files = tuple(FileChecksum(**entry) for entry in raw["files"])
        origin = {str(key): str(value) for key, value in raw.get("origin", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is damaged: {error!r:.200}; delete it or fetch the model again"
        ) from error
    for entry in files:
        sound = isinstance(entry.name, str) and isinstance(entry.size, int) and _is_sha256(entry.sha256)
        if not sound or not isinstance(entry.changed_ns, int | None):
            raise CheckpointError(f"{path} is damaged: {entry}; delete it or fetch the model again")
        _inside(Path(folder), entry.name)
    return Checksums(files, origin)


def verify_checksums(folder: str | Path, full: bool = False, progress: HashProgress | None = None) -> bool:
    """Compares the files of a folder with its manifest.

    Sizes are compared always. A file is read and hashed if its time of change is not the one of the last
    verification, or always with `full`. What was found right is noted in the manifest; where the folder cannot be
    written, the files will be read again the next time.

    Args:
        folder: The model folder. Files that the manifest does not list are left alone.
        full: Whether to hash every file.
        progress: Called with (name, bytes) for each block that is read.

    Returns:
        Whether there is a manifest.

    Raises:
        CheckpointError: The manifest is damaged, or files are missing or differ; the message names each one with
            what was found and expected.
    """
    folder = Path(folder)
    manifest = read_checksums(folder)
    if manifest is None:
        return False
    wrong, checked = [], []
    for entry in manifest.files:
        path = folder / entry.name
        if not os.path.isfile(path):  # also for names that no file can have
            wrong.append(f"{entry.name:.200} is missing (expected {entry.size} bytes)")
            continue
        state = path.stat()
        if state.st_size != entry.size:
            wrong.append(f"{entry.name}: found {state.st_size} bytes, expected {entry.size}")
        elif full or not _unchanged(entry.changed_ns, state.st_mtime_ns):
            found = _read(path, entry.name, progress)
            if found.sha256 != entry.sha256:
                wrong.append(f"{entry.name}: found SHA-256 {found.sha256}, expected {entry.sha256}")
            entry = replace(entry, changed_ns=found.changed_ns)
        checked.append(entry)
    if wrong:
        raise CheckpointError(
            f"files in {folder} differ from its {CHECKSUMS}: {'; '.join(wrong)}. Fetch the model again, or delete "
            f"{CHECKSUMS} if the change was intended"
        )
    if tuple(checked) != manifest.files:
        with suppress(OSError):  # A folder that cannot be written is still a sound one.
            _write(folder, replace(manifest, files=tuple(checked)))
    return True


def _read(path: Path, name: str, progress: HashProgress | None) -> FileChecksum:
    """What the file is. Its time is taken before it is read: a change in between is seen the next time."""
    state = path.stat()
    digest = sha256_of(path, None if progress is None else lambda count: progress(name, count))
    return FileChecksum(name, state.st_size, digest, state.st_mtime_ns)


def _unchanged(recorded: int | None, found: int) -> bool:
    """Whether it is the same time; archives and some file systems keep whole seconds only."""
    if recorded is None:
        return False
    return found == recorded or (found % SECOND == 0 and found // SECOND == recorded // SECOND)


def _inside(folder: Path, name: str) -> Path:
    """The path of a listed name, which may not lead out of the folder."""
    pure = PurePosixPath(name)
    if not name or pure.is_absolute() or ".." in pure.parts or "\\" in name:
        raise CheckpointError(
            f"{folder / CHECKSUMS}: {name!r:.200} is not the name of a file below the folder"
        )
    return folder / pure


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _write(folder: Path, manifest: Checksums) -> None:
    """In one step: a reader sees the old manifest or the new one."""
    raw = {
        "version": VERSION,
        "origin": dict(manifest.origin),
        "files": [asdict(entry) for entry in manifest.files],
    }
    handle, temporary = tempfile.mkstemp(prefix=f".{CHECKSUMS}.", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(raw, indent=2) + "\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, folder / CHECKSUMS)
    except BaseException:
        os.unlink(temporary)
        raise
