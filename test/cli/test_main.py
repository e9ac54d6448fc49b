# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The command line as people call it: `main` with arguments, its exit code, what it prints."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from molmo_ros.cli.main import main
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene


@pytest.fixture(scope="module")
def scene():
    return Scene.random(7)


@pytest.fixture(scope="module")
def picture(scene, tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "table.png"
    cv2.imwrite(str(path), cv2.cvtColor(render(scene, *SENSOR).rgb, cv2.COLOR_RGB2BGR))
    return path


def run_json(capsys, *arguments):
    code = main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert out.count("\n") == 1, "one object on one line"
    return code, json.loads(out), err


def test_point_finds_the_object_inside_its_mask(capsys, picture, scene, tmp_path):
    saved = tmp_path / "out.png"
    name = scene.objects[0].name
    code, answer, _ = run_json(capsys, "point", picture, name, "--save", saved)
    assert code == 0 and answer["status"] == "FOUND"
    (point,) = answer["points"]
    assert render(scene, *SENSOR).segmentation[int(point["y"]), int(point["x"])] == 0
    fields = {
        "status",
        "points",
        "count",
        "not_found_probability",
        "calibrated",
        "truncated",
        "limit",
        "text",
        "timing_ms",
        "crops",
    }
    assert set(answer) == fields and answer["timing_ms"]["total"] > 0
    assert set(point) == {"image", "x", "y", "label", "confidence"} and point["image"] == 0
    assert 0.5 < point["confidence"] <= 1 and 0 <= answer["not_found_probability"] < 0.1
    drawn, plain = cv2.imread(str(saved)), cv2.imread(str(picture))
    assert drawn.shape[0] > plain.shape[0] and np.any(drawn[: plain.shape[0]] != plain)


def test_crops_are_limited_and_said(capsys, picture):
    code, answer, err = run_json(capsys, "point", picture, "red cube", "--max-crops", "2")
    assert code == 0 and answer["crops"]["tilings"] == [[1, 2]] and answer["crops"]["max_crops"] == 2
    assert (
        "more than the 1 that the model was trained with" in answer["crops"]["note"]
        and answer["crops"]["note"] in err
    )
    code, answer, err = run_json(capsys, "point", picture, "red cube", "--latency", "0.000001")
    assert code == 0 and answer["crops"]["predicted_ms"] > 0 and answer["crops"]["tilings"] == [[1, 1]]
    assert "cannot be met" in err and err.count("\n") == 1
    code, answer, err = run_json(capsys, "point", picture, "red cube", "--max-crops", "1001")
    assert code == 2 and "1 to 1000" in answer["error"]


def test_not_found_is_an_answer(capsys, picture):
    code, answer, _ = run_json(capsys, "point", picture, "purple banana")
    assert code == 0 and answer["status"] == "NOT_FOUND" and answer["points"] == []


def test_ask_answers_in_words(capsys, picture, scene):
    code = main(["ask", str(picture), f"What color is the {scene.objects[0].shape}?"])
    assert code == 0
    assert scene.objects[0].color in capsys.readouterr().out.lower()


def test_count_says_how_many(capsys, picture, scene):
    shapes = [thing.shape for thing in scene.objects]
    shape = max(shapes, key=shapes.count)
    code, answer, _ = run_json(capsys, "count", picture, f"{shape}s")
    assert code == 0 and answer["status"] == "FOUND" and answer["count"] == shapes.count(shape)
    segmentation = render(scene, *SENSOR).segmentation
    hit = [shapes[segmentation[int(point["y"]), int(point["x"])]] for point in answer["points"]]
    assert hit == [shape] * shapes.count(shape)
    assert main(["count", str(picture), f"{shape}s"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"  count {shapes.count(shape)}"


def test_time_limit_ends_as_a_failure(capsys, picture):
    code, answer, _ = run_json(capsys, "point", picture, "white cube", "--time-limit", "0.000001")
    assert code == 1 and answer["status"] == "TIMEOUT"


@pytest.mark.parametrize("command", ["point", "ask", "count"])
@pytest.mark.parametrize("query", ["", "  \n\t "])
def test_empty_query(capsys, picture, command, query):
    code, answer, err = run_json(capsys, command, picture, query)
    assert code == 2 and answer["status"] == "ERROR" and "empty" in answer["error"]
    assert err == f"molmo-ros: {answer['error']}\n"


def test_missing_image_not_an_image_missing_model(capsys, picture, tmp_path):
    for image, model, named in (
        (tmp_path / "gone.png", "tiny", "gone.png"),
        (__file__, "tiny", "not an image"),
        (picture, tmp_path / "no_model", "no_model"),
    ):
        code, answer, err = run_json(capsys, "point", image, "red cube", "--model", model)
        assert code == 2 and answer["status"] == "ERROR" and answer["points"] == []
        assert named in answer["error"]
        assert err.count("\n") == 1


def test_unknown_device_fails_with_one_line(capsys, picture):
    code, answer, err = run_json(capsys, "point", picture, "red cube", "--device", "abacus")
    assert code in (1, 2) and answer["status"] == "ERROR" and err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["point"],
        ["point", "a.png"],
        ["describe"],
        ["describe", "a.png", "--max-points", "2"],
        ["ask", "a.png", "b?", "--time-limit", "-1"],
        ["point", "a.png", "x", "--max-points", "0"],
    ],
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: molmo-ros" in capsys.readouterr().err


def test_help_and_models_start_without_torch():
    code = (
        "import sys; from molmo_ros.cli.main import main; main(['models']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
