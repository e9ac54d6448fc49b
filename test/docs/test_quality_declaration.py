# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""QUALITY_DECLARATION.md against REP-2004 and against what the repository can show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "QUALITY_DECLARATION.md").read_text(encoding="utf-8")
ROWS = {
    number: (state, shown)
    for number, state, shown in re.findall(
        r"^\| (\d\.[iv]+(?:\.[ab])?) \| [^|]+ \| (.) \| ?(.*?) ?\|$", PAGE, re.M
    )
}
LEVEL_1 = {"1": 6, "2": 5, "3": 5, "4": 5, "5": 3, "6": 1, "7": 1}
"""How many requirements each part of REP-2004 has for Level 1; 7 is the disclosure policy of REP-2006."""
IN_PARTS = {"3.v": "ab", "4.iii": "ab", "4.iv": "ab", "4.v": "ab"}
NUMERALS = ("i", "ii", "iii", "iv", "v", "vi")
LEVEL_4 = {"3.iii", "3.iv"}
"""What the level that is claimed requires."""


def test_every_requirement_has_its_row_in_order():
    numbers = [f"{part}.{numeral}" for part, count in LEVEL_1.items() for numeral in NUMERALS[:count]]
    wanted = [
        f"{number}.{letter}" if letter else number
        for number in numbers
        for letter in IN_PARTS.get(number, [""])
    ]
    assert list(ROWS) == wanted
    assert PAGE.count("\n| ") == len(wanted) + 1


def test_the_level_is_one_whose_requirements_are_met():
    assert "**Quality Level 4**" in PAGE
    assert all(ROWS[number][0] == "✓" for number in LEVEL_4)
    # Level 3 also takes all of 1.i, 1.ii, 1.iv to 1.v, 2.i, 2.iv and 6.i: claim more once they are there.
    assert any(ROWS[number][0] != "✓" for number in ("1.ii", "2.i", "2.iv", "6.i"))


@pytest.mark.parametrize("number", ROWS)
def test_what_is_met_is_shown(number):
    state, shown = ROWS[number]
    assert state in "✓~☓"
    links = re.findall(r"\]\(([^)]+)\)", shown)
    assert all((ROOT / link).is_file() for link in links if "://" not in link)
    if state == "✓":
        assert links or number == "5.ii", "a claim without a file that shows it"


def test_readme_links_to_it_as_the_row_says():
    assert ("(QUALITY_DECLARATION.md)" in (ROOT / "README.md").read_text()) == (ROWS["3.v.a"][0] == "✓")


def test_a_version_is_stable_as_the_row_says():
    version = re.search(r"<version>(\d+)\.", (ROOT / "package.xml").read_text())[1]
    assert (int(version) >= 1) == (ROWS["1.ii"][0] == "✓")
