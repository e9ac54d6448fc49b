# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Sets in the layouts of public pointing benchmarks, of simulated scenes that training never saw, with their truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from molmo_ros.train.held_out import HeldOutScene
from molmo_ros.train.queries import QueryMaker, SceneQuery, mask_points

QUERIES = 4
"""Drawn for each scene; those without points are of use to some formats only."""
CATEGORIES = {"one": "affordable", "many": "spatial", "count": "counting"}
"""What kinds of queries stand for in Point-Bench; the names are the benchmark's, the questions the simulator's."""


@dataclass(frozen=True)
class AskedScene:
    """A query about a picture.

    Attributes:
        picture: uint8 [h, w, 3] RGB.
        query: What is asked.
        masks: bool [n, h, w] of the things that the label names, in the answer's order.
    """

    picture: np.ndarray
    query: SceneQuery
    masks: np.ndarray


def asked_scenes(scenes: Iterable[HeldOutScene]) -> Iterator[AskedScene]:
    """Every query of each scene."""
    for scene in scenes:
        segmentation = scene.frame.segmentation
        maker = QueryMaker(scene.names, mask_points(segmentation, len(scene.names)), scene.rng)
        for query in (maker.draw() for _ in range(QUERIES)):
            masks = [segmentation == member for member in query.members]
            yield AskedScene(scene.picture, query, np.array(masks, bool).reshape(-1, *segmentation.shape))


def write_point_bench(folder: Path, scenes: Iterable[HeldOutScene]) -> None:
    """`data.json`, `selected_images/`, `selected_masks/`."""
    entries = []
    for number, one in enumerate(asked_scenes(scenes)):
        category = CATEGORIES.get(one.query.kind)
        if category is None or not len(one.masks):
            continue
        name = f"{number:04d}.png"
        _write(folder / "selected_images" / category / name, one.picture)
        _write(folder / "selected_masks" / category / name, one.masks.any(axis=0))
        entries.append(
            {
                "image_filename": name,
                "mask_filename": name,
                "category": category,
                "user_input": one.query.prompt,
                "count": len(one.masks),
            }
        )
    (folder / "data.json").write_text(json.dumps(entries))


def write_pixmo_points(folder: Path, scenes: Iterable[HeldOutScene], by_hash: bool = True) -> None:
    """`data/test-00000-of-00001.parquet`, and the pictures in `images/` by hash, or in the file."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = []
    for one in asked_scenes(scenes):
        if one.query.kind not in ("one", "many", "absent"):
            continue
        data = _png(one.picture)
        digest = hashlib.sha256(data).hexdigest()
        if by_hash:
            _save(folder / "images" / f"{digest}.png", data)
        row = {
            "image_url": f"https://example.org/{digest}.png",
            "image_sha256": digest,
            "label": one.query.label,
            "points": [{"x": x / 10, "y": y / 10} for x, y in one.query.targets],
            "masks": (one.masks if len(one.masks) else np.zeros((1, *one.picture.shape[:2]), bool)).tolist(),
        }
        rows.append(row if by_hash else row | {"image": {"bytes": data, "path": None}})
    (folder / "data").mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist(rows), folder / "data" / "test-00000-of-00001.parquet")


def write_refspatial(folder: Path, scenes: Iterable[HeldOutScene]) -> None:
    """`Location/` and `Placement/`, each with `question.json`, `image/` and `mask/`."""
    tasks: dict[str, list[dict[str, object]]] = {"Location": [], "Placement": []}
    for one in asked_scenes(scenes):
        task = {"one": "Location", "many": "Placement"}.get(one.query.kind)
        if task is None:
            continue
        number = len(tasks[task])
        _write(folder / task / "image" / f"{number}.png", one.picture)
        _write(folder / task / "mask" / f"{number}.png", one.masks.any(axis=0))
        tasks[task].append(
            {
                "id": number,
                "rgb_path": f"image/{number}.png",
                "mask_path": f"mask/{number}.png",
                "object": one.query.label,
                "prompt": one.query.prompt,
                "suffix": "",
                "category": task.lower(),
                "step": 1,
            }
        )
    for task, entries in tasks.items():
        (folder / task / "question.json").write_text(json.dumps(entries))


def write_where2place(folder: Path, scenes: Iterable[HeldOutScene]) -> None:
    """`point_questions.jsonl`, `images/` and `masks/NN.jpg`."""
    lines: list[str] = []
    for one in asked_scenes(scenes):
        if one.query.kind not in ("one", "many"):
            continue
        number = len(lines)
        _write(folder / "images" / f"{number:02d}.png", one.picture)
        mask = cv2.imencode(".jpg", one.masks.any(axis=0).astype(np.uint8) * 255)[1].tobytes()
        _save(folder / "masks" / f"{number:02d}.jpg", mask)
        lines.append(
            json.dumps(
                {
                    "question_id": number,
                    "image": f"{number:02d}.png",
                    "text": one.query.prompt,
                    "category": one.query.kind,
                }
            )
        )
    (folder / "point_questions.jsonl").write_text("\n".join(lines))


def write_robospatial(folder: Path, scenes: Iterable[HeldOutScene]) -> None:
    """`annotations.json` and `images/`: polygons around single things, and yes and no."""
    entries = []
    for number, one in enumerate(asked_scenes(scenes)):
        if one.query.kind == "presence":
            category, answer = "configuration", one.query.answer.rstrip(".").lower()
        elif one.query.kind == "one" and len(one.masks) == 1:
            contours, _ = cv2.findContours(
                one.masks[0].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
            )
            corners = max(contours, key=cv2.contourArea).reshape(-1, 2) / one.picture.shape[1::-1]
            category, answer = "context", str([tuple(map(float, corner)) for corner in corners])
        else:
            continue
        _write(folder / "images" / f"{number:04d}.png", one.picture)
        entries.append(
            {
                "category": category,
                "question": one.query.prompt,
                "answer": answer,
                "img": f"images/{number:04d}.png",
            }
        )
    (folder / "annotations.json").write_text(json.dumps(entries))


WRITERS: dict[str, Callable[[Path, Iterable[HeldOutScene]], None]] = {
    "point-bench": write_point_bench,
    "pixmo-points": write_pixmo_points,
    "refspatial": write_refspatial,
    "where2place": write_where2place,
    "robospatial": write_robospatial,
}
"""By the format's name on the command line: called with a folder and scenes."""


def _write(path: Path, pixels: np.ndarray) -> None:
    _save(path, _png(pixels))


def _png(pixels: np.ndarray) -> bytes:
    """Of RGB, or of a mask as black and white."""
    if pixels.dtype == bool:
        return cv2.imencode(".png", pixels.astype(np.uint8) * 255)[1].tobytes()
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def _save(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
