# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How far a run is: in all, on each worker, and how long it will still take."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from molmo_ros.labelling.label_unit import UnitOutcome
from molmo_ros.labelling.unit_worker import WorkerState

EVERY = 30.0
"""Where no terminal shows a line that is written over, a line comes so often [s]."""


class LabelProgress:
    """Writes to stderr: one line that is written over on a terminal, else lines now and then.

    Args:
        whole: How many units there are, as far as is known.
        done: How many of them earlier runs have done.
    """

    def __init__(self, whole: int, done: int) -> None:
        self.whole, self.done, self._before = whole, done, done
        self.failed = self.frames = 0
        self._began = self._told = time.monotonic()
        self._states: Sequence[WorkerState] = ()
        self._on_terminal = sys.stderr.isatty()
        self._width = 0

    def finished(self, outcome: UnitOutcome) -> None:
        """A unit is done, or has failed."""
        self.done += not outcome.error
        self.failed += bool(outcome.error)
        self.frames += outcome.asked
        self.show(self._states)

    def show(self, states: Sequence[WorkerState]) -> None:
        """What the workers are at."""
        self._states = states
        now = time.monotonic()
        if self._on_terminal:
            line = self.line()[:200]
            print(f"\r{line.ljust(self._width)}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        elif now - self._told > EVERY:
            self._told = now
            print(self.line(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends the line."""
        if self._on_terminal and self._width:
            print(file=sys.stderr)
        self._width = 0

    def line(self) -> str:
        """All of it as text."""
        elapsed = time.monotonic() - self._began
        new = self.done + self.failed - self._before
        left = self.whole - self.done - self.failed
        remaining = f", {_duration(left * elapsed / new)} left" if new and left > 0 else ""
        rate = f", {self.frames / elapsed:.2f} frames/s" if self.frames and elapsed > 0 else ""
        failed = f", {self.failed} failed" if self.failed else ""
        workers = " | ".join(_worker(state) for state in self._states)
        return f"{self.done} of {self.whole} episodes{failed}{rate}{remaining}{f' | {workers}' if workers else ''}"


def _worker(state: WorkerState) -> str:
    if not state.unit:
        return f"{state.number}: idle"
    share = f" {100 * state.done // state.whole}%" if state.whole else ""
    return f"{state.number}: {state.unit}{share}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(1, round(seconds))} s"
    return f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.1f} h"
