# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where engines are on this machine, what they are called, and how one is found."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.store.manifest import MANIFEST, Manifest
from molmo_ros.engine.store.trust import check_private
from molmo_ros.molmo.catalog.model_store import models_home
from molmo_ros.molmo.catalog.registry import find_model
from molmo_ros.molmo.errors import RegistryError

LONGEST = 80
"""Characters of a model's part of a name."""
PATH_DIGITS = 8
LISTED = 12


def engines_home() -> Path:
    """The folder of all engines: $MOLMO_ROS_HOME/engines, or ~/.cache/molmo_ros/engines."""
    return models_home().parent / "engines"


def make_home(home: Path) -> None:
    """Makes the folder of all engines, for this user alone, where there is none.

    Raises:
        EngineError: It cannot be made.
        TamperedEngineError: It is there, and others can write to it.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = os.stat(home)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise EngineError(f"{str(home)!r:.200} cannot hold engines: {reason}; set MOLMO_ROS_HOME") from error
    check_private(home, state)


def engine_name(
    model: str, target: str, precision: str, max_crops: int | None = None, max_context: int | None = None
) -> str:
    """What an engine's folder is called: "molmo2-4b-rtx40-int4-crops4-context2048".

    Models in folders of one's own have digits of the path's hash, so that two folders of the same name do not have
    the same engine.

    Args:
        model: As the user named it.
        target: As on the command line.
        precision: As on the command line.
        max_crops: What the user asked for; None for the default.
        max_context: What the user asked for; None for the default.
    """
    parts = [_model_part(model), target, precision]
    parts += [] if max_crops is None else [f"crops{max_crops}"]
    parts += [] if max_context is None else [f"context{max_context}"]
    return "-".join(parts)


def find_engine(engine: str | Path, home: Path | None = None) -> Path:
    """The folder of an engine's name, or the folder itself.

    A name goes before a folder of that name in the working directory; "./name" is the folder.

    Raises:
        EngineError: Neither; the message lists the engines that there are.
    """
    home = engines_home() if home is None else home
    text = os.fspath(engine)
    try:
        if _is_name(text) and (home / text).is_dir():
            return home / text
        folder = Path(text).expanduser()
        if text.strip() and (folder / MANIFEST).is_file():
            return Path(os.path.abspath(folder))
    except (OSError, ValueError, RuntimeError) as error:  # too long, forbidden, NUL inside, ~nobody
        raise EngineError(f"{text!r:.200} cannot be an engine: {error!s:.200}") from error
    names = [folder.name for folder in engine_folders(home)]
    known = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
    raise EngineError(
        f"{text!r:.200} is neither an engine's folder nor its name; in {home} there are: {known or 'none'}. "
        "molmo-ros build makes one"
    )


def find_engines(home: Path | None = None) -> list[tuple[Path, Manifest | EngineError]]:
    """All engines of a home by name, each with its manifest, or with why it cannot be used."""
    found: list[tuple[Path, Manifest | EngineError]] = []
    for folder in engine_folders(engines_home() if home is None else home):
        try:
            found.append((folder, Manifest.read(folder)))
        except EngineError as error:
            found.append((folder, error))
    return found


def engine_folders(home: Path) -> list[Path]:
    """The folders of all engines of a home, by name; none where there is no home.

    Raises:
        EngineError: It cannot be read.
    """
    try:
        return sorted(path for path in home.iterdir() if path.is_dir() and _is_name(path.name))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise EngineError(f"{str(home)!r:.200} cannot hold engines: {reason}; set MOLMO_ROS_HOME") from error


def _is_name(text: str) -> bool:
    """Whether it can be an engine of a home; what is hidden is being built."""
    return bool(text.strip()) and "/" not in text and not text.startswith(".")


def _model_part(model: str) -> str:
    try:
        return find_model(model).name
    except RegistryError:  # a folder
        path = os.path.abspath(os.path.expanduser(model))
        digits = hashlib.sha256(os.fsencode(path)).hexdigest()[:PATH_DIGITS]
        plain = re.sub(r"[^A-Za-z0-9._]+", "-", os.path.basename(path)).strip("-._")
        return f"{plain[:LONGEST] or 'model'}-{digits}"
