# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What IN may be: bags, folders of bags, LeRobot data sets, and folders of those."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from molmo_ros.labelling.label_unit import Episode, Kind
from molmo_ros.labelling.labelling_error import LabellingError
from molmo_ros.labelling.lerobot_dataset import INFO, LeRobotDataset

ENDINGS = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd", ".mcap.zst", ".db3.zst")
METADATA = "metadata.yaml"
LOCK = ".lock"
"""File in every output folder."""
VALID = "a bag, a folder of bags, a LeRobot data set (v3.0), or a folder of these"


@dataclass(frozen=True)
class LabelInput:
    """A data set: the bags of one folder, or a LeRobot data set.

    Attributes:
        name: Unique among those of one output folder.
        kind: How it is read.
        path: The folder.
        bags: The bags, where it is a folder of them.
    """

    name: str
    kind: Kind
    path: Path
    bags: tuple[Path, ...] = ()

    def episodes(self) -> list[Episode]:
        """All, in order.

        Raises:
            LabellingError: A LeRobot data set is damaged.
        """
        if self.kind == "lerobot":
            return LeRobotDataset(self.path, self.name).episodes()
        names = [
            path.relative_to(self.path).as_posix() if path != self.path else path.name for path in self.bags
        ]
        return [Episode(self.name, name, "bag", path) for name, path in zip(names, self.bags, strict=True)]


def find_inputs(paths: Sequence[Path], known: Iterable[tuple[str, str]] = ()) -> list[LabelInput]:
    """The data sets that are meant.

    Args:
        paths: As the user has given them.
        known: (name, path) of data sets that are in the output folder already, and keep their names.

    Raises:
        LabellingError: A path is none of them.
    """
    found: dict[Path, list[Path]] = {}
    for path in paths:
        whole = path.resolve()
        if not whole.exists():
            raise LabellingError(f"there is no {path}; valid: {VALID}")
        if not _find(whole, found):
            raise LabellingError(f"{path} holds nothing to label; valid: {VALID}")
    names = {Path(where): name for name, where in known}
    inputs = []
    for folder, bags in found.items():
        if folder not in names:
            names[folder] = _unused(folder.name or "data", set(names.values()))
        kind: Kind = "bag" if bags else "lerobot"
        inputs.append(LabelInput(names[folder], kind, folder, tuple(dict.fromkeys(bags))))
    return inputs


def _find(path: Path, found: dict[Path, list[Path]]) -> bool:
    """Adds the data sets at or below a path, the folder of each with its bags; whether there are any."""
    if path.is_file():
        found.setdefault(path.parent, []).append(path)
        return True
    if (path / INFO).is_file():
        found.setdefault(path, [])
        return True
    if _is_bag(path):
        found.setdefault(path.parent, []).append(path)
        return True
    inside = sorted(
        (one for one in path.iterdir() if not one.name.startswith(".") and not _is_ours(one)),
        key=lambda one: one.name,
    )
    bags = [
        one
        for one in inside
        if (one.is_file() and one.name.endswith(ENDINGS)) or (one.is_dir() and _is_bag(one))
    ]
    if bags:
        found.setdefault(path, []).extend(bags)
    below = [_find(one, found) for one in inside if one.is_dir() and one not in bags]
    return bool(bags) or any(below)


def _is_ours(path: Path) -> bool:
    """Whether it is what a run has written: an output folder, or what `molmo-ros bag` leaves beside a bag."""
    return path.name.endswith("_molmo.mcap") or (path / LOCK).is_file()


def _is_bag(folder: Path) -> bool:
    """Whether it is one bag: its metadata says so, or its files are named after it and numbered, as rosbag2 does."""
    if (folder / METADATA).is_file():
        return True
    files = [one.name for one in folder.iterdir() if one.is_file() and one.name.endswith(ENDINGS)]
    return bool(files) and all(re.fullmatch(rf"{re.escape(folder.name)}_\d+\..+", name) for name in files)


def _unused(name: str, used: set[str]) -> str:
    number, unused = 1, name
    while unused in used:
        number += 1
        unused = f"{name}-{number}"
    return unused
