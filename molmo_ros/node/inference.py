"""The model behind the node: loading it, and asking it one query."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from molmo_ros.molmo.answer import Answer
from molmo_ros.node.query import Kind, Query


@dataclass(frozen=True)
class ModelChoice:
    """What to load; the values of the node's parameters of the same names."""

    model: str = "tiny"
    device: str = "cpu"
    dtype: str = "float32"
    engine: str = "auto"
    engine_path: str = ""

    def __str__(self) -> str:
        path = f" {self.engine_path}" if self.engine_path else ""
        return f"{self.model} on {self.device} as {self.dtype}, engine {self.engine}{path}"


ModelFactory = Callable[[ModelChoice], tuple[Any, Callable[..., Any]]]
"""Makes an object with Molmo's methods, and the type of its generation options."""


def load_model(choice: ModelChoice) -> tuple[Any, Callable[..., Any]]:
    """Load a Molmo. Imports torch, which takes seconds: never called in a callback.

    Raises:
        molmo_ros.molmo.errors.MolmoError: The checkpoint or the engine cannot be loaded.
    """
    from molmo_ros.engine.load import load_molmo
    from molmo_ros.molmo.generate import GenerateOptions

    molmo = load_molmo(
        choice.model,
        engine=choice.engine,
        engine_path=choice.engine_path or None,
        device=choice.device,
        dtype=choice.dtype,
    )
    return molmo, GenerateOptions


def ask_model(
    model: Any, query: Query, picture: np.ndarray, *, options: Any, max_points: int, cancel: threading.Event
) -> Answer:
    """One query about one picture.

    Args:
        model: What a `ModelFactory` made.
        query: The query.
        picture: uint8 [h, w, 3] RGB.
        options: Limits of the generation.
        max_points: Stop after this many points; 0 means all.
        cancel: Ends the generation between two tokens when set.
    """
    common: dict[str, Any] = {"options": options, "cancel": cancel}
    if query.kind is Kind.POINT:
        return model.point(picture, query.text, max_points=max_points or None, **common)
    if query.kind is Kind.COUNT:
        return model.count(picture, query.text, **common)
    return model.ask(picture, query.text, **common)
