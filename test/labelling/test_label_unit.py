# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Names of folders."""

from pathlib import Path

import pytest

from molmo_ros.labelling.label_unit import Episode, LabelUnit, folder_name


@pytest.mark.parametrize(
    "name", ["a b", "épisode ü", "日本", "a/b", "..", ".", "", "100%", "a\nb", "a\x00b", "x" * 300, "ü" * 200]
)
def test_any_name_is_one_folder(name, tmp_path):
    folder = tmp_path / folder_name(name)
    folder.mkdir()
    assert folder.parent == tmp_path and folder.resolve().parent == tmp_path


def test_names_that_differ_stay_different():
    names = ["a/b", "a%2Fb", "a b", "a+b", ".a", "%2Ea", "x" * 300, "x" * 301, "", "%"]
    assert len({folder_name(name) for name in names}) == len(names)
    assert folder_name("épisode 1") == "épisode 1"


def test_a_unit_is_three_folders():
    unit = LabelUnit(Episode("set", "day 1/ep", "bag", Path("/x")), "/top/image")
    assert unit.folder == Path("set/day 1%2Fep/top%2Fimage")
