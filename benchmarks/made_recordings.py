# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Data sets to label, made of simulated tables: LeRobot's format v3.0, and rosbag2 bags, each with the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import Scene

FPS = 10
WIDTH, HEIGHT = 320, 240
KEY = "observation.images"
SHIFT = 1
"""By how many pixels the picture moves from frame to frame."""
START = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class MadeEpisode:
    """One episode.

    Attributes:
        frames: uint8 [n, h, w, 3].
        segmentation: int [n, h, w], the object at each pixel.
        names: Of the objects.
    """

    frames: np.ndarray
    segmentation: np.ndarray
    names: tuple[str, ...]

    def mask(self, frame: int, name: str) -> np.ndarray:
        """bool [h, w]: where things of that name are."""
        numbers = [number for number, one in enumerate(self.names) if one == name]
        return np.isin(self.segmentation[frame], numbers)


@cache
def made_episode(seed: int, count: int = 20) -> MadeEpisode:
    """A simulated table over which the view slides."""
    scene = Scene.random(seed)
    span = (count - 1) * SHIFT
    seen = render(scene, WIDTH + span + span % 2, HEIGHT)
    windows = [slice(n * SHIFT, n * SHIFT + WIDTH) for n in range(count)]
    return MadeEpisode(
        np.stack([seen.rgb[:, one] for one in windows]),
        np.stack([np.asarray(seen.segmentation)[:, one] for one in windows]),
        tuple(one.name for one in scene.objects),
    )


def write_lerobot(
    root: Path,
    episodes: Sequence[MadeEpisode],
    cameras: Sequence[str] = ("top",),
    *,
    together: int = 10,
    fps: int = FPS,
    codec: str = "libx264",
) -> Path:
    """A data set of format v3.0.

    Args:
        root: Its folder.
        episodes: What each camera sees; the second sees the same mirrored.
        cameras: Last parts of the cameras' keys.
        together: How many episodes are in one parquet file and one video.
        fps: Frames a second.
        codec: Of the videos.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []
    total = 0
    for file in range(-(-len(episodes) // together)):
        its = list(enumerate(episodes))[file * together : (file + 1) * together]
        rows, at = [], 0
        for index, episode in its:
            count = len(episode.frames)
            one: dict[str, Any] = {
                "episode_index": index,
                "tasks": ["put it away"],
                "length": count,
                "data/chunk_index": 0,
                "data/file_index": file,
                "dataset_from_index": total,
                "dataset_to_index": total + count,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
            }
            for camera in cameras:
                prefix = f"videos/{KEY}.{camera}"
                one |= {
                    f"{prefix}/chunk_index": 0,
                    f"{prefix}/file_index": file,
                    f"{prefix}/from_timestamp": at / fps,
                    f"{prefix}/to_timestamp": (at + count) / fps,
                }
            listed.append(one)
            rows += [
                {
                    "observation.state": [float(n), float(index)],
                    "action": [float(n) / 2, 0.0],
                    "timestamp": np.float32(n / fps),
                    "frame_index": n,
                    "episode_index": index,
                    "index": total + n,
                    "task_index": 0,
                }
                for n in range(count)
            ]
            total, at = total + count, at + count
        schema = pa.schema(
            {
                "observation.state": pa.list_(pa.float32(), 2),
                "action": pa.list_(pa.float32(), 2),
                "timestamp": pa.float32(),
                "frame_index": pa.int64(),
                "episode_index": pa.int64(),
                "index": pa.int64(),
                "task_index": pa.int64(),
            }
        )
        path = root / f"data/chunk-000/file-{file:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema), path)
        for number, camera in enumerate(cameras):
            frames = np.concatenate([one.frames[:, :, :: -1 if number else 1] for _, one in its])
            write_video(root / f"videos/{KEY}.{camera}/chunk-000/file-{file:03d}.mp4", frames, fps, codec)
    (root / "meta/episodes/chunk-000").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(listed), root / "meta/episodes/chunk-000/file-000.parquet")
    _write_meta(root, cameras, len(episodes), total, fps)
    return root


def _write_meta(root: Path, cameras: Sequence[str], episodes: int, frames: int, fps: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = {"dtype": "int64", "shape": [1], "names": None}
    features: dict[str, Any] = {
        "observation.state": {"dtype": "float32", "shape": [2], "names": ["a", "b"]},
        "action": {"dtype": "float32", "shape": [2], "names": ["a", "b"]},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        **{name: number for name in ("frame_index", "episode_index", "index", "task_index")},
    }
    for camera in cameras:
        features[f"{KEY}.{camera}"] = {
            "dtype": "video",
            "shape": [HEIGHT, WIDTH, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.fps": fps,
                "video.height": HEIGHT,
                "video.width": WIDTH,
                "video.is_depth_map": False,
            },
        }
    info = {
        "codebase_version": "v3.0",
        "robot_type": "made",
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": 1,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features,
    }
    (root / "meta/info.json").write_text(json.dumps(info, indent=4))
    (root / "meta/stats.json").write_text("{}")
    tasks = pa.table({"task_index": pa.array([0]), "task": ["put it away"]})
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}
        for name, kind, stored in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    pandas = {"index_columns": ["task"], "columns": columns, "column_indexes": [], "pandas_version": "2.0.0"}
    tasks = tasks.replace_schema_metadata({"pandas": json.dumps(pandas)})
    pq.write_table(tasks, root / "meta/tasks.parquet")


def write_video(path: Path, frames: np.ndarray, fps: int = FPS, codec: str = "libx264") -> None:
    """A video, a picture in two by itself, as LeRobot encodes."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            codec, rate=fps, options={"crf": "15", "g": "2", "preset": "veryfast"}
        )
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def write_bag(
    path: Path,
    episode: MadeEpisode,
    topics: Sequence[str] = ("/cam/image",),
    *,
    mcap: bool = True,
    packed: bool = False,
) -> Path:
    """A rosbag2 folder of raw pictures.

    Args:
        path: The folder.
        episode: What each camera sees; the second sees the same mirrored.
        topics: Of the cameras.
        mcap: The storage; else sqlite3.
        packed: Whether its file is compressed as a whole.
    """
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_JAZZY)
    image, header, stamp = (
        types.types[name]
        for name in ("sensor_msgs/msg/Image", "std_msgs/msg/Header", "builtin_interfaces/msg/Time")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    plugin = StoragePlugin.MCAP if mcap else StoragePlugin.SQLITE3
    writer = Writer(path, version=9, storage_plugin=plugin)
    if packed:
        writer.set_compression(CompressionMode.FILE, CompressionFormat.ZSTD)
    with writer:
        connections = [writer.add_connection(one, image.__msgtype__, typestore=types) for one in topics]
        for number, frame in enumerate(episode.frames):
            time = START + number * 1_000_000_000 // FPS
            for side, connection in enumerate(connections):
                pixels = np.ascontiguousarray(frame[:, :: -1 if side else 1])
                height, width = pixels.shape[:2]
                about = header(stamp(time // 10**9, time % 10**9), "camera")
                message = image(about, height, width, "rgb8", 0, width * 3, pixels.reshape(-1))
                writer.write(connection, time, types.serialize_cdr(message, image.__msgtype__))
    return path


def shortened(episode: MadeEpisode, count: int) -> MadeEpisode:
    """The first frames of it."""
    return replace(episode, frames=episode.frames[:count], segmentation=episode.segmentation[:count])
