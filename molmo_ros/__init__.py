# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Molmo vision-language models that point, as a library and as a ROS 2 node::

    from molmo_ros import Molmo
    answer = Molmo.from_pretrained("tiny").point(image, "red cube")

Importing the package loads neither torch nor ROS; each name is loaded when it is first used. It switches off what
other libraries would send to their makers (`molmo_ros.telemetry`), so import it before them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from molmo_ros import telemetry

if TYPE_CHECKING:
    from molmo_ros.molmo.answer import Answer, Point
    from molmo_ros.molmo.pipeline import Molmo
    from molmo_ros.molmo.running.generation import GenerateOptions
    from molmo_ros.molmo.status import Status
    from molmo_ros.remote.remote_load import remote_molmo

__all__ = ["Answer", "GenerateOptions", "Molmo", "Point", "Status", "remote_molmo"]

_HOME = {
    "Answer": "molmo_ros.molmo.answer",
    "GenerateOptions": "molmo_ros.molmo.running.generation",
    "Molmo": "molmo_ros.molmo.pipeline",
    "Point": "molmo_ros.molmo.answer",
    "Status": "molmo_ros.molmo.status",
    "remote_molmo": "molmo_ros.remote.remote_load",
}

telemetry.switch_off()  # first of all: later is too late


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
