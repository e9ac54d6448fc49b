"""Errors of exporting, building, keeping and running engines."""

from __future__ import annotations

from molmo_ros.molmo.errors import MolmoError


class EngineError(MolmoError):
    """An engine cannot be built, found, trusted or run; the message says what to do about it."""


class UnsupportedBuildError(EngineError):
    """The target, the precision or the model is one that this combination cannot do."""


class EngineMismatchError(EngineError):
    """An engine is sound but of another GPU, TensorRT, model or shape; the message has the rebuilding command."""


class TamperedEngineError(EngineError):
    """An engine or its manifest is not what was built, or others could have written it."""
