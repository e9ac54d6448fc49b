"""The model behind the node: loading it, and asking it one query."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from molmo_ros.molmo.answer import Answer
from molmo_ros.node.query import Kind, Query

ModelFactory = Callable[[str, str, str], tuple[Any, Callable[..., Any]]]
"""(model, device, dtype) to (an object with Molmo's methods, the type of its generation options)."""


def load_molmo(model: str, device: str, dtype: str) -> tuple[Any, Callable[..., Any]]:
    """Load a Molmo. Imports torch, which takes seconds: never called in a callback.

    Args:
        model: Name of an embedded checkpoint, or a checkpoint folder.
        device: Where it runs, "cpu" or "cuda".
        dtype: Name of the number format of the weights.

    Raises:
        molmo_ros.molmo.errors.MolmoError: The checkpoint cannot be loaded.
    """
    from molmo_ros.molmo.generate import GenerateOptions
    from molmo_ros.molmo.pipeline import Molmo

    return Molmo.from_pretrained(model, device=device, dtype=dtype), GenerateOptions


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
