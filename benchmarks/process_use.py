# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a process uses, from Linux' /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ProcessUse:
    """What a process uses at a moment.

    Attributes:
        rss: Resident memory [MB].
        threads: How many it has.
        files: How many descriptors it has open.
        cpu: Time of the processor that it has used so far [s].
    """

    rss: float
    threads: int
    files: int
    cpu: float

    @classmethod
    def of(cls, pid: int) -> ProcessUse:
        """Of a process that runs."""
        folder = Path(f"/proc/{pid}")
        lines = (folder / "status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        # The command's name, in parentheses, may hold spaces.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        return cls(
            rss=int(status["VmRSS"].split()[0]) * 1024 / 1e6,
            threads=int(status["Threads"]),
            files=len(os.listdir(folder / "fd")),
            cpu=(int(fields[11]) + int(fields[12])) / TICKS,
        )
