# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros eval` with the embedded model, on sets of every format made of simulated scenes with their truth."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.simulated_benchmarks import WRITERS
from molmo_ros.cli.main import main
from molmo_ros.engine.load import load_molmo
from molmo_ros.molmo.prompts.prompt import PromptBuilder
from molmo_ros.molmo.prompts.prompt_text import point_prompt
from molmo_ros.train.held_out import narrow_scenes

SCENES = 3
PATIENCE = 120.0
"""How long a process may take on a machine that is busy otherwise [s]."""
RULES = {
    "point-bench": "pointarena",
    "pixmo-points": "f1",
    "refspatial": "share",
    "where2place": "share",
    "robospatial": "first-point",
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A folder of each format."""
    root = tmp_path_factory.mktemp("sets")
    for name, write in WRITERS.items():
        (root / name).mkdir()
        write(root / name, narrow_scenes(SCENES))
    return root


@pytest.fixture(scope="module")
def report(sets, tmp_path_factory):
    """Point-Bench's JSON, by all of its rules."""
    out = tmp_path_factory.mktemp("report") / "out.json"
    rules = [word for rule in ("pointarena", "ai2", "lmms-eval") for word in ("--rule", rule)]
    assert (
        main(["eval", str(sets / "point-bench"), "--format", "point-bench", *rules, "--json", str(out)]) == 0
    )
    return json.loads(out.read_text())


def evaluate(folder, *arguments, format_name="point-bench", rule="pointarena"):
    return main(["eval", str(folder), "--format", format_name, "--rule", rule, *map(str, arguments)])


def test_scores_are_those_of_the_models_points_in_the_true_masks(report, sets):
    """Each question asked again by itself, and its points looked up in the mask's file."""
    model = load_molmo("tiny")
    entries = json.loads((sets / "point-bench" / "data.json").read_text())
    assert len(entries) >= 6 and report["questions"] == report["scored"] == len(entries)
    for entry, found in zip(entries, report["answers"], strict=True):
        path = Path("selected_images", entry["category"], entry["image_filename"])
        picture = cv2.cvtColor(cv2.imread(str(sets / "point-bench" / path)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(sets / "point-bench" / str(path).replace("images", "masks")), 0) > 0
        points = model.query(picture, entry["user_input"]).points
        assert found["points"] == [[point.x, point.y] for point in points]
        hits = [bool(mask[int(point.y), int(point.x)]) for point in points]
        counted = entry["category"] == "counting"
        right = all(hits) and len(hits) == entry["count"] if counted else hits[:1] == [True]
        assert found["scores"]["pointarena"]["score"] == float(right)
        assert found["scores"]["ai2"]["score"] == float(bool(hits) and all(hits))
        assert found["words"] == entry["user_input"]
    means = [answer["scores"]["pointarena"]["score"] for answer in report["answers"]]
    assert report["rule"]["pointarena"]["score"] == pytest.approx(np.mean(means))
    assert np.mean(means) > 0.8  # it knows these scenes


def test_what_the_report_is_about(report):
    import torch

    import molmo_ros.molmo.catalog.model_store as store
    from molmo_ros.engine.store.checkpoint_hash import checkpoint_sha256

    assert report["model"]["name"] == "tiny"
    assert report["model"]["checkpoint_sha256"] == checkpoint_sha256(store.checkpoint_folder("tiny"))
    assert set(report["engine"]) == {"runtime", "dtype", "device", "manifest"}
    assert report["versions"]["torch"] == torch.__version__
    assert set(report["rule"]) == {"pointarena", "ai2", "lmms-eval"}
    assert all(len(rule["explanation"]) > 20 for rule in report["rule"].values())


@pytest.mark.parametrize("format_name", RULES)
def test_every_format(sets, tmp_path, capsys, format_name):
    out, worst = tmp_path / "out.json", tmp_path / "worst"
    options = ("--json", out, "--worst", worst, "--limit", 5)
    assert evaluate(sets / format_name, *options, format_name=format_name, rule=RULES[format_name]) == 0
    report = json.loads(out.read_text())
    assert report["scored"] >= 1 and not report["skipped"]
    assert report["rule"][RULES[format_name]]["score"] > 0.5
    printed = capsys.readouterr().out
    assert f"{100 * report['rule'][RULES[format_name]]['score']:.2f}" in printed and "category" in printed
    wrong = [one for one in report["answers"] if one["scores"][RULES[format_name]]["score"] < 1]
    assert len(list(worst.iterdir())) == len(wrong)


def test_the_words_reach_the_model_once_and_as_they_are(sets, tmp_path, monkeypatch):
    sent, real = [], PromptBuilder.query

    def listen(self, text, *rest):
        sent.append(text)
        return real(self, text, *rest)

    monkeypatch.setattr(PromptBuilder, "query", listen)
    assert evaluate(sets / "point-bench") == 0
    words = {entry["user_input"] for entry in json.loads((sets / "point-bench" / "data.json").read_text())}
    assert set(sent) == words
    sent.clear()
    out = tmp_path / "o.json"
    assert evaluate(sets / "pixmo-points", "--json", out, format_name="pixmo-points", rule="f1") == 0
    labels = {answer["words"] for answer in json.loads(out.read_text())["answers"]}
    wording = load_molmo("tiny").family.prompt.wording
    assert set(sent) == {point_prompt(label, wording) for label in labels}


def test_an_interrupted_evaluation_goes_on(sets, tmp_path, report):
    """Killed by SIGINT after the first answers, cut in the middle of a line, then gone on with: the same report."""
    out = tmp_path / "out.json"
    kept = out.with_name("out.json.answers.jsonl")
    command = [
        sys.executable,
        "-m",
        "molmo_ros.cli.main",
        "eval",
        str(sets / "point-bench"),
        "--format",
        "point-bench",
    ]
    command += ["--rule", "pointarena", "--json", str(out), "--resume"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + PATIENCE
    while not (kept.exists() and kept.read_bytes().count(b"\n") > 1):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.001)
    process.send_signal(signal.SIGSTOP)  # so that it is in the middle when the interrupt comes
    total = report["questions"]
    assert kept.read_bytes().count(b"\n") - 1 < total
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and "--resume goes on with them" in said and not out.exists()
    answered = kept.read_bytes().count(b"\n") - 1
    with kept.open("ab") as file:
        file.write(b'{"id": "0", "sta')
    before = kept.read_bytes()
    found = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert found.returncode == 0, found.stderr
    again = json.loads(out.read_text())
    assert kept.read_bytes().startswith(before[: before.rindex(b"\n") + 1])
    assert kept.read_bytes().count(b"\n") - 1 == total and 1 <= answered < total
    assert again["rule"]["pointarena"] == report["rule"]["pointarena"]
    same = ("id", "text", "points", "status", "words")
    assert [[one[key] for key in same] for one in again["answers"]] == [
        [one[key] for key in same] for one in report["answers"]
    ]


def test_complete_answers_are_scored_by_another_rule_without_asking(sets, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    assert evaluate(sets / "point-bench", "--json", out, "--limit", 4) == 0
    monkeypatch.setattr("molmo_ros.molmo.pipeline.Molmo.answers", lambda *_: pytest.fail("it was asked"))
    assert evaluate(sets / "point-bench", "--json", out, "--limit", 4, "--resume", rule="ai2") == 0
    report = json.loads(out.read_text())
    assert set(report["rule"]) == {"ai2"} and report["scored"] == 4


def test_answers_of_another_model_or_to_something_else(sets, tmp_path, capsys):
    out = tmp_path / "out.json"
    assert evaluate(sets / "point-bench", "--json", out, "--limit", 2) == 0
    for folder, options, said in (
        ("point-bench", ["--max-crops", 2], '"max_crops": null'),
        ("point-bench", ["--engine", "torch", "--dtype", "bfloat16"], "engine was"),
        ("refspatial", [], "benchmark was"),
    ):
        capsys.readouterr()
        rule = RULES[folder]
        code = evaluate(sets / folder, "--json", out, "--resume", *options, format_name=folder, rule=rule)
        error = capsys.readouterr().err
        assert code == 2 and "has answers to something else" in error and said in error
    capsys.readouterr()
    assert evaluate(sets / "point-bench", "--json", out) == 2
    assert "is there already: --resume goes on with it" in capsys.readouterr().err


def test_two_evaluations_into_one_file(sets, tmp_path):
    """The first is stopped while it writes; the second is refused."""
    out = tmp_path / "out.json"
    kept = out.with_name("out.json.answers.jsonl")
    command = [
        sys.executable,
        "-m",
        "molmo_ros.cli.main",
        "eval",
        str(sets / "point-bench"),
        "--format",
        "point-bench",
    ]
    command += ["--rule", "pointarena", "--json", str(out), "--resume"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + PATIENCE
    while not kept.exists():
        assert first.poll() is None and time.monotonic() < until
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)
    second = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=PATIENCE)
    assert second.returncode == 2 and "another evaluation is writing" in second.stderr
    assert first.returncode == 0 and json.loads(out.read_text())["scored"] > 0


def test_a_full_disk(sets, tmp_path):
    """A limit of a file's size stands for the disk; nothing that was kept is lost."""
    out = tmp_path / "out.json"
    command = [
        sys.executable,
        "-m",
        "molmo_ros.cli.main",
        "eval",
        str(sets / "point-bench"),
        "--format",
        "point-bench",
    ]
    command += ["--rule", "pointarena", "--json", str(out), "--resume"]
    limit = (1400, 1400)
    found = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        env=os.environ | {"MOLMO_ROS_HOME": str(tmp_path / "home")},
    )
    assert found.returncode == 1, found.stderr
    assert "cannot be written: File too large" in found.stderr and "go on with --resume" in found.stderr
    assert "Traceback" not in found.stderr
    assert subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode == 0


def test_skipped_questions_are_told(sets, tmp_path, capsys):
    folder = tmp_path / "bench"
    shutil.copytree(sets / "point-bench", folder)
    entries = json.loads((folder / "data.json").read_text())
    one, two = entries[:2]
    (folder / "selected_images" / one["category"] / one["image_filename"]).write_bytes(b"no picture")
    (folder / "selected_masks" / two["category"] / two["mask_filename"]).unlink()
    out = tmp_path / "out.json"
    assert evaluate(folder, "--json", out) == 0
    report = json.loads(out.read_text())
    assert report["scored"] == len(entries) - 2 and report["questions"] == len(entries)
    reasons = " ".join(skipped["reason"] for skipped in report["skipped"])
    assert "is not a picture" in reasons and "there is no" in reasons
    printed = capsys.readouterr().out
    assert f"2 of {len(entries)} questions were skipped" in printed and "not comparable" in printed


@pytest.mark.parametrize("format_name", RULES)
def test_a_rule_has_to_be_chosen(tmp_path, capsys, format_name):
    """Before anything is read: the folder is not even there."""
    assert main(["eval", str(tmp_path / "nowhere"), "--format", format_name]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "--rule NAME is needed" in lines[0]
    assert any(line.startswith(f"molmo-ros: {RULES[format_name]}: ") for line in lines[1:])
    assert evaluate(tmp_path / "nowhere", format_name=format_name, rule="best") == 2
    assert f"{format_name} has no rule 'best'" in capsys.readouterr().err


def test_arguments_that_do_not_go_together(sets, tmp_path, capsys):
    full = tmp_path / "full"
    full.mkdir()
    (full / "a.png").write_bytes(b"")
    for folder, options, said in (
        (sets / "point-bench", ["--resume"], "name it with --json OUT"),
        (sets / "point-bench", ["--worst", full], "is not empty"),
        (sets / "point-bench", ["--words", "object"], "--words goes with refspatial and where2place"),
        (sets / "point-bench", ["--json", tmp_path / "nowhere" / "out.json"], "there is no folder"),
        (sets / "point-bench", ["--model", tmp_path], "config.json"),
        (tmp_path / "nowhere", [], "there is no folder"),
        (full, [], "data.json cannot be read"),
    ):
        assert evaluate(folder, *options) == 2
        error = capsys.readouterr().err
        assert said in error and "Traceback" not in error


def test_nothing_that_can_be_scored(sets, tmp_path, capsys):
    folder = tmp_path / "bench"
    shutil.copytree(sets / "point-bench", folder)
    for picture in (folder / "selected_images").rglob("*.png"):
        picture.write_bytes(b"no picture")
    assert evaluate(folder) == 2
    assert "questions could be scored: selected_images/" in capsys.readouterr().err


def test_a_build_shows_both_scores(sets, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MOLMO_ROS_HOME", str(tmp_path))
    arguments = ["build", "tiny", "--target", "onnx", "--no-quality", "--eval", str(sets / "point-bench")]
    arguments += ["--format", "point-bench", "--rule", "pointarena", "--eval-limit", "4"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert (
        "point-bench by rule pointarena: the 16-bit model 100.00, the engine 100.00, on 4 questions"
        in printed
    )
    manifest = json.loads((Path(printed.splitlines()[-1]) / "manifest.json").read_text())
    assert manifest["quality"]["benchmark"]["rules"]["pointarena"]["questions"] == 4
    out = tmp_path / "out.json"
    engine = ("--engine", "onnx", "--engine-path", manifest["name"])
    assert evaluate(sets / "point-bench", *engine, "--json", out, "--limit", 2) == 0
    found = json.loads(out.read_text())["engine"]["manifest"]
    assert found["name"] == manifest["name"] and found["files"] == manifest["files"]


@pytest.mark.parametrize(
    "options, said",
    [
        (["--format", "point-bench"], "--format goes with --eval FOLDER"),
        (["--rule", "ai2"], "--rule goes with --eval FOLDER"),
        (["--eval-limit", "3"], "--eval-limit goes with --eval FOLDER"),
        (["--eval", "nowhere"], "--eval needs --format"),
        (["--eval", "nowhere", "--format", "point-bench"], "--rule NAME is needed"),
        (["--eval", "nowhere", "--format", "point-bench", "--rule", "ai2"], "there is no folder nowhere"),
    ],
)
def test_a_build_refuses_a_benchmark_before_any_work(options, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MOLMO_ROS_HOME", str(tmp_path))
    assert main(["build", "tiny", "--target", "onnx", *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "engines").exists()
