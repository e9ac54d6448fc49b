# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One parameter of the node: its type, what it may be, and what it means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

Value = bool | int | float | str | tuple[float, ...] | tuple[str, ...]
T = TypeVar("T", bound=Value)


def _accepted(_value: Any) -> str:
    return ""


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter. Its type is the type of its default; a whole number is accepted for a double.

    Attributes:
        minimum, maximum: Inclusive bounds of a number.
        choices: The only strings accepted; empty means any.
        read_only: Set at start only.
        check: Why a value of the right type and range is refused all the same; "" where it is accepted.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False
    check: Callable[[Any], str] = _accepted

    @property
    def type_name(self) -> str:
        """The name ROS users know."""
        if isinstance(self.default, tuple):
            return "string_array" if isinstance(self.default[0], str) else "double_array"
        names = {bool: "bool", int: "integer", float: "double", str: "string"}
        return names[type(self.default)]

    @property
    def allowed(self) -> str:
        """The accepted values, for error messages and the reference page."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if isinstance(self.default, tuple):
            return "texts" if isinstance(self.default[0], str) else f"{len(self.default)} numbers"
        if self.minimum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        return {"bool": "true or false", "string": "any text"}[self.type_name]

    def error(self, value: Any) -> str:
        """Why `value` is refused, with what is allowed; "" when it is accepted."""
        if not self._accepts(value):
            shown = repr(value) if len(repr(value)) < 80 else repr(value)[:77] + "..."
            return f"{self.name} = {shown} is refused: it must be {self.type_name}, {self.allowed}"
        return self.check(value)

    def converted(self, value: Any) -> Any:
        """An accepted value, as its type has it."""
        if isinstance(self.default, tuple):
            return tuple(str(one) if isinstance(self.default[0], str) else float(one) for one in value)
        return float(value) if isinstance(self.default, float) else value

    def _accepts(self, value: Any) -> bool:
        if isinstance(self.default, bool):
            return isinstance(value, bool)
        if isinstance(self.default, str):
            return isinstance(value, str) and (not self.choices or value in self.choices)
        if self.type_name == "string_array":
            texts = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
            return texts and all(isinstance(item, str) for item in value)
        if isinstance(self.default, tuple):
            return (
                not isinstance(value, str)
                and isinstance(value, Iterable)
                and [_is_finite_number(item) for item in value] == [True] * len(self.default)
            )
        if not _is_finite_number(value) or (isinstance(self.default, int) and not isinstance(value, int)):
            return False
        assert self.minimum is not None and self.maximum is not None
        return self.minimum <= value <= self.maximum


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def parameter(
    default: T,
    description: str,
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    choices: tuple[str, ...] = (),
    read_only: bool = False,
    check: Callable[[Any], str] = _accepted,
) -> T:
    """A field of a dataclass that declares parameters; see `ParameterSpec` and `parameters_of`."""
    about = {
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "read_only": read_only,
        "check": check,
    }
    return field(default=default, metadata=about)


def parameters_of(declaration: type) -> tuple[ParameterSpec, ...]:
    """The parameters that a dataclass declares with `parameter`, in their order."""
    return tuple(
        ParameterSpec(one.name, cast(Value, one.default), **one.metadata) for one in fields(declaration)
    )
