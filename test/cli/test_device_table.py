"""`molmo-ros models --device`: what models would take, marked as computed."""

import json

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
