# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An engine's files as its manifest says they are: read only while nobody else could have written them."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from molmo_ros.engine.errors import TamperedEngineError
from molmo_ros.engine.store.manifest import EngineFile, Manifest
from molmo_ros.engine.store.trust import check_folder, open_trusted

T = TypeVar("T")
BLOCK = 4 << 20
"""Bytes that are hashed at a time."""


@dataclass(frozen=True)
class VerifiedFiles:
    """Files that were found to be what they should be, for a library that opens them by itself.

    Attributes:
        states: What tells a changed file from this one, by path.
    """

    states: dict[Path, tuple[int, ...]]

    def check_unchanged(self) -> None:
        """To be called when the library has opened them: they must still be the files that were hashed.

        A file that its owner changes and changes back in between, times included, is not noticed; only this user and
        root could.

        Raises:
            TamperedEngineError: One of them is another by now.
        """
        for path, state in self.states.items():
            try:
                found = _state(os.stat(path, follow_symlinks=False))
            except OSError as error:
                raise TamperedEngineError(
                    f"{path} went away while it was opened: {error.strerror}"
                ) from error
            if found != state:
                raise TamperedEngineError(f"{path} was changed while it was opened; is it being built again?")


class TrustedFiles:
    """An installed engine's files, none of which is used before it was held against the manifest."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Looks at nothing yet."""
        self._folder, self._manifest = folder, manifest

    def content(self, name: str) -> mmap.mmap:
        """See `read_verified`."""
        return read_verified(self._folder, self._manifest, name)

    def opened(self, open_in: Callable[[Path], T]) -> T:
        """What a library makes of the files that it opens by itself, given their folder.

        Raises:
            EngineError: See `verify_files`, and `VerifiedFiles.check_unchanged`.
        """
        verified = verify_files(self._folder, self._manifest)
        made = open_in(self._folder)
        verified.check_unchanged()
        return made


def read_verified(folder: Path, manifest: Manifest, name: str) -> mmap.mmap:
    """The content of an engine's file, mapped from the same open file whose hash was found right.

    Mapped and not copied: on a Jetson the GPU's copy takes the memory that a second one would need.

    Args:
        folder: The engine.
        manifest: Its manifest.
        name: One of `manifest.files`.

    Raises:
        EngineError: It cannot be read.
        TamperedEngineError: Others could have written it, or it is not what was built.
    """
    check_folder(folder)
    path = folder / name
    with open_trusted(path) as descriptor:
        _check_content(path, descriptor, manifest.files[name], manifest.command)
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)


def verify_files(folder: Path, manifest: Manifest) -> VerifiedFiles:
    """Reads and compares all files of an engine.

    Raises:
        EngineError: A file cannot be read.
        TamperedEngineError: Others could have written one, or it is not what was built.
    """
    check_folder(folder)
    states = {}
    for name, expected in manifest.files.items():
        path = folder / name
        with open_trusted(path) as descriptor:
            states[path] = _check_content(path, descriptor, expected, manifest.command)
    return VerifiedFiles(states)


def _check_content(path: Path, descriptor: int, expected: EngineFile, rebuild: str) -> tuple[int, ...]:
    """Compares an open file with the manifest; returns its state."""
    before = os.fstat(descriptor)
    if before.st_size != expected.size:
        raise TamperedEngineError(
            f"{path} has {before.st_size} bytes; {expected.size} were built. Build it again: {rebuild}"
        )
    digest, block, offset = hashlib.sha256(), memoryview(bytearray(BLOCK)), 0
    while count := os.preadv(descriptor, [block], offset):
        digest.update(block[:count])
        offset += count
    if digest.hexdigest() != expected.sha256:
        raise TamperedEngineError(
            f"{path} is not what was built: found SHA-256 {digest.hexdigest()}, expected {expected.sha256}. "
            f"Build it again: {rebuild}"
        )
    state = _state(os.fstat(descriptor))
    if state != _state(before):
        raise TamperedEngineError(f"{path} was changed while it was read; is it being built again?")
    return state


def _state(state: os.stat_result) -> tuple[int, ...]:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
