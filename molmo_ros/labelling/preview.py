# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures and a short film of some labelled episodes, for a person to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from molmo_ros.drawing import draw_points, draw_text_line
from molmo_ros.labelling.label_table import Row, read_unit
from molmo_ros.labelling.label_unit import Episode, folder_name
from molmo_ros.labelling.labelling_error import MissingExtraError
from molmo_ros.labelling.lerobot_dataset import TOLERANCE, LeRobotDataset
from molmo_ros.labelling.video_frames import video_frames
from molmo_ros.molmo.answer import Point

WIDTH, HEIGHT = 640, 480
"""Of the film; pictures of another shape have bars [px]."""
FILM_RATE = 5
"""Pictures of the film in a second."""
MOST = 15
"""Pictures of each episode."""


def write_preview(folder: Path, labelled: Sequence[tuple[Episode, str, Path]]) -> tuple[int, Path]:
    """Draws labels into their pictures.

    Args:
        folder: Where the pictures and the film go.
        labelled: Episode, camera, and the file with its labels.

    Returns:
        How many pictures there are, and the film.

    Raises:
        OSError: They cannot be written.
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise MissingExtraError("av") from error
    folder.mkdir(parents=True, exist_ok=True)
    film, count = folder / "preview.mp4", 0
    with av.open(str(film), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=FILM_RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 4_000_000
        for episode, camera, file in labelled:
            for number, picture in enumerate(_pictures(episode, camera, file)):
                name = f"{folder_name(episode.dataset)}_{folder_name(episode.name)}_{folder_name(camera.strip('/'))}"
                if number == 0:
                    _write(folder / f"{name[:180]}.png", picture)
                    count += 1
                frame = av.VideoFrame.from_ndarray(_fitted(picture), format="rgb24")
                for packet in stream.encode(frame):
                    container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return count, film


def _pictures(episode: Episode, camera: str, file: Path) -> Iterator[np.ndarray]:
    """Some pictures of a unit, evenly over its frames, those with points first of all."""
    table, _ = read_unit(file)
    by_frame: dict[int, list[Row]] = {}
    for row in table.to_pylist():
        if row["frame"] is not None:
            by_frame.setdefault(row["frame"], []).append(row)
    frames = sorted(by_frame)
    chosen = (
        [frames[place] for place in np.unique(np.linspace(0, len(frames) - 1, MOST).astype(int))]
        if frames
        else []
    )
    for frame, pixels in _read(episode, camera, chosen, by_frame):
        picture = np.ascontiguousarray(pixels)
        points = [
            Point(row["x"], row["y"], row["label"] or "", row["track"] or number)
            for number, row in enumerate((one for one in by_frame[frame] if one["x"] is not None), start=1)
        ]
        draw_points(picture, points)
        others = [
            f"{row['query']}: {row['status']}"
            for row in by_frame[frame]
            if row["x"] is None and row["key_frame"]
        ]
        draw_text_line(picture, "  ".join([f"{episode.name} {by_frame[frame][0]['time']:.2f} s", *others]))
        yield picture


def _read(
    episode: Episode, camera: str, frames: Sequence[int], rows: dict[int, list[Row]]
) -> Iterator[tuple[int, np.ndarray]]:
    if episode.kind == "bag":
        from molmo_ros.labelling.bag_pictures import bag_pictures

        yield from bag_pictures(episode.path, camera, set(frames))
        return
    dataset = LeRobotDataset(episode.path, episode.dataset)
    times = [rows[frame][0]["time"] for frame in frames]
    if dataset.is_video(camera):
        start = dataset.video_start(episode, camera)
        path, tolerance = dataset.video_file(episode, camera), max(TOLERANCE, 0.25 / dataset.fps)
        for one in video_frames(path, [start + time for time in times], tolerance):
            if one.pixels is not None:
                yield frames[one.number], one.pixels
        return
    coded = dataset.coded_pictures(episode, camera)
    places = {int(index): place for place, index in enumerate(dataset.frames(episode).indices)}
    for frame in frames:
        pixels = cv2.imdecode(np.frombuffer(coded[places[frame]], np.uint8), cv2.IMREAD_COLOR)
        if pixels is not None:
            yield frame, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _fitted(picture: np.ndarray) -> np.ndarray:
    """In the film's size, with bars where its shape is another."""
    height, width = picture.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    small = cv2.resize(
        picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    canvas = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    top, left = (HEIGHT - small.shape[0]) // 2, (WIDTH - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def _write(path: Path, picture: np.ndarray) -> None:
    coded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    path.write_bytes(coded.tobytes())
