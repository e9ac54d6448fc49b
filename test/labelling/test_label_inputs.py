# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What IN may be."""

import json

import pytest

from molmo_ros.labelling.label_inputs import find_inputs
from molmo_ros.labelling.labelling_error import LabellingError


@pytest.fixture
def tree(tmp_path):
    """A folder with bags of three kinds, two data sets, and other things."""
    (tmp_path / "logs/one").mkdir(parents=True)
    (tmp_path / "logs/one/metadata.yaml").write_text("")
    (tmp_path / "logs/one/anything.db3").write_bytes(b"")
    (tmp_path / "logs/split").mkdir()
    for number in (0, 1, 10):
        (tmp_path / f"logs/split/split_{number}.mcap").write_bytes(b"")
    (tmp_path / "logs/alone.mcap").write_bytes(b"")
    (tmp_path / "logs/notes.txt").write_text("")
    for name in ("sets/a", "more/a"):
        (tmp_path / name / "meta").mkdir(parents=True)
        info = {"codebase_version": "v3.0", "features": {}, "fps": 10, "data_path": "", "video_path": ""}
        (tmp_path / name / "meta/info.json").write_text(json.dumps(info))
    (tmp_path / "nothing/below").mkdir(parents=True)
    return tmp_path


def names(inputs):
    return [(one.name, one.kind, [path.name for path in one.bags]) for one in inputs]


def test_a_folder_of_bags(tree):
    assert names(find_inputs([tree / "logs"])) == [("logs", "bag", ["alone.mcap", "one", "split"])]


def test_one_bag_alone(tree):
    assert names(find_inputs([tree / "logs/one"])) == [("logs", "bag", ["one"])]
    assert names(find_inputs([tree / "logs/alone.mcap"])) == [("logs", "bag", ["alone.mcap"])]


def test_all_of_it_with_names_that_differ(tree):
    found = names(find_inputs([tree]))
    assert [one[:2] for one in found] == [("logs", "bag"), ("a", "lerobot"), ("a-2", "lerobot")]


def test_names_stay_with_their_paths(tree):
    known = [("a", str(tree / "sets/a"))]
    found = {one.name: one.path for one in find_inputs([tree / "more/a", tree / "sets/a"], known)}
    assert found == {"a": tree / "sets/a", "a-2": tree / "more/a"}


def test_the_same_bag_twice_is_one(tree):
    assert names(find_inputs([tree / "logs/one", tree / "logs"])) == [
        ("logs", "bag", ["one", "alone.mcap", "split"])
    ]


@pytest.mark.parametrize(("name", "said"), [("none", "there is no "), ("nothing", "holds nothing to label")])
def test_what_is_no_input(name, said, tree):
    with pytest.raises(LabellingError, match=said) as caught:
        find_inputs([tree / name])
    assert name in str(caught.value) and "a LeRobot data set (v3.0)" in str(caught.value)


def test_what_runs_have_written_is_no_input(tree):
    out = tree / "logs/labels"
    (out / "set/episodes/a/b/c").mkdir(parents=True)
    (out / "set/episodes/a/b/c/answers.mcap").write_bytes(b"")
    (out / ".lock").write_text("")
    (tree / "logs/one_molmo.mcap").write_bytes(b"")
    assert names(find_inputs([tree / "logs"])) == [("logs", "bag", ["alone.mcap", "one", "split"])]
