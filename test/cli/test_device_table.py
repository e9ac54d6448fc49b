# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros models --device`: what models would take, marked as computed."""

import json
import re

import pytest

from molmo_ros.cli.main import main
from molmo_ros.engine.cost.device import DEVICES
from molmo_ros.molmo.catalog.registry import registry


def printed(capsys, *arguments):
    assert main(["models", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_has_a_table_that_fits_a_terminal(capsys, device):
    out = printed(capsys, "--device", device, "--image-size", "1280x720")
    assert max(map(len, out.splitlines())) <= 120
    assert "COMPUTED" in out and "nothing here was measured" in out and DEVICES[device].title in out
    named = {line.split()[0] for line in out.splitlines() if line}
    assert {entry.name for entry in registry().values() if entry.hub_id} <= named and "tiny" not in named


def test_what_others_measured_stands_beside(capsys):
    out = printed(capsys, "--device", "thor")
    assert "molmo-7b-d in bf16: 14 tokens/s" in out and "its floor is 19.3" in out
    assert "Qwen3-VL-4B in int4: 79 tokens/s" in out
    assert "Measured by others" not in printed(capsys, "--device", "rtx3060")


def test_one_model_has_every_precision_and_few_crops(capsys):
    out = printed(capsys, "molmo2-4b", "--device", "RTX 5090")
    rows = [line.split()[1:3] for line in out.splitlines() if line.startswith("molmo2-4b ")]
    assert rows == [[one, crops] for crops in ("9", "2") for one in ("bf16", "int8", "int4", "fp8", "nvfp4")]
    rows = printed(capsys, "molmoe-1b", "--device", "agx-orin").splitlines()
    assert {row.split()[1] for row in rows if row.startswith("molmoe-1b ")} == {"bf16"}


def test_json_has_bytes_and_operations_of_each_pass(capsys):
    out = printed(capsys, "molmo2-4b", "--device", "agx-orin", "--image-size", "1280x720", "--json")
    (model,) = json.loads(out)["models"]
    device = model["device"]
    assert device["measured"] is False and device["bandwidth"] == 204.8e9 and device["source"]
    first = device["estimates"][0]
    assert first["image"]["tokens"] == 1189 and first["precision"] == "bf16"
    parts = first["memory"]
    assert parts["total"] > parts["weights"] + parts["cache"] + parts["scratch"]
    decode = first["passes"]["decode"]
    floor = device["bandwidth"] / (decode["weights"] + decode["cache"])
    assert first["tokens_per_s"]["floor"] == pytest.approx(floor)


def test_an_unknown_device_is_bad_input(capsys):
    assert main(["models", "--device", "toaster"]) == 2
    error = capsys.readouterr().err
    assert "'toaster'" in error and "orin-nx-16" in error and error.count("\n") == 1


def test_a_dry_run_says_what_the_engine_will_take(capsys):
    """A Jetson's too, on a machine that cannot build it; which it says."""
    assert main(["build", "tiny", "--target", "rtx40", "--precision", "int4", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "COMPUTED" in out and {"rtx4060", "rtx4090"} <= {line.split(" ")[0] for line in out.splitlines()}
    assert main(["build", "tiny", "--target", "jetson-orin", "--dry-run"]) == 2
    found = capsys.readouterr()
    assert "agx-orin " in found.out and "rtx" not in found.out
    assert "only be built on a Jetson Orin" in found.err


def test_a_dry_run_counts_the_precision_and_the_crops_that_are_asked_for(capsys):
    def weights(*more):
        main(["build", "tiny", "--target", "rtx30", "--dry-run", *more])
        lines = capsys.readouterr().out.splitlines()
        (row,) = [line.split() for line in lines if line.startswith("rtx3060 ")]
        return row[1], int(row[2]), float(row[10])

    bf16, int4 = weights(), weights("--precision", "int4", "--max-crops", "4")
    assert (bf16[0], bf16[1]) == ("bf16", 2) and (int4[0], int4[1]) == ("int4", 5)
    assert int4[2] > 2 * bf16[2]


@pytest.mark.parametrize("target, copies", [("jetson-orin", True), ("rtx30", False)])
def test_a_copied_cache_is_told_with_a_context_that_is_enough(capsys, target, copies):
    main(["build", "tiny", "--target", target, "--dry-run", "--max-context", "1536"])
    out = capsys.readouterr().out
    assert ("copies the cache for each token" in out) == copies
    assert max(map(len, out.splitlines())) <= 120
    if copies:
        least = re.search(r"--max-context (\d+)", out)[1]
        main(["build", "tiny", "--target", target, "--dry-run", "--max-context", least])
        out = capsys.readouterr().out
        assert f"of {least} tokens" in out and int(least) < 1536 and "There build with" not in out
