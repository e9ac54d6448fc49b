# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The pages show the platforms that `config/platforms.yaml` declares, and the declaration agrees with the product."""

import re
from pathlib import Path

import pytest
import yaml

from molmo_ros.engine.targets import GPU_TARGETS, NATIVE_SINCE, OLDEST
from molmo_ros.engine.tensorrt.module import version_numbers

ROOT = Path(__file__).parents[2]
PLATFORMS = yaml.safe_load((ROOT / "config" / "platforms.yaml").read_text())["platforms"]
JETSONS = [row for row in PLATFORMS if row["jetson"]]
TRIED = {"no": "", "wheels": "from wheels"}
UBUNTU = {"humble": "22.04", "jazzy": "24.04", "kilted": "24.04", "lyrical": "26.04"}
"""What each distribution's binary packages are for, by REP-2000."""
PYTHON = {"22.04": "3.10", "24.04": "3.12", "26.04": "3.14"}


def table(page, first):
    """The rows of the table whose header begins with `first`, as lists of cells."""
    text = (ROOT / "docs" / page).read_text()
    lines = re.search(rf"^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.M)[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def ros(row):
    return ", ".join(name.capitalize() for name in row["ros"])


def test_the_page_of_distributions_shows_them():
    assert table("distributions.md", "system") == [
        [
            row["os"],
            row["for"],
            row["python"],
            ros(row),
            row["cuda"] or "",
            row["tensorrt"] or "",
            TRIED[row["tried"]],
        ]
        for row in PLATFORMS
    ]


def test_the_page_of_engines_shows_jetpacks():
    assert table("engines.md", "JetPack") == [
        [
            row["os"].removeprefix("JetPack "),
            row["for"],
            f"Ubuntu {row['ubuntu']}",
            row["python"],
            ros(row),
            row["cuda"],
            row["tensorrt"],
            "native layers" if version_numbers(row["tensorrt"]) >= NATIVE_SINCE else "older operators",
        ]
        for row in JETSONS
    ]


@pytest.mark.parametrize("row", PLATFORMS, ids=lambda row: row["name"])
def test_a_system_has_the_python_and_the_ros_of_its_ubuntu(row):
    if row["ubuntu"]:
        assert row["python"] == PYTHON[row["ubuntu"]]
        assert {UBUNTU[name] for name in row["ros"]} == {row["ubuntu"]}
    assert row["name"] == row["os"].lower().replace(" ", "-")


@pytest.mark.parametrize("row", JETSONS, ids=lambda row: row["name"])
def test_engines_can_be_built_with_every_jetpack_s_tensorrt(row):
    version = version_numbers(row["tensorrt"])
    assert version >= OLDEST
    assert version < (11, 3)  # those are not for JetPack
    lowering = GPU_TARGETS["jetson-orin"].lowering(row["tensorrt"])
    assert lowering == ("legacy" if row["name"] == "jetpack-6.2" else "native")
