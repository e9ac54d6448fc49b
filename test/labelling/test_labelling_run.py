# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whole runs over real Ray, held against the truth of the simulator, against `molmo-ros bag` and against each other."""

import json
import os
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from mcap.reader import make_reader
from rclpy.serialization import deserialize_message

from benchmarks.made_recordings import KEY, made_episode, write_bag, write_lerobot
from molmo_ros.cli.main import main


def test_a_lerobot_data_set(labelling, dataset, episodes):
    said = labelling.run(dataset, options=("--rate", "2", "--track"))
    assert "12 units: 12 labelled now, 0 before, 0 failed" in said
    rows = labelling.rows()
    on = hits = 0
    for row in rows:
        assert row["dataset"] == "sét one" and row["model"] == "tiny" and len(row["revision"]) == 64
        assert row["key_frame"] == (row["frame"] % 5 == 0)  # 2 Hz of 10
        assert np.float32(row["time"]) == np.float32(row["frame"] / 10)
        if row["x"] is None:
            continue
        mask = episodes[row["episode_index"]].mask(row["frame"], row["query"])
        mask = mask[:, ::-1] if row["camera"].endswith("wrist") else mask
        on += 1
        hits += bool(mask[min(int(row["y"]), 239), min(int(row["x"]), 319)])
    assert on > 70 and hits / on > 0.9
    asked = {
        (row["episode_index"], row["camera"], row["frame"], row["query"]) for row in rows if row["key_frame"]
    }
    assert len(asked) == 6 * 2 * 4 * 2
    assert {row["status"] for row in rows} >= {"FOUND", "NOT_FOUND", "TRACKED"}
    # A track is one thing: between two answers it moves as the view does, a pixel to the left a frame.
    ways = {}
    for row in rows:
        if (
            row["episode_index"] == 0
            and row["camera"].endswith("top")
            and row["track"] is not None
            and row["x"]
        ):
            ways.setdefault(row["track"], []).append((row["frame"], row["x"]))
    longest = max(ways.values(), key=len)
    assert [frame for frame, _ in longest] == list(range(20))
    assert longest[0][1] - longest[-1][1] == pytest.approx(19, abs=8)


def test_the_annotated_data_set_keeps_all_that_was_there(labelling, dataset):
    labelling.run(dataset, options=("--rate", "2", "--track", "--cameras", "top"))
    new = labelling.root / "lerobot" / "sét one"
    for old in dataset.rglob("*.mp4"):
        assert os.path.samefile(old, new / old.relative_to(dataset))
    info, before = (json.loads((root / "meta/info.json").read_text()) for root in (new, dataset))
    assert info["features"].pop("language_events") == {"dtype": "language", "shape": [1], "names": None}
    assert info == before
    rows = labelling.rows()
    found = Counter()
    for path in sorted((new / "data").rglob("*.parquet")):
        table, old = pq.read_table(path), pq.read_table(dataset / path.relative_to(new))
        assert table.drop_columns(["language_events"]).equals(old)
        groups = pq.ParquetFile(path)
        per_group = [
            groups.read_row_group(n).column("episode_index").unique() for n in range(groups.num_row_groups)
        ]
        assert all(len(one) == 1 for one in per_group)
        for row in table.to_pylist():
            events = row["language_events"]
            key = (row["episode_index"], row["frame_index"])
            its = [one for one in rows if (one["episode_index"], one["frame"]) == key]
            assert bool(events) == (row["frame_index"] % 5 == 0)
            assert all(one["camera"] == f"{KEY}.top" and one["tool_calls"] is None for one in events)
            kinds = Counter((one["style"], one["role"]) for one in events)
            assert max(kinds.values(), default=0) <= 1  # more, and the library cannot tell them apart
            found.update(kinds)
            for one in events:
                if one["role"] == "assistant" and one["style"] == "vqa":
                    content = json.loads(one["content"])
                    if "point" in content:
                        assert content["point_format"] == "xy" and content["image_size"] == [320, 240]
                        near = [r for r in its if r["label"] == content["label"] and r["x"] is not None]
                        assert any(content["point"] == [round(r["x"], 2), round(r["y"], 2)] for r in near)
                    else:
                        assert content["count"] == 0
                elif one["style"] == "trace":
                    for trace in json.loads(one["content"])["traces"]:
                        assert len(trace["frames"]) == len(trace["points"])
                        assert trace["frames"][0] == row["frame_index"]
    assert found["vqa", "user"] == found["vqa", "assistant"] == 24 and found["trace", "assistant"] == 4


def messages(path, topic):
    from molmo_msgs.msg import ObjectPointArray

    with path.open("rb") as file:
        for _, channel, message in make_reader(file).iter_messages(topics=[topic]):
            yield message.log_time, deserialize_message(message.data, ObjectPointArray), channel


def told(path):
    return [
        (time, one.query, one.status, [(point.pixel.x, point.pixel.y) for point in one.points])
        for time, one, _ in messages(path, "/molmo_node/result")
    ]


def scores(path):
    return [point.score for _, one, _ in messages(path, "/molmo_node/result") for point in one.points]


def test_bags_are_answered_as_by_the_command_for_one(labelling, bags, tmp_path):
    labelling.run(bags, options=("--rate", "2"))
    rows = labelling.rows()
    for name in ("a b", "ü", "c"):
        alone = tmp_path / f"{name}.mcap"
        asked = ["--query", "white mug", "--query", "orange cone"]
        assert (
            main(["bag", str(bags / name), *asked, "--rate", "2", "--threads", "1", "--out", str(alone)]) == 0
        )
        expected = told(alone)
        (written,) = labelling.root.glob(f"episodes/*/{name}/*/answers.mcap")
        assert told(written) == expected and len(expected) == 8
        points = [point for *_, its in expected for point in its]
        mine = [row for row in rows if row["episode"] == name]
        assert [(row["x"], row["y"]) for row in mine if row["x"] is not None] == points
        # Last digits of a score depend on how many tokens a pass verified together.
        alone_scores, mine_scores = scores(alone), [row["score"] for row in mine if row["x"] is not None]
        assert mine_scores == scores(written) == pytest.approx(alone_scores, abs=1e-3)
        assert {row["frame"] for row in mine} == {0, 5, 10, 15}
        assert all(row["stamp_ns"] == 1_700_000_000_000_000_000 + row["frame"] * 10**8 for row in mine)
        assert len(mine) == len(points) + sum(not its for *_, its in expected)


def test_tracks_of_bags_are_in_the_table(labelling, bags):
    labelling.run(bags / "a b", options=("--rate", "1", "--track"), queries=["white mug"])
    rows = [row for row in labelling.rows() if row["track"] is not None]
    assert [row["frame"] for row in rows if row["track"] == 1] == list(range(20))
    assert {(row["key_frame"], row["status"]) for row in rows} == {(True, "FOUND"), (False, "TRACKED")}
    assert rows[0]["x"] - rows[9]["x"] == pytest.approx(9, abs=2)


def test_a_second_run_does_what_is_missing_only(labelling, dataset):
    first = labelling.run(dataset, options=("--rate", "1", "--cameras", "top"))
    assert "6 labelled now" in first
    before = {path: path.stat().st_mtime_ns for path in labelling.units()}
    rows = labelling.rows()
    gone = labelling.units()[2]
    gone.unlink()
    again = labelling.run(dataset, options=("--rate", "1", "--cameras", "top"))
    assert "1 labelled now, 5 before" in again
    after = {path: path.stat().st_mtime_ns for path in labelling.units()}
    assert {path for path in after if after[path] != before[path]} == {gone}
    assert labelling.rows() == rows
    resumed = labelling.run(queries=(), options=("--resume",))
    assert "0 labelled now, 6 before" in resumed


def test_other_queries_are_a_set_beside_the_first(labelling, dataset):
    options = ("--rate", "1", "--cameras", "top")
    labelling.run(dataset, options=options, queries=["white mug"])
    first = labelling.root
    table = (first / "labels.parquet").read_bytes()
    said = labelling.run(dataset, options=options, queries=["orange cone"])
    assert "6 labelled now, 0 before" in said
    assert len(labelling.sets) == 2 and (first / "labels.parquet").read_bytes() == table
    tasks = [json.loads((one / "manifest.json").read_text())["task"] for one in labelling.sets]
    assert sorted(task["queries"] for task in tasks) == [["orange cone"], ["white mug"]]
    assert all(task["model"] == "tiny" and len(task["revision"]) == 64 for task in tasks)
    said = labelling.run(queries=(), options=("--resume",), code=2)
    assert "holds several sets of labels" in said


def test_nothing_to_resume(labelling, dataset):
    said = labelling.run(dataset, options=("--resume",), code=2)
    assert "holds no such set of labels; run without --resume to begin one" in said
    assert not labelling.sets


def test_five_hundred_queries(labelling, episodes, tmp_path):
    from benchmarks.made_recordings import shortened

    one = shortened(episodes[0], 1)
    write_lerobot(tmp_path / "in" / "set", [one])
    write_bag(tmp_path / "in" / "bags" / "bag", one)
    names = ["white mug", "orange cone", "white cone", "black ball"]
    queries = [f"{names[n % 4]} {n}" for n in range(500)]
    listed = tmp_path / "queries.txt"
    listed.write_text("\n".join(queries))
    labelling.run(
        tmp_path / "in", queries=(), options=("--queries-from", str(listed), "--max-new-tokens", "12")
    )
    rows = labelling.rows()
    for dataset in ("set", "bags"):
        assert [
            one for one in dict.fromkeys(row["query"] for row in rows if row["dataset"] == dataset)
        ] == queries


def test_more_queries_than_one_run_asks(labelling, dataset):
    said = labelling.run(dataset, queries=[f"thing {n}" for n in range(1001)], code=2)
    assert "there are 1001 queries, at most 1000 are asked in one run" in said


def test_a_preview_comes_first(labelling, dataset, bags):
    import av
    import cv2

    said = labelling.run(
        dataset, bags, options=("--rate", "1", "--cameras", "top", "--preview", "3", "--preview-only")
    )
    assert "3 labelled now" in said
    folder = labelling.root / "preview"
    pictures = [cv2.imdecode(np.fromfile(one, np.uint8), 1) for one in sorted(folder.glob("*.png"))]
    assert len(pictures) == 3 and all(one.shape == (240, 320, 3) for one in pictures)
    with av.open(str(folder / "preview.mp4")) as film:
        frames = sum(1 for _ in film.decode(video=0))
    assert frames == 3 * 2  # two pictures of each were asked about
    assert len(labelling.units()) == 3
    assert "6 labelled now, 3 before" in labelling.run(
        dataset, bags, options=("--rate", "1", "--cameras", "top")
    )


def test_a_query_about_one_camera(labelling, dataset):
    labelling.run(dataset, queries=["@wrist white mug", "orange cone"], options=("--rate", "1"))
    asked = {(row["camera"].rsplit(".")[-1], row["query"]) for row in labelling.rows()}
    assert asked == {("wrist", "@wrist white mug"), ("wrist", "orange cone"), ("top", "orange cone")}


def test_made_episodes_differ():
    """What the other tests hold labels against: the two cameras see the truth mirrored."""
    one = made_episode(0)
    assert one.mask(0, "white mug").any() and (one.frames[0] != one.frames[1]).any()
