# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The model behind the node: loading it, and its first answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from molmo_ros.molmo.errors import MissingLibraryError
from molmo_ros.node.records.model_choice import ModelChoice
from molmo_ros.node.seams.pointing_model import LoadedModel, PointingModel

if TYPE_CHECKING:  # they import torch
    from molmo_ros.molmo.pipeline import Molmo
    from molmo_ros.molmo.running.runtime import Runtime


def load_model(choice: ModelChoice) -> LoadedModel:
    """Load a Molmo. Imports torch, which takes seconds: never called in a callback.

    Raises:
        molmo_ros.molmo.errors.MolmoError: Checkpoint or engine cannot be loaded, or this Python lacks a library.
    """
    try:
        if choice.is_remote:
            from molmo_ros.node.answers.remote_model import load_remote_model

            return load_remote_model(choice)
        from molmo_ros.engine.load import load_molmo
        from molmo_ros.molmo.running.generation import GenerateOptions

        molmo = load_molmo(
            choice.model,
            engine=choice.engine,
            engine_path=choice.engine_path or None,
            device=choice.device,
            dtype=choice.dtype,
            threads=choice.threads,
        )
    except ModuleNotFoundError as error:
        if error.name not in MissingLibraryError.LIBRARIES:
            raise
        raise MissingLibraryError(error.name) from error
    return molmo, GenerateOptions


def warm_up(model: PointingModel, progress: Callable[[str], None]) -> None:
    """See `molmo.warm_up`; nothing for what has no runtime of ours, or none that is slow at first."""
    runtime: Runtime | None = getattr(model, "runtime", None)
    if runtime is None or runtime.device.type != "cuda":
        return
    from molmo_ros.molmo import warm_up as gpu

    gpu.warm_up(cast("Molmo", model), progress)


def graphs_refused(model: PointingModel) -> str:
    """See `Runtime.graphs_refused`; empty for a model without a runtime of ours."""
    runtime: Runtime | None = getattr(model, "runtime", None)
    return "" if runtime is None else runtime.graphs_refused()
