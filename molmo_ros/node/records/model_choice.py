# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which model the node is to load."""

from __future__ import annotations

from dataclasses import dataclass

from molmo_ros.engine.runtime_table import REMOTE


@dataclass(frozen=True)
class ModelChoice:
    """What to load; the values of the node's parameters of the same names."""

    model: str = "tiny"
    device: str = "cpu"
    dtype: str = "float32"
    engine: str = "auto"
    engine_path: str = ""
    threads: int = 0
    server: str = ""
    server_model: str = ""
    server_family: str = ""
    server_certificate: str = ""
    server_patience: float = 10.0
    server_jpeg_quality: int = 0
    fallback_model: str = ""
    fallback_engine: str = "auto"

    @property
    def is_remote(self) -> bool:
        """Whether a server runs it."""
        return self.engine == REMOTE

    def __str__(self) -> str:
        if self.is_remote:
            meanwhile = f", {self.fallback_model} while it is away" if self.fallback_model else ""
            return f"the model of the server {self.server}{meanwhile}"
        path = f" {self.engine_path}" if self.engine_path else ""
        return f"{self.model} on {self.device} as {self.dtype}, engine {self.engine}{path}"
