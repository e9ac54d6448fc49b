# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Opens a model wherever it runs: here, as `load_molmo` does, or behind a server, for which no torch is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from molmo_ros.engine.runtime_table import AUTO, REMOTE
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.remote.fallback_molmo import FallbackMolmo
from molmo_ros.remote.remote_load import open_remote
from molmo_ros.remote.remote_molmo import RemoteMolmo
from molmo_ros.remote.server_arguments import ServerArguments

if TYPE_CHECKING:  # it imports torch
    from molmo_ros.molmo.pipeline import Molmo


@dataclass(frozen=True)
class LocalChoice:
    """A model of this machine; attributes as the arguments of `load_molmo`."""

    model: str | Path = "tiny"
    engine: str = AUTO
    engine_path: str | Path | None = None
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 0
    max_crops: int | None = None
    latency_target: float | None = None

    def load(self) -> Molmo:
        """Loads it; imports torch, which takes seconds.

        Raises:
            MolmoError: See `load_molmo`.
        """
        from molmo_ros.engine.load import load_molmo

        return load_molmo(
            self.model,
            engine=self.engine,
            engine_path=self.engine_path,
            device=self.device,
            dtype=self.dtype,
            max_crops=self.max_crops,
            latency_target=self.latency_target,
            threads=self.threads,
        )

    def __str__(self) -> str:
        return f"{self.model} ({self.engine} on {self.device})"


def open_model(
    local: LocalChoice,
    remote: ServerArguments,
    *,
    waits: bool = False,
    log: Callable[[str], None] = lambda text: None,
    warm_up: Callable[[Molmo], None] = lambda model: None,
) -> Molmo | RemoteMolmo | FallbackMolmo:
    """Opens a model.

    Args:
        local: What to load; with engine remote, what of it holds for the fallback: device, dtype, threads and
            engine_path.
        remote: What goes with engine remote.
        waits: See `open_remote`.
        log: See `open_remote`.
        warm_up: Called with the fallback, once it is loaded.

    Raises:
        MolmoError: See `load_molmo` and `open_remote`, or an argument goes with another engine.
    """
    if local.engine != REMOTE:
        if remote.server:
            raise MolmoError(f"server goes with engine remote, not with {local.engine}")
        return local.load()
    choice = remote.choice(str(local.model))
    other = LocalChoice(
        remote.fallback_model,
        remote.fallback_engine,
        local.engine_path,
        local.device,
        local.dtype,
        local.threads,
    )
    if local.engine_path and not remote.fallback_model:
        raise MolmoError("engine_path is the fallback's with engine remote, and there is no fallback_model")
    name = str(other) if remote.fallback_model else ""

    def load_fallback() -> Molmo:
        model = other.load()
        warm_up(model)
        return model

    model = open_remote(choice, name, load_fallback, waits=waits, log=log)
    model.limit_crops(local.max_crops, local.latency_target)
    return model
