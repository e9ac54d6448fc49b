# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which model the node is to load."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelChoice:
    """What to load; the values of the node's parameters of the same names."""

    model: str = "tiny"
    device: str = "cpu"
    dtype: str = "float32"
    engine: str = "auto"
    engine_path: str = ""
    threads: int = 0

    def __str__(self) -> str:
        path = f" {self.engine_path}" if self.engine_path else ""
        return f"{self.model} on {self.device} as {self.dtype}, engine {self.engine}{path}"
