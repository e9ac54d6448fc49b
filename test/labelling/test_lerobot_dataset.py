# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""LeRobot data sets, and what is none."""

import json

import numpy as np
import pytest

from benchmarks.made_recordings import KEY
from molmo_ros.labelling.labelling_error import LabellingError
from molmo_ros.labelling.lerobot_dataset import INFO, LeRobotDataset


def test_many_episodes_in_a_file(dataset):
    read = LeRobotDataset(dataset)
    episodes = read.episodes()
    assert [one.name for one in episodes] == [f"episode_{n:06d}" for n in range(6)]
    assert [read.data_file(one).name for one in episodes] == ["file-000.parquet"] * 4 + [
        "file-001.parquet"
    ] * 2
    assert read.video_start(episodes[2], f"{KEY}.top") == pytest.approx(4.0)
    frames = read.frames(episodes[5])
    assert frames.indices.tolist() == list(range(20)) and frames.rows.tolist() == list(range(20, 40))
    assert frames.times.tolist() == [
        float(np.float32(n / 10)) for n in range(20)
    ]  # exactly as they are stored


def test_cameras_by_key_and_by_last_part(dataset):
    read = LeRobotDataset(dataset)
    assert read.cameras == [f"{KEY}.top", f"{KEY}.wrist"]
    assert read.camera("wrist") == read.camera(f"{KEY}.wrist") == f"{KEY}.wrist"
    with pytest.raises(LabellingError, match=r"has no camera 'side'; it has observation\.images\.top, "):
        read.camera("side")


@pytest.mark.parametrize("mark", ["video.is_depth_map", "is_depth_map", "shape"])
def test_depth_is_no_camera(mark, dataset, copied):
    root = copied(dataset)
    info = json.loads((root / INFO).read_text())
    feature = info["features"][f"{KEY}.wrist"]
    feature["info"] = {} if mark == "shape" else {mark: True}
    feature["shape"] = [240, 320, 1] if mark == "shape" else feature["shape"]
    (root / INFO).write_text(json.dumps(info))
    assert LeRobotDataset(root).cameras == [f"{KEY}.top"]


def test_an_older_version_is_told_how_to_be_converted(dataset, copied):
    root = copied(dataset)
    info = json.loads((root / INFO).read_text()) | {"codebase_version": "v2.1"}
    (root / INFO).write_text(json.dumps(info))
    with pytest.raises(
        LabellingError, match=r"of version v2\.1; it has to be v3\.0: its library converts it"
    ):
        LeRobotDataset(root)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"codebase_version": "v3.0"}'])
def test_a_damaged_info(content, dataset, copied):
    root = copied(dataset)
    (root / INFO).write_text(content)
    with pytest.raises(LabellingError, match="is damaged"):
        LeRobotDataset(root)


def test_damaged_rows(dataset, copied):
    read = LeRobotDataset(copied(dataset))
    episodes = read.episodes()
    read.data_file(episodes[0]).write_bytes(b"no parquet")
    with pytest.raises(LabellingError, match="cannot be read"):
        read.frames(episodes[0])
    for path in (read.root / "meta/episodes").rglob("*.parquet"):
        path.unlink()
    with pytest.raises(LabellingError, match="has no episodes"):
        read.episodes()
