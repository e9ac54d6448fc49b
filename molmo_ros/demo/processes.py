# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The demo's processes: children that are certain to end when their parent does, and room for their images."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from molmo_ros.node.fast_dds import installed_fast_dds

PR_SET_PDEATHSIG = 1
GRACE = 5.0
"""How long a process may take to end after SIGINT [s]."""

SHARED_MEMORY = Path("/dev/shm")
SEGMENT = 17_600_000
"""What each process takes of it: the segment of config/fastdds_shm.xml and its bookkeeping [bytes]."""
NEEDED = 3 * SEGMENT
"""Of camera, node and user [bytes]."""
READY_TIMEOUT = 180.0
"""A cold disk makes importing torch slow [s]."""

_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """Linux: SIGTERM comes when the parent dies, even by SIGKILL."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class ChildError(RuntimeError):
    """A child process ended that should be running."""


class Child:
    """A Python module run as its own process, in its own process group, with its output in a file.

    Args:
        name: For messages.
        module: As in `python -m module`.
        arguments: What follows it.
        log: File for its stdout and stderr.
    """

    def __init__(self, name: str, module: str, arguments: Sequence[str], log: Path):
        self.name, self.log = name, log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is ours to forward
                preexec_fn=_end_with_parent,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raises ChildError, with the end of its log, where the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise ChildError(
                f"the {self.name} ended with code {code}; {self.log} ends with:\n{self.log_tail()}"
            )

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join("    " + line for line in self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """SIGINT to the group, and SIGKILL after `GRACE` seconds. May be called twice."""
        if self._process.poll() is None:
            self._signal(signal.SIGINT)
            deadline = time.monotonic() + GRACE
            while self._process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
        # Whatever is left of the group, such as a grandchild.
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return


def shortage(folder: Path = SHARED_MEMORY, needed: int = NEEDED) -> str | None:
    """Why images may get lost, which FastDDS keeps in shared memory, and what to do about it; None where there is room.

    Args:
        folder: Where shared memory is mounted.
        needed: What has to be free there [bytes].
    """
    if not os.access(folder, os.W_OK):
        return f"{folder} cannot be written, so images go over the network stack and may get lost"
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    if free >= needed:
        return None
    return (
        f"{folder} has {free / 1e6:.0f} MB free of the {needed / 1e6:.0f} MB needed, so images may get lost. "
        "Give a container more (docker run --shm-size=128m); killed ROS processes leave "
        f"{installed_fast_dds().shared_memory} there, which may be removed while no ROS runs"
    )


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Handles a signal as Ctrl-C."""
    raise KeyboardInterrupt


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Raises at its end what was signalled meanwhile: a C extension that is interrupted while it is imported
    says that it is broken instead."""
    caught: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, lambda got, _: caught.append(got)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
    if caught:
        raise KeyboardInterrupt


def wait_for(
    say: Callable[[str], None], what: str, ready: Callable[[], bool], children: Sequence[Child]
) -> None:
    """Waits and says that it does.

    Raises:
        ChildError: One of the children has ended.
        TimeoutError: It was not ready within `READY_TIMEOUT`.
    """
    say(f"waiting for {what}")
    started = last = time.monotonic()
    while not ready():
        for child in children:
            child.check()
        if time.monotonic() - started > READY_TIMEOUT:
            raise TimeoutError(f"{what} did not come within {READY_TIMEOUT:.0f} s")
        if time.monotonic() - last > 5:
            last = time.monotonic()
            say(f"  still waiting for {what}")
        time.sleep(0.05)


def run_to_the_end(name: str, children: str, run: Callable[[], int]) -> int:
    """Run a program that starts children, so that a signal, or what goes wrong, ends it in order.

    Args:
        name: Of the program, for what is said on stderr.
        children: Its children, in words.
        run: The program; stops its children on its way out.

    Returns:
        The exit code: what `run` returns, 130 after a signal, 1 where nothing came in time or output could not be
        written.
    """
    # A plain `kill` takes the same way out as Ctrl-C, so that the children are stopped.
    # Shells start background jobs with SIGINT ignored, and Python would leave it so.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    # Never meet a robot on the network, also where this was not started by make.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    try:
        return run()
    except KeyboardInterrupt:
        print(f"\ninterrupted; {children} are stopped", file=sys.stderr)
        return 130
    except (ChildError, OSError) as error:
        print(f"\n{name} failed: {error}", file=sys.stderr)
        return 1
