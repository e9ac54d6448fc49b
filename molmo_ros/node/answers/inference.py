# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The model behind the node: loading it, and asking it one query."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.errors import MissingLibraryError
from molmo_ros.molmo.prompts.prompt_text import place_label
from molmo_ros.node.answers.remote_model import load_remote_model
from molmo_ros.node.records.model_choice import ModelChoice
from molmo_ros.node.records.query import Kind
from molmo_ros.node.seams.pointing_model import LoadedModel, PointingModel

if TYPE_CHECKING:  # they import torch
    from molmo_ros.molmo.answers.encoded_image import EncodedImage
    from molmo_ros.molmo.pipeline import Molmo
    from molmo_ros.molmo.running.generation import GenerateOptions
    from molmo_ros.molmo.running.runtime import Runtime


def load_model(choice: ModelChoice) -> LoadedModel:
    """Load a Molmo. Imports torch, which takes seconds: never called in a callback.

    Raises:
        molmo_ros.molmo.errors.MolmoError: Checkpoint or engine cannot be loaded, or this Python lacks a library.
    """
    if choice.is_remote:
        return load_remote_model(choice)
    try:
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


def ask_model(
    model: PointingModel,
    encoded: EncodedImage,
    kind: Kind,
    text: str,
    *,
    options: GenerateOptions,
    max_points: int,
    cancel: threading.Event,
    on_text: Callable[[str], None],
    on_point: Callable[[Point], None],
) -> Answer:
    """One query about one picture.

    Args:
        model: The model.
        encoded: What its `encode` made of the picture.
        kind: What to do with the text.
        text: The label to point at or to count, where to put something, or the question.
        options: Limits of the generation.
        max_points: Stop after this many points; 0 means all. A count is never stopped.
        cancel: Ends the generation between two tokens when set.
        on_text: Called with each piece of text.
        on_point: Called with each point that is complete.
    """
    if kind is Kind.POINT or kind is Kind.PLACE:
        way: Callable[..., Answer] = partial(model.point, max_points=max_points or None)
        text = place_label(text) if kind is Kind.PLACE else text
    elif kind is Kind.COUNT:
        way = model.count
    else:
        way = model.ask
    return way(encoded, text, options=options, cancel=cancel, on_text=on_text, on_point=on_point)
