# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The annotated copy of a LeRobot data set, without any run: what was there stays, and is written once."""

import json

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.made_recordings import KEY, shortened, write_lerobot
from molmo_ros.labelling.annotated_dataset import AnnotatedDataset
from molmo_ros.labelling.label_table import write_rows
from molmo_ros.labelling.lerobot_dataset import INFO, LeRobotDataset

CAMERA = f"{KEY}.top"
OLD = [
    {"role": "user", "content": "What is it?", "style": "vqa", "camera": CAMERA, "tool_calls": None},
    {"role": "assistant", "content": None, "style": None, "camera": None, "tool_calls": ['{"say": "hello"}']},
]


@pytest.fixture
def small(episodes, tmp_path):
    """Two episodes of four frames."""
    return write_lerobot(tmp_path / "small", [shortened(one, 4) for one in episodes[:2]])


def label_file(folder, episode, frames):
    """A unit's file: a point on each of some frames."""
    rows = [
        {
            "dataset": "small",
            "episode_index": episode,
            "frame": frame,
            "camera": CAMERA,
            "query": "mug",
            "kind": "point",
            "label": "mug",
            "prompt": "Point to mug",
            "key_frame": True,
            "x": 10.0 + frame,
            "y": 20.0,
            "status": "FOUND",
        }
        for frame in frames
    ]
    path = folder / f"{episode}.parquet"
    write_rows(path, rows, {"unit": f"{episode}", "size": [320, 240]})
    return path


def events(root):
    (path,) = (root / "data").rglob("*.parquet")
    return {
        (row["episode_index"], row["frame_index"]): row["language_events"] or []
        for row in pq.read_table(path).to_pylist()
    }


def test_events_of_before_stay_and_a_frame_has_one_vqa(small, tmp_path):
    (path,) = (small / "data").rglob("*.parquet")
    table = pq.read_table(path)
    kind = pa.list_(
        pa.struct(
            [(name, pa.string()) for name in list(OLD[0])[:4]] + [("tool_calls", pa.list_(pa.string()))]
        )
    )
    pq.write_table(table.append_column("language_events", pa.array([OLD] + [[]] * 7, kind)), path)
    files = {0: [label_file(tmp_path, 0, [0, 2])], 1: []}
    annotated = AnnotatedDataset(LeRobotDataset(small), tmp_path / "new", files.__getitem__)
    annotated.write()
    found = events(tmp_path / "new")
    assert found[0, 0] == OLD and annotated.in_the_way == 2
    assert [one["role"] for one in found[0, 2]] == ["user", "assistant"]
    assert json.loads(found[0, 2][1]["content"])["point"] == [12.0, 20.0]
    assert sum(map(len, found.values())) == 4


def test_rows_without_new_labels_are_not_written_again(small, tmp_path):
    files = {0: [label_file(tmp_path, 0, [1])], 1: []}
    new = tmp_path / "new"
    assert AnnotatedDataset(LeRobotDataset(small), new, files.__getitem__).write() == 1
    assert AnnotatedDataset(LeRobotDataset(small), new, files.__getitem__).write() == 0
    files[1] = [label_file(tmp_path, 1, [3])]
    assert AnnotatedDataset(LeRobotDataset(small), new, files.__getitem__).write() == 1
    assert {key for key, its in events(new).items() if its} == {(0, 1), (1, 3)}
    assert not list(new.rglob(".*"))


def test_pictures_in_the_rows(small, episodes):
    """A data set without videos: each picture is a file's content in its row."""
    (path,) = (small / "data").rglob("*.parquet")
    table = pq.read_table(path)
    frames = [one.frames[n] for one in episodes[:2] for n in range(4)]
    coded = [
        {"bytes": cv2.imencode(".png", frame[:, :, ::-1])[1].tobytes(), "path": None} for frame in frames
    ]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(table.append_column(CAMERA, pa.array(coded, kind)), path)
    info = json.loads((small / INFO).read_text())
    info["features"][CAMERA]["dtype"] = "image"
    (small / INFO).write_text(json.dumps(info))
    read = LeRobotDataset(small)
    assert read.cameras == [CAMERA] and not read.is_video(CAMERA)
    from molmo_ros.labelling.video_labeller import _pictures

    seen = list(_pictures(read.coded_pictures(read.episodes()[1], CAMERA), [0, 3]))
    assert [one.number for one in seen] == [0, 1]
    assert (seen[1].pixels == episodes[1].frames[3]).all()
    damaged = list(_pictures([b"no picture"], [0]))
    assert damaged[0].pixels is None and "the picture cannot be read" in damaged[0].reason
    assert np.asarray(seen[0].pixels).dtype == np.uint8
