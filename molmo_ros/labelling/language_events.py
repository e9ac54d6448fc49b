# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The rows of an episode as events of LeRobot's `language_events` column.

Its library's rules (`lerobot.datasets.language`, and the validator of its annotator): an event is on the row of its
frame; of the styles `vqa` and `trace` each names its camera; a frame has at most one `vqa` of each role for a camera,
or recipes cannot tell them apart. So where several queries are asked about a frame, it has the keypoint of one of them,
each in its turn; what the others found is in the frame's `trace`, and in the table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from molmo_ros.labelling.label_table import Row

COLUMN = "language_events"
FEATURE = {"dtype": "language", "shape": [1], "names": None}
"""In info.json."""
VQA, TRACE = "vqa", "trace"
USER, ASSISTANT = "user", "assistant"
FOUND_POINTS = ("FOUND", "NO_DEPTH", "NO_TRANSFORM")
DIGITS = 2
"""Of coordinates, after the point [px]."""

Event = dict[str, Any]


def episode_events(rows: Sequence[Row], size: Sequence[int]) -> dict[int, list[Event]]:
    """The events of one camera of an episode.

    Args:
        rows: Of the table, in the order of the frames.
        size: Width and height of its pictures [px]; empty where they are not known.

    Returns:
        Events by the number of their frame.
    """
    asked: dict[int, dict[str, list[Row]]] = {}
    for row in rows:
        if row["frame"] is not None and row["key_frame"]:
            asked.setdefault(row["frame"], {}).setdefault(row["query"], []).append(row)
    events: dict[int, list[Event]] = {}
    for turn, (frame, answers) in enumerate(asked.items()):
        if pair := _pair(list(answers.values()), turn, size):
            events[frame] = pair
    for frame, trace in _traces(rows, list(asked), size).items():
        events.setdefault(frame, []).append(trace)
    return events


def _pair(answers: list[list[Row]], turn: int, size: Sequence[int]) -> list[Event]:
    """Question and answer of the query whose turn it is, or of the next that has one; nothing where none has."""
    for step in range(len(answers)):
        rows = answers[(turn + step) % len(answers)]
        if payload := _payload(rows, size):
            camera = rows[0]["camera"]
            question = str(rows[0]["prompt"]).splitlines()[0]
            return [_event(USER, VQA, question, camera), _event(ASSISTANT, VQA, _json(payload), camera)]
    return []


def _payload(rows: list[Row], size: Sequence[int]) -> dict[str, Any] | None:
    """The answer in one of the shapes that the annotator knows: a keypoint, or a count."""
    first = rows[0]
    points = [row for row in rows if row["x"] is not None]
    if first["kind"] == "count" and (first["count"] is not None or points):
        count = first["count"] if first["count"] is not None else len(points)
        return {"label": first["label"] or first["query"], "count": int(count)}
    if first["status"] in FOUND_POINTS and points:
        best = max(points, key=lambda row: -1.0 if row["score"] is None else row["score"])
        payload: dict[str, Any] = {"label": best["label"], "point_format": "xy", "point": _xy(best)}
        if size:
            payload["image_size"] = list(size)
        if len(points) > 1:
            payload["points"] = [_xy(row) for row in points]
        return payload
    if first["status"] == "NOT_FOUND" and first["kind"] in ("point", "count"):
        return {"label": first["label"] or first["query"], "count": 0}
    return None


def _traces(rows: Sequence[Row], keys: list[int], size: Sequence[int]) -> dict[int, Event]:
    """The trajectory of each track from one frame that was asked about to the next, on the first of them."""
    spans: dict[int, dict[tuple[str, int], list[Row]]] = {}
    place = 0
    for row in rows:
        if row["track"] is None or row["x"] is None:
            continue
        while place + 1 < len(keys) and row["frame"] >= keys[place + 1]:
            place += 1
        spans.setdefault(keys[place], {}).setdefault((row["query"], row["track"]), []).append(row)
    events = {}
    for frame, tracks in spans.items():
        traces = [
            {
                "label": its[0]["label"],
                "track": track,
                "frames": [row["frame"] for row in its],
                "points": [_xy(row) for row in its],
            }
            for (_, track), its in tracks.items()
        ]
        content: dict[str, Any] = {"point_format": "xy", "traces": traces}
        if size:
            content["image_size"] = list(size)
        camera = next(iter(tracks.values()))[0]["camera"]
        events[frame] = _event(ASSISTANT, TRACE, _json(content), camera)
    return events


def _event(role: str, style: str, content: str, camera: str) -> Event:
    return {"role": role, "content": content, "style": style, "camera": camera, "tool_calls": None}


def _xy(row: Row) -> list[float]:
    return [round(row["x"], DIGITS), round(row["y"], DIGITS)]


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, sort_keys=True)
