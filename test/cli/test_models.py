# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros models`: the table, one model, and what a picture becomes."""

import json

import numpy as np
import pytest

from molmo_ros.cli.main import main
from molmo_ros.molmo.catalog.registry import registry
from molmo_ros.molmo.families.molmo2 import PROMPT
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.prompts.prompt import image_layout


def printed(capsys, *arguments):
    assert main(["models", *arguments]) == 0
    return capsys.readouterr().out


def test_json_is_one_object_with_the_embedded_model_first(capsys):
    entries = json.loads(printed(capsys, "--json"))["models"]
    assert [entry["name"] for entry in entries] == list(registry())
    assert entries[0]["name"] == "tiny" and entries[0]["hub_id"] is None
    assert entries[1]["memory_gb"].keys() == {"float32", "bfloat16", "float16"}
    assert "image" not in entries[0]


def test_the_table_has_a_line_for_every_model_and_fits_a_terminal(capsys):
    out = printed(capsys)
    lines = out.splitlines()
    assert max(map(len, lines)) <= 120
    for entry in registry().values():
        (line,) = [line for line in lines if line.split()[:1] == [entry.name]]
        assert line.endswith(entry.marks or "-") and entry.licence in line and entry.family in line
        assert (entry.hub_id or "(embedded)").split("/")[-1] in line


@pytest.mark.parametrize("entry", registry().values(), ids=lambda entry: entry.name)
def test_one_model_says_everything(capsys, entry):
    out = printed(capsys, entry.hub_id or entry.name)
    for fact in (
        *entry.verified.values(),
        *entry.not_verified,
        entry.language_model,
        f"{entry.parameters:,}",
    ):
        assert fact in out
    for gigabytes in entry.memory_gb.values():
        assert f"{gigabytes:g} GB" in out


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (100, 900), (1, 1), (3840, 2160)])
def test_image_size_says_what_the_image_processor_does(capsys, size):
    width, height = size
    entries = json.loads(printed(capsys, "--json", "--image-size", f"{width}x{height}"))["models"]
    image = np.zeros((height, width, 3), np.uint8)
    for entry in entries:
        config = registry()[entry["name"]].image_processor
        budgets = entry["image"]["budgets"]
        limits = [budget["max_crops"] for budget in budgets]
        assert limits[0] == config.max_crops and limits == sorted(limits, reverse=True)
        assert limits[-1] == 1 or len(limits) == 1
        if entry["name"] not in ("tiny", "molmo-7b-d", "molmo2-4b"):
            continue
        for budget in budgets:
            processor = ImageProcessor(config.with_max_crops(budget["max_crops"]))
            found = processor(image)
            assert len(found.crops) == budget["crops"]
            assert len(image_layout(PROMPT, found, config.low_res_columns)) == budget["tokens"]


def test_image_size_table(capsys):
    out = printed(capsys, "molmo2-4b", "--image-size", "1280x720")
    rows = [line.split() for line in out.split("becomes")[1].splitlines()]
    assert ["8", "2x4", "9", "1189"] in rows and ["1", "1x1", "2", "410"] in rows
    out = printed(capsys, "--image-size", "640x480")
    assert "molmo-7b-o, molmo-7b-d, molmo-72b, molmoe-1b\n" in out, "models that cut alike share a table"
    assert ["12", "2x3", "7", "740"] in [line.split() for line in out.splitlines()]


@pytest.mark.parametrize(
    "size", ["640", "640x", "0x480", "640x0", "-1x5", "axb", "640x480x3", "99999x5", "1.5x2"]
)
def test_a_bad_size_is_refused_with_an_example(capsys, size):
    with pytest.raises(SystemExit) as caught:
        main(["models", f"--image-size={size}"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert repr(size) in error and ("such as 1280x720" in error or "from 1 to 65535 px" in error)


def test_an_unknown_model_is_bad_input(capsys):
    assert main(["models", "gpt"]) == 2
    error = capsys.readouterr().err
    assert "'gpt'" in error and "molmo2-er" in error and error.count("\n") == 1
