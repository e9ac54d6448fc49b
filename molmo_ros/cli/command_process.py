# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The process that a command runs in: its signals, its streams, and what the package logs."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from molmo_ros.cli.printable import complain, printable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Why a stream cannot be written to."""


def restore_interrupts() -> None:
    """SIGINT interrupts also where it was ignored when the process began.

    A shell without job control starts `command &` so (POSIX, "Asynchronous Lists"), and nohup scripts, cron and CI
    runners pass it on; children of this process would inherit it.
    """
    with suppress(ValueError):  # only the main thread may
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)


class CommandProcess:
    """Signals and streams, where the process is the command's own. A context manager.

    Attributes:
        interrupted: SIGINT has come.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._started = False

    def __enter__(self) -> CommandProcess:
        signal.signal(signal.SIGINT, self._on_interrupt)
        _open_closed_streams()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # an answer may hold what the terminal's encoding has not
                stream.reconfigure(errors="backslashreplace")
        return self

    def __exit__(self, *_exception: object) -> None:
        # Nothing is left to be interrupted but the end of the interpreter, which would print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def started(self) -> None:
        """From now on the command cleans up after itself when it is interrupted."""
        self._started = True

    def finish(self, code: int) -> int:
        """Write out what was printed; the exit code is 1 where that fails."""
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            self.discard_output()
        except OSError as error:
            self.discard_output()
            complain(write_error(error))
            code = code or 1
        try:
            sys.stderr.flush()
        except OSError:
            _discard(sys.stderr)
        return code

    def discard_output(self) -> None:
        """What stdout still holds cannot be written: let it go, or the interpreter's end would try again."""
        _discard(sys.stdout)

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.interrupted = True
        if not self._started:  # nothing is under way but imports, which an exception would leave half done
            os.write(2, b"molmo-ros: interrupted\n")
            os._exit(130)
        raise KeyboardInterrupt


def write_error(error: OSError) -> str:
    """What could not be read or written, and why."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{error.filename}: {reason}"
    return f"the output cannot be written: {reason}" if error.errno in FULL else reason


@contextmanager
def lines_of_the_log() -> Iterator[None]:
    """What the package logs goes to stderr, a line each, in characters that a terminal may show."""
    handler, logger = logging.StreamHandler(sys.stderr), logging.getLogger("molmo_ros")
    handler.setFormatter(_Line())
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"molmo-ros: {printable(' '.join(super().format(record).split()))}"


def _open_closed_streams() -> None:
    """A stream that was closed (`>&-`) leads nowhere, and not to the next file that is opened."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _discard(stream: Any) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
