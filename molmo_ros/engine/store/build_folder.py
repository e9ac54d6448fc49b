# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where an engine is built, and how it becomes one of this machine's engines.

`<home>/.building/<name>` holds the parts while they are made, and keeps them when a build ends early. A finished build
is renamed to `<home>/<name>` as a whole, with its manifest written last: there is never half an engine.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.runtime_table import RUNTIMES
from molmo_ros.engine.store.engines_home import make_home
from molmo_ros.engine.store.jit_cache import JIT_FILES, UNFINISHED
from molmo_ros.engine.store.kept_pass_times import PASS_TIMES_FILES
from molmo_ros.engine.store.manifest import MANIFEST, Manifest
from molmo_ros.engine.store.trust import check_private

BUILDING = ".building"
ENGINE_FILES = {MANIFEST, *(name for runtime in RUNTIMES.values() for name in runtime.files)}
"""All that an engine's folder ever holds."""


class BuildFolder:
    """The folder of one engine's build, held alone; a context manager.

    Attributes:
        path: The folder, 0700; what an earlier build of the name left is still there.
    """

    def __init__(self, home: Path, name: str) -> None:
        """Only remembers where.

        Raises:
            EngineError: No folder can have that name.
        """
        if (
            not name.strip()
            or "/" in name
            or "\0" in name
            or name.startswith(".")
            or len(os.fsencode(name)) > 200
        ):
            raise EngineError(
                f"{name!r:.200} cannot be an engine's name: one to 200 bytes, no '/', no '.' at first"
            )
        self._home, self._target = home, home / name
        self.path = home / BUILDING / name
        # Names do not begin with a dot, so these are nobody's.
        self._lock, self._staged, self._aside = (
            home / BUILDING / f".{name}.{end}" for end in ("lock", "new", "old")
        )
        self._handle: int | None = None

    def __enter__(self) -> BuildFolder:
        """Makes the folder, and keeps other builds out of it until the end of this process at the latest.

        Raises:
            EngineError: Another build of this name is at work, or the folder cannot be made.
            TamperedEngineError: Others can write to a folder here.
        """
        make_home(self._home)
        make_home(self.path.parent)
        try:
            self._handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            self._take_lock(self._handle)
            self.path.mkdir(mode=0o700, exist_ok=True)
            check_private(self.path, os.stat(self.path, follow_symlinks=False))
            self._go_back()
        except OSError as error:
            self._release()
            raise EngineError(f"{self.path} cannot be made: {error.strerror}") from error
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Lets other builds in; what is in the folder stays."""
        self._release()

    def install(self, manifest: Manifest) -> Path:
        """Makes the build an engine, in the place of the one that had its name.

        Args:
            manifest: Of the finished files; the others of the build folder are deleted with it.

        Returns:
            The engine's folder.

        Raises:
            EngineError: A file is missing or is not the manifest's, or the disk does not take it; the build folder
                stays, and an engine that was there before is still there.
        """
        if os.path.lexists(self._target) and not is_engine(self._target):
            raise EngineError(
                f"{self._target} is there and no engine; move it away, then run the command again"
            )
        try:
            self._stage(manifest)
            self._replace()
        except OSError as error:
            self._go_back()
            raise EngineError(
                f"the engine {self._target.name} cannot be put into {self._home}: {error.strerror}; what was built "
                f"stays in {self.path}"
            ) from error
        except BaseException:
            self._go_back()
            raise
        shutil.rmtree(self._aside, ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)
        return self._target

    def _stage(self, manifest: Manifest) -> None:
        """Collects the engine's files, for this user only and safely on the disk, and adds the manifest."""
        for name, expected in manifest.files.items():
            path = self.path / name
            if path.is_symlink() or not path.is_file() or path.stat().st_size != expected.size:
                raise EngineError(f"{path} is not the file of {expected.size} bytes that was built")
            os.chmod(path, 0o600)
            _sync(path)
        self._staged.mkdir(mode=0o700)
        for name in manifest.files:
            os.rename(self.path / name, self._staged / name)
        manifest.write(self._staged)
        _sync(self._staged)

    def _replace(self) -> None:
        if self._target.exists():
            os.rename(self._target, self._aside)
        os.rename(self._staged, self._target)
        with suppress(OSError):  # some file systems of the network's
            _sync(self._home)

    def _go_back(self) -> None:
        """Undoes what an installation began, now or before a crash; nothing where it came to its end."""
        if self._staged.exists():
            for path in self._staged.iterdir():
                if path.name in ENGINE_FILES - {MANIFEST}:
                    os.rename(path, self.path / path.name)
            shutil.rmtree(self._staged)
        if self._aside.exists():
            if self._target.exists():
                shutil.rmtree(self._aside)
            else:
                os.rename(self._aside, self._target)

    def _take_lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EngineError(
                f"another build of {self._target.name} is at work; wait until it is done"
            ) from error
        except OSError:  # a file system without locks, such as some of the network's
            pass

    def _release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def is_engine(folder: Path) -> bool:
    """Whether a folder holds the files of an engine, perhaps damaged ones, and nothing else."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    kept = JIT_FILES | UNFINISHED | PASS_TIMES_FILES  # beside it, by what has run it
    return {path.name for path in folder.iterdir()} <= ENGINE_FILES | {f".{MANIFEST}.new"} | kept


def remove_engine(folder: Path) -> None:
    """Deletes an engine, its manifest first, so that what a broken-off removal leaves is not loaded.

    Raises:
        EngineError: The folder holds anything else, of which nothing is touched, or it cannot be deleted.
    """
    try:
        if not is_engine(folder):
            raise EngineError(f"{folder} is a link or holds more than an engine; remove it yourself")
        (folder / MANIFEST).unlink(missing_ok=True)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    except OSError as error:
        raise EngineError(f"{folder} cannot be removed: {error.strerror}") from error


def _sync(path: Path) -> None:
    """Waits until a file or a folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
