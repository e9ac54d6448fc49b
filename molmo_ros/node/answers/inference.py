"""The model behind the node: loading it, and asking it one query."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.node.records.model_choice import ModelChoice
from molmo_ros.node.records.query import Kind


def load_model(choice: ModelChoice) -> tuple[Any, Callable[..., Any]]:
    """Load a Molmo. Imports torch, which takes seconds: never called in a callback.

    Raises:
        molmo_ros.molmo.errors.MolmoError: The checkpoint or the engine cannot be loaded.
    """
    from molmo_ros.engine.load import load_molmo
    from molmo_ros.molmo.running.generate import GenerateOptions

    molmo = load_molmo(
        choice.model,
        engine=choice.engine,
        engine_path=choice.engine_path or None,
        device=choice.device,
        dtype=choice.dtype,
        threads=choice.threads,
    )
    return molmo, GenerateOptions


def ask_model(
    model: Any,
    encoded: Any,
    kind: Kind,
    text: str,
    *,
    options: Any,
    max_points: int,
    cancel: threading.Event,
    on_text: Callable[[str], None],
    on_point: Callable[[Point], None],
) -> Answer:
    """One query about one picture.

    Args:
        model: What a `ModelFactory` made.
        encoded: What its `encode` made of the picture.
        kind: What to do with the text.
        text: The label to point at or to count, or the question.
        options: Limits of the generation.
        max_points: Stop after this many points; 0 means all. A count is never stopped.
        cancel: Ends the generation between two tokens when set.
        on_text: Called with each piece of text.
        on_point: Called with each point that is complete.
    """
    common: dict[str, Any] = {"options": options, "cancel": cancel, "on_text": on_text, "on_point": on_point}
    if kind is Kind.POINT:
        return model.point(encoded, text, max_points=max_points or None, **common)
    if kind is Kind.COUNT:
        return model.count(encoded, text, **common)
    return model.ask(encoded, text, **common)
