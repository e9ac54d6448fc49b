# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What an engine's passes cost on this machine, kept beside it: the first answers guess as much as is worth it."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.store.trust import check_folder, open_trusted

LOG = logging.getLogger(__name__)
PASS_TIMES = "pass_times.json"
PASS_TIMES_FILES = {PASS_TIMES, f".{PASS_TIMES}.new"}
MOST = 1 << 16
"""A file larger than this is none of ours [bytes]."""


class KeptPassTimes:
    """The times of an engine's passes for each way of running it. Without them, and with wrong ones, all works."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Looks at nothing yet.

        Args:
            folder: The engine.
            threads: Of the CPU, as in `load_molmo`: other numbers have other times.
        """
        self._path, self._key = folder / PASS_TIMES, f"{threads} threads, {os.cpu_count()} cores"

    def read(self) -> dict[int, float]:
        """Seconds by tokens of a pass; nothing where they are not known, or cannot be believed."""
        times = self._content().get(self._key, {})
        try:
            found = {int(tokens): float(seconds) for tokens, seconds in times.items()}
        except (AttributeError, TypeError, ValueError):
            return {}
        return found if all(math.isfinite(one) and one > 0 for one in found.values()) else {}

    def write(self, seconds: Mapping[int, float]) -> None:
        """Keeps them for the next start, as a whole; where the folder cannot be written to, nothing is kept."""
        content = self._content() | {self._key: {str(tokens): one for tokens, one in seconds.items()}}
        new = self._path.with_name(f".{PASS_TIMES}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(content, file, indent=1)
            os.replace(new, self._path)
        except OSError as error:
            LOG.info("what passes cost is not kept: %s", error)
            with suppress(OSError):
                new.unlink(missing_ok=True)

    def _content(self) -> dict[str, Any]:
        if not os.path.lexists(self._path):
            return {}
        try:
            check_folder(self._path.parent)
            with open_trusted(self._path) as descriptor:
                content = json.loads(os.pread(descriptor, MOST, 0))
        except (EngineError, OSError, ValueError, RecursionError) as error:
            LOG.warning("what passes cost is measured again: %s", error)
            return {}
        return content if isinstance(content, dict) else {}
