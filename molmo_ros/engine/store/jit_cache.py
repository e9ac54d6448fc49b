# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What TensorRT for RTX compiled on this machine, kept beside the engine: otherwise every start compiles it again."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.store.trust import check_folder, open_trusted

LOG = logging.getLogger(__name__)
JIT_FILES = {"vision.jit", "decoder.jit"}
UNFINISHED = {f".{name}.new" for name in JIT_FILES}
"""What a process leaves that ends while it writes one."""
MOST = 1 << 30
"""A file larger than this is none of ours [bytes]."""


class JitCacheFile:
    """One engine's file of compiled kernels. It is code, and trusted as the engine is; without it, all works."""

    def __init__(self, folder: Path, part: str) -> None:
        """Looks at nothing yet.

        Args:
            folder: The engine.
            part: "vision" or "decoder".
        """
        self._path = folder / f"{part}.jit"

    def read(self) -> bytes:
        """Its content; nothing where there is none, or where others could have written it, which is logged."""
        if not os.path.lexists(self._path):
            return b""
        try:
            check_folder(self._path.parent)
            with open_trusted(self._path) as descriptor:
                size = os.fstat(descriptor).st_size
                if size > MOST:
                    raise EngineError(f"{self._path} has {size} bytes, more than any of ours")
                with os.fdopen(os.dup(descriptor), "rb") as file:
                    return file.read()
        except (EngineError, OSError) as error:
            LOG.warning("kernels are compiled again: %s", error)
            return b""

    def write(self, content: bytes | memoryview) -> None:
        """Keeps it for the next start, as a whole; where the folder cannot be written to, nothing is kept."""
        new = self._path.with_name(f".{self._path.name}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.replace(new, self._path)
        except OSError as error:
            LOG.info("compiled kernels are not kept: %s", error)
            new.unlink(missing_ok=True)
