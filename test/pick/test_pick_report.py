# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The table of a run, and its film."""

import re

import numpy as np
import pytest

pytest.importorskip("molmo_msgs.msg", reason="needs ROS 2")
import cv2  # noqa: E402

from molmo_ros.pick import pick_report  # noqa: E402
from molmo_ros.pick.film import LARGEST_GIF, write_gif  # noqa: E402
from molmo_ros.pick.pick_report import PickCase  # noqa: E402
from molmo_ros.pick.pick_verdict import Cause, PickVerdict  # noqa: E402


def case(cause, exists=True, cluttered=False, looks=1, name="red cube"):
    reason = "" if cause is Cause.LIFTED else "because"
    verdict = PickVerdict(exists, cause, reason, 0.9, 0.2 if cause is Cause.LIFTED else 0.0, True)
    return PickCase(7, name, 4, cluttered, verdict, looks)


CASES = [
    case(Cause.LIFTED),
    case(Cause.LIFTED, looks=2, cluttered=True),
    case(Cause.GRASP, name="blue ball"),
    case(Cause.POINTING, exists=False),
]


def test_what_nobody_could_grip_does_not_count():
    assert pick_report.share(CASES) == pytest.approx(2 / 3)
    assert "no grasp exists in 1 more scenes" in pick_report.beyond(CASES)


def test_the_table_adds_up():
    rows = {
        line.split("|")[1].strip(): [int(cell) for cell in re.findall(r"\| (\d+) (?=\|)", line)]
        for line in pick_report.results(CASES).splitlines()[2:]
    }
    assert rows["lifted"] == [1, 1, 2]
    assert rows["at the first look"] == [1, 0, 1]
    assert rows["grasp"] == [1, 0, 1]
    assert rows["pointing"] == [0, 0, 0]
    assert rows["of"] == [2, 1, 3]
    causes = [rows[cause.value][2] for cause in Cause if cause.value in rows]
    assert sum(causes) == rows["of"][2]
    assert pick_report.shapes(CASES) == "ball 0/1, cube 2/2"
    assert pick_report.reasons(CASES) == "  seed 7, blue ball: grasp: because"


def test_a_row_stands_below_its_headings():
    line = pick_report.row(3, CASES[1])
    assert line.split() == ["3", "7", "red", "cube", "4", "yes", "2", "0.90", "20", "cm", "lifted"]
    assert line.index("yes") == pick_report.HEADER.index("close")


def test_a_film_is_small_enough_for_a_page(tmp_path):
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 255, (120, 160, 3), np.uint8) for _ in range(400)]
    write_gif(tmp_path / "film.gif", [frames])
    assert (tmp_path / "film.gif").stat().st_size <= LARGEST_GIF
    read, animation = cv2.imreadanimation(str(tmp_path / "film.gif"))
    assert read
    assert 10 < len(animation.frames) < 400


def test_a_film_leaves_out_what_does_not_move(tmp_path):
    still, moved = np.zeros((60, 80, 3), np.uint8), np.full((60, 80, 3), 200, np.uint8)
    write_gif(tmp_path / "film.gif", [[still, still, still, moved, moved, still]])
    _, animation = cv2.imreadanimation(str(tmp_path / "film.gif"))
    assert len(animation.frames) == 3
