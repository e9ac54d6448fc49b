# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The unit of work: one camera of one episode; and what became of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

LONGEST_NAME = 200
"""Of a folder [bytes]; file systems take 255."""

Kind = Literal["bag", "lerobot"]


@dataclass(frozen=True)
class Episode:
    """One episode of a data set.

    Attributes:
        dataset: Name of its data set, unique in the output folder.
        name: Its own, unique in the data set.
        kind: How it is read.
        path: The bag, or the root of the data set.
        index: Its number in a LeRobot data set; -1 for a bag.
        place: Where its frames lie in the files of a LeRobot data set; see `lerobot_dataset`.
    """

    dataset: str
    name: str
    kind: Kind
    path: Path
    index: int = -1
    place: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class LabelUnit:
    """One camera of an episode.

    Attributes:
        episode: The episode.
        camera: A topic of pictures, or a LeRobot key such as `observation.images.wrist`.
    """

    episode: Episode
    camera: str

    @property
    def folder(self) -> Path:
        """Relative to the folders of results: data set, episode, camera."""
        names = (self.episode.dataset, self.episode.name, self.camera.strip("/"))
        return Path(*map(folder_name, names))

    def __str__(self) -> str:
        return f"{self.episode.dataset}/{self.episode.name} {self.camera}"


@dataclass
class UnitOutcome:
    """What a worker made of a unit.

    Attributes:
        unit: The unit.
        staged: Folder with its files, below the run's staging folder; None where it failed.
        error: Why it failed; empty where it did not.
        disk_full: Whether that is for want of room on the disk.
        losses: What of its input could not be read.
        statuses: How many answers of each status.
        frames: How many frames it has, and how many of them were asked about.
        seconds: How long it took, how much of it in the model, and in reading pictures [s].
    """

    unit: LabelUnit
    staged: Path | None = None
    error: str = ""
    disk_full: bool = False
    losses: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    asked: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    memory: int = 0

    def record(self) -> dict[str, object]:
        """What its table says of it, for runs that come later."""
        return {
            "unit": str(self.unit),
            "losses": self.losses,
            "statuses": dict(self.statuses),
            "frames": self.frames,
            "asked": self.asked,
            "seconds": self.seconds,
        }


def folder_name(name: str) -> str:
    """A name as one folder: letters of any script and spaces stay, what a path would obey is escaped as in URLs.

    Names that are too long lose their end to a hash of the whole.
    """
    import hashlib

    text = "".join(
        one if one not in "/\\%" and one.isprintable() else quote(one, safe="", errors="surrogatepass")
        for one in name
    )
    if text.startswith("."):
        text = f"%2E{text[1:]}"
    data = text.encode("utf-8")
    if len(data) > LONGEST_NAME:
        digest = hashlib.sha256(data).hexdigest()[:12]
        text = f"{data[: LONGEST_NAME - 13].decode('utf-8', 'ignore')}-{digest}"
    return text or "%"
