# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Rows as events, by the rules of LeRobot's annotator as its documentation and validator state them."""

import json

from molmo_ros.labelling.language_events import episode_events

SIZE = [320, 240]
SHAPES = {"keypoint": {"label", "point_format", "point"}, "count": {"label", "count"}}
"""Keys that make an answer one of the kinds that the annotator knows."""


def row(frame, query, status="FOUND", key=True, **more):
    kind = "count" if query.startswith("count") else "ask" if query.endswith("?") else "point"
    empty = {"x": None, "y": None, "score": None, "track": None, "count": None, "label": query}
    prompt = f"Point to {query}\nPlease say 'There are none.' if it is not in the image."
    return {
        "frame": frame,
        "query": query,
        "kind": kind,
        "status": status,
        "key_frame": key,
        "camera": "observation.images.top",
        "prompt": prompt,
        **empty,
        **more,
    }


def told(events):
    return [(one["role"], one["style"]) for one in events]


def test_a_keypoint_is_a_question_and_an_answer():
    events = episode_events([row(3, "mug", x=10.123, y=20.456, score=0.9)], SIZE)
    assert list(events) == [3] and told(events[3]) == [("user", "vqa"), ("assistant", "vqa")]
    assert events[3][0]["content"] == "Point to mug"
    content = json.loads(events[3][1]["content"])
    assert content == {"label": "mug", "point_format": "xy", "point": [10.12, 20.46], "image_size": SIZE}
    assert all(one["camera"] == "observation.images.top" for one in events[3])


def test_of_several_points_the_surest_is_the_keypoint():
    rows = [row(0, "mug", x=float(n), y=0.0, score=score) for n, score in enumerate((0.2, 0.9, 0.5))]
    content = json.loads(episode_events(rows, SIZE)[0][1]["content"])
    assert content["point"] == [1.0, 0.0] and content["points"] == [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]
    assert SHAPES["keypoint"] <= content.keys()


def test_each_query_in_its_turn_and_one_pair_a_frame():
    rows = [row(frame, query, x=1.0, y=1.0) for frame in (0, 5, 10) for query in ("a", "b")]
    events = episode_events(rows, SIZE)
    labels = [json.loads(events[frame][1]["content"])["label"] for frame in (0, 5, 10)]
    assert labels == ["a", "b", "a"]
    assert all(told(one) == [("user", "vqa"), ("assistant", "vqa")] for one in events.values())


def test_nothing_there_is_a_count_of_none_and_an_error_is_no_event():
    rows = [row(0, "mug", "NOT_FOUND"), row(1, "mug", "ERROR"), row(2, "count: mugs", "ANSWERED", count=3)]
    events = episode_events(rows, SIZE)
    assert json.loads(events[0][1]["content"]) == {"label": "mug", "count": 0}
    assert json.loads(events[2][1]["content"])["count"] == 3
    assert 1 not in events


def test_a_question_leaves_the_frame_to_the_next_query():
    rows = [row(0, "is it open?", "ANSWERED"), row(0, "mug", x=1.0, y=2.0)]
    assert json.loads(episode_events(rows, SIZE)[0][1]["content"])["label"] == "mug"


def test_traces_reach_to_the_next_answer():
    rows = [
        row(
            frame,
            "mug",
            "FOUND" if frame % 3 == 0 else "TRACKED",
            frame % 3 == 0,
            x=float(frame),
            y=1.0,
            track=1,
        )
        for frame in range(6)
    ]
    rows.append(row(5, "cup", "LOST", False, track=2))
    events = episode_events(rows, SIZE)
    traces = {
        frame: json.loads(its[-1]["content"]) for frame, its in events.items() if its[-1]["style"] == "trace"
    }
    assert traces.keys() == {0, 3}
    assert traces[0]["traces"] == [
        {"label": "mug", "track": 1, "frames": [0, 1, 2], "points": [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]}
    ]
    assert traces[3]["traces"][0]["frames"] == [3, 4, 5] and traces[3]["image_size"] == SIZE


def test_a_row_without_a_frame_is_none():
    assert episode_events([row(None, "", "ERROR")], []) == {}
