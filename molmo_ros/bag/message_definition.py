# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Definitions of installed message types, which a bag carries so that it can be read without ROS."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore


def type_name(kind: type) -> str:
    """`package/msg/Type` of a message class of the installed ROS."""
    package, _, rest = kind.__module__.partition(".")
    return f"{package}/{rest.split('.')[0]}/{kind.__name__}"


def message_types(*kinds: type) -> Any:
    """A rosbags type store with ROS's common types and those of the packages of these classes.

    Raises:
        FileNotFoundError: A package that rosbags does not know is installed without its .msg files.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    for package in {kind.__module__.split(".")[0] for kind in kinds}:
        if not any(name.startswith(f"{package}/") for name in store.fielddefs):
            store.register(_package_types(package))
    return store


@cache
def _package_types(package: str) -> dict[str, Any]:
    types: dict[str, Any] = {}
    for path in sorted(_definitions(package).glob("*.msg")):
        types.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"{package}/msg/{path.stem}"))
    return types


def _definitions(package: str) -> Path:
    """The folder of a package's .msg files: below the prefix that its Python module is installed in."""
    module = import_module(package)
    for parent in Path(next(iter(module.__path__))).parents:
        folder = parent / "share" / package / "msg"
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"the .msg files of {package} are not installed beside {module.__path__} ({sys.prefix})"
    )
