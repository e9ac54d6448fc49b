# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether files and folders may be used: only those that nobody else could have written.

A serialised engine is code. Its folder, the folder around it and all its files must belong to this user or to root, and
nobody else may write to them. Folders further up need no such check: whoever can write there can put another folder in
the place of this one, but cannot give it this user as its owner.
"""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from molmo_ros.engine.errors import EngineError, TamperedEngineError

ROOT = 0
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def check_folder(folder: Path) -> None:
    """Refuses an engine's folder that others could have written to.

    Raises:
        EngineError: There is no such folder.
        TamperedEngineError: It is a link, belongs to somebody else, or others may write to it or to the folder around
            it; the message has the command that mends it.
    """
    folder = Path(os.path.abspath(folder))
    try:
        state, around = os.stat(folder, follow_symlinks=False), os.stat(folder.parent)
    except (OSError, ValueError) as error:
        raise EngineError(
            f"no engine in {str(folder)!r:.200}: {getattr(error, 'strerror', error)}"
        ) from error
    if stat.S_ISLNK(state.st_mode):
        raise TamperedEngineError(f"{folder} is a link; name the folder that it leads to")
    if not stat.S_ISDIR(state.st_mode):
        raise EngineError(f"{folder} is no engine: an engine is a folder")
    check_private(folder.parent, around)
    check_private(folder, state)


def check_private(path: Path, state: os.stat_result) -> None:
    """Refuses what others could have written.

    Args:
        path: For the message.
        state: Of the file or folder.

    Raises:
        TamperedEngineError: It belongs to somebody else, or others may write to it.
    """
    if state.st_uid not in (os.geteuid(), ROOT):
        raise TamperedEngineError(
            f"{path} belongs to {_user(state.st_uid)}; an engine is code, and only those of {_user(os.geteuid())} or "
            f"root are run. If nobody tampered with it: sudo chown -R {os.geteuid()} {shlex.quote(str(_owned(path)))}"
        )
    if not state.st_mode & OTHERS_WRITE:
        return
    who = "everybody" if state.st_mode & stat.S_IWOTH else "its group"
    if state.st_mode & stat.S_ISVTX:
        raise TamperedEngineError(f"{path} is shared by {who}; move the engine to a folder of your own")
    raise TamperedEngineError(
        f"{path} can be written by {who} (mode {stat.S_IMODE(state.st_mode):04o}), and an engine is code. If nobody "
        f"tampered with it: chmod go-w {shlex.quote(str(path))}"
    )


@contextmanager
def open_trusted(path: Path) -> Iterator[int]:
    """A file descriptor of a file that only this user or root can have written.

    Raises:
        EngineError: There is no such file, or it cannot be read.
        TamperedEngineError: It is a link or no regular file, belongs to somebody else, or others may write to it.
    """
    try:
        # Without O_NONBLOCK a named pipe in the place of the file would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if os.path.islink(path):
            raise TamperedEngineError(f"{path} is a link, not a file of its own") from error
        raise EngineError(f"{path} cannot be read: {error.strerror}") from error
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise TamperedEngineError(f"{path} is no regular file")
        check_private(path, state)
        yield descriptor
    except OSError as error:  # a failing disk
        raise EngineError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _owned(path: Path) -> Path:
    """What changes hands as a whole: of an engine's file, the engine."""
    return path if path.is_dir() else path.parent


def _user(uid: int) -> str:
    """For messages; users of another machine or container have no name here."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
