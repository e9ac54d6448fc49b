# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A LeRobot data set, format v3.0, as it lies on the disk: many episodes in a parquet file, and in a video.

Neither its library nor that library's dependencies are needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from molmo_ros.labelling.label_unit import Episode
from molmo_ros.labelling.labelling_error import LabellingError

INFO = "meta/info.json"
VERSION = "v3."
TOLERANCE = 1e-4
"""As the library's: a frame of a video may be so far from its row's time [s]."""
BESIDE = ("data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index", "length")


@dataclass(frozen=True)
class EpisodeFrames:
    """The frames of an episode.

    Attributes:
        indices: int64 [n], each frame's number in its episode.
        times: float64 [n], its time as the data set has it, from the beginning of the episode [s].
        rows: int64 [n], its row in the data file.
    """

    indices: np.ndarray
    times: np.ndarray
    rows: np.ndarray


class LeRobotDataset:
    """Reads a data set.

    Args:
        root: Its folder.
        name: What it is called in the output.

    Raises:
        LabellingError: It is none of this format, or damaged.
    """

    def __init__(self, root: Path, name: str = "") -> None:
        self.root, self.name = root, name or root.name
        try:
            self.info: dict[str, Any] = json.loads((root / INFO).read_text(encoding="utf-8"))
            version, features = str(self.info["codebase_version"]), dict(self.info["features"])
            self.fps = float(self.info["fps"])
            self.data_path, self.video_path = str(self.info["data_path"]), self.info.get("video_path")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LabellingError(f"{root / INFO} is damaged: {error!r:.200}") from error
        if not version.startswith(VERSION):
            raise LabellingError(
                f"{root} is a LeRobot data set of version {version}; it has to be v3.0: its library converts it "
                "(python -m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id=...)"
            )
        self.features = features

    @property
    def cameras(self) -> list[str]:
        """Keys of features with colour pictures."""
        return [
            key
            for key, feature in self.features.items()
            if feature.get("dtype") in ("video", "image") and not _is_depth(feature)
        ]

    def camera(self, name: str) -> str:
        """The key that a name means: the key itself, or its last part.

        Raises:
            LabellingError: There is none.
        """
        cameras = self.cameras
        found = [key for key in cameras if name in (key, key.rsplit(".", 1)[-1])]
        if len(found) != 1:
            raise LabellingError(
                f"{self.root} has no camera {name!r}; it has {', '.join(cameras) or 'none, only states and actions'}"
            )
        return found[0]

    def episodes(self) -> list[Episode]:
        """All, in order.

        Raises:
            LabellingError: Their list is damaged.
        """
        files = sorted((self.root / "meta/episodes").glob("*/*.parquet"))
        episodes = []
        for path in files:
            for row in _read(path).to_pylist():
                place = {
                    key: value for key, value in row.items() if key in BESIDE or key.startswith("videos/")
                }
                index = int(row["episode_index"])
                episodes.append(Episode(self.name, episode_name(index), "lerobot", self.root, index, place))
        if not episodes:
            raise LabellingError(f"{self.root} has no episodes: {self.root / 'meta/episodes'} lists none")
        return sorted(episodes, key=lambda one: one.index)

    def data_file(self, episode: Episode) -> Path:
        """The parquet file with an episode's rows.

        Raises:
            LabellingError: The list of episodes does not say which.
        """
        return self.root / self._formatted(self.data_path, episode, "data", {})

    def video_file(self, episode: Episode, camera: str) -> Path:
        """The video with an episode's frames.

        Raises:
            LabellingError: The list of episodes does not say which.
        """
        return self.root / self._formatted(
            str(self.video_path), episode, f"videos/{camera}", {"video_key": camera}
        )

    def video_start(self, episode: Episode, camera: str) -> float:
        """When an episode begins in its video [s]."""
        value = episode.place.get(f"videos/{camera}/from_timestamp")
        if value is None:
            raise LabellingError(f"episode {episode.index} has no frames of {camera}")
        return float(value)

    def frames(self, episode: Episode) -> EpisodeFrames:
        """The frames of an episode, with their times exactly as they are stored.

        Raises:
            LabellingError: The file is damaged, or has no row of it.
        """
        path = self.data_file(episode)
        table = _read(path, ["episode_index", "frame_index", "timestamp"])
        episodes = table.column("episode_index").to_numpy()
        rows = np.flatnonzero(episodes == episode.index)
        if not len(rows):
            raise LabellingError(f"{path} has no row of episode {episode.index}")
        indices = table.column("frame_index").to_numpy()[rows]
        times = table.column("timestamp").to_numpy()[rows].astype(np.float64)
        return EpisodeFrames(indices, times, rows)

    def is_video(self, camera: str) -> bool:
        """Whether its pictures are a video, and not in the rows."""
        return bool(self.features[camera]["dtype"] == "video")

    def coded_pictures(self, episode: Episode, camera: str) -> list[bytes]:
        """The pictures that are in the rows, each a file's content.

        Raises:
            LabellingError: There are none.
        """
        path = self.data_file(episode)
        table = _read(path, ["episode_index", camera])
        rows = np.flatnonzero(table.column("episode_index").to_numpy() == episode.index)
        pictures = [
            one.get("bytes") if isinstance(one, dict) else None
            for one in table.column(camera).take(pa.array(rows)).to_pylist()
        ]
        if not all(pictures):
            raise LabellingError(f"{path} has no pictures of {camera} in its rows")
        return pictures  # type: ignore[return-value]

    @cached_property
    def data_files(self) -> list[Path]:
        """All parquet files of rows."""
        return sorted((self.root / "data").glob("*/*.parquet"))

    def _formatted(self, pattern: str, episode: Episode, key: str, more: dict[str, str]) -> str:
        chunk, file = (episode.place.get(f"{key}/{part}_index") for part in ("chunk", "file"))
        if chunk is None or file is None:
            raise LabellingError(f"episode {episode.index} of {self.root} has no {key.split('/', 1)[-1]}")
        return pattern.format(chunk_index=int(chunk), file_index=int(file), **more)


def episode_name(index: int) -> str:
    """What an episode is called in the output."""
    return f"episode_{index:06d}"


def _read(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        file = pq.ParquetFile(path)
        if columns is None:
            columns = [one for one in file.schema_arrow.names if not one.startswith("stats/")]
        return file.read(columns)
    except (OSError, pa.ArrowException) as error:
        raise LabellingError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error


def _is_depth(feature: dict[str, Any]) -> bool:
    info = feature.get("info") or feature.get("video_info") or {}
    shape = list(feature.get("shape") or [])
    marked = feature.get("is_depth_map") or info.get("video.is_depth_map") or info.get("is_depth_map")
    return bool(marked) or (len(shape) == 3 and 3 not in shape and 1 in shape)
