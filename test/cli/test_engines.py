# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros engines`: real folders, written as a build writes them, and damaged by hand."""

import hashlib
import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from molmo_ros.cli.main import main
from molmo_ros.engine.runtime_table import RUNTIMES
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.store.build_folder import BuildFolder
from molmo_ros.engine.store.manifest import MANIFEST, EngineFile, Manifest

COMMAND = "molmo-ros build tiny --target rtx40 --precision int4"
QUALITY = {
    "answers": 12,
    "identical": 11,
    "with_points": 10,
    "same_number_of_points": 10,
    "drift_px": {"median": 0.0, "95%": 1.25, "largest": 3.0},
    "measured": "onnxruntime",
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLMO_ROS_HOME", str(tmp_path / "molmo"))
    return tmp_path / "molmo" / "engines"


@pytest.fixture
def build(home):
    """Installs an engine of a name; gives its folder."""

    def install(name="tiny-rtx40-int4", runtime="tensorrt_rtx", **changes) -> Path:
        with BuildFolder(home, name) as building:
            files = {}
            for file in RUNTIMES[runtime].files:
                content = hashlib.sha512(file.encode()).digest() * 10_000
                (building.path / file).write_bytes(content)
                files[file] = EngineFile(hashlib.sha256(content).hexdigest(), len(content))
            manifest = Manifest(
                name=name,
                model="tiny",
                runtime=runtime,
                target="onnx" if runtime == "onnx" else "rtx40",
                precision="int4",
                dtype="bfloat16",
                shapes=Shapes(4, 2048, 1024, 800, 4),
                checkpoint_sha256="c" * 64,
                build={"calibration": 12},
                versions={"molmo_ros": "0.4.0", "tensorrt_rtx": "0.0.1", "tensorrt": "10.3"},
                compute_capability=None if runtime == "onnx" else "1.2",
                files=files,
                quality=QUALITY,
                created="2026-11-25T07:00:00+00:00",
                command=COMMAND,
            )
            return building.install(replace(manifest, **changes))

    return install


def engines(capsys, *arguments, code=0):
    assert main(["engines", *map(str, arguments)]) == code
    printed = capsys.readouterr()
    if code == 2:
        assert printed.out == "" and printed.err.startswith("molmo-ros: ") and printed.err.count("\n") == 1
        return printed.err
    return printed.out


def spoil(path):
    """Changes one byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_no_engines_yet(capsys, home):
    for action in ("list", "verify"):
        assert f"no engines in {home}" in engines(capsys, action)
    assert json.loads(engines(capsys, "list", "--json")) == {"home": str(home), "engines": []}
    assert json.loads(engines(capsys, "verify", "--json")) == {"engines": []}
    for action in ("inspect", "verify", "remove"):
        assert "'tiny' is neither an engine's folder nor its name" in engines(capsys, action, "tiny", code=2)
    assert not home.exists()


def test_the_list_has_a_line_for_each_and_says_which_run_here(capsys, build):
    pytest.importorskip("onnxruntime")
    build()
    build("tiny-onnx-fp32", "onnx", quality=None, precision="fp32")
    lines = engines(capsys, "list").splitlines()
    heading, rule, onnx, rtx = lines[:4]
    assert heading.split()[:3] == ["name", "model", "target"] and set(rule) == {"-", " "}
    assert " ".join(onnx.split()) == "tiny-onnx-fp32 tiny onnx fp32 4 2048 2.56 MB not measured yes"
    assert " ".join(rtx.split()) == "tiny-rtx40-int4 tiny rtx40 int4 4 2048 1.28 MB 11/12 same, 1.2 px no"
    assert any(line.startswith("tiny-rtx40-int4: ") for line in lines[4:])
    assert not any(line.startswith("tiny-onnx-fp32: ") for line in lines[4:])


def test_json_has_every_field(capsys, build):
    folder = build()
    (one,) = json.loads(engines(capsys, "list", "--json"))["engines"]
    assert one == json.loads(engines(capsys, "inspect", "tiny-rtx40-int4", "--json"))
    written = json.loads((folder / MANIFEST).read_text())
    del written["sha256"]
    assert one.items() >= written.items()
    assert one["folder"] == str(folder) and one["size"] == 2 * 640_000
    assert one["runs_here"] is False and one["reason"]


def test_an_engine_of_another_tensorrt_names_the_command(capsys, build):
    pytest.importorskip("tensorrt_rtx")
    build()
    out = engines(capsys, "list")
    assert "it was built with tensorrt_rtx 0.0.1, installed is " in out and out.rstrip().endswith(COMMAND)


def test_an_engine_of_a_runtime_that_is_not_here_says_what_is_missing(capsys, build):
    build("full", "tensorrt")
    (one,) = json.loads(engines(capsys, "list", "--json"))["engines"]
    assert "compute capability 1.2" in one["reason"]


def test_inspect_says_everything(capsys, build):
    folder = build()
    out = engines(capsys, "inspect", folder)
    facts = [
        "c" * 64,
        "tensorrt_rtx 0.0.1",
        "2026-11-25",
        COMMAND,
        str(folder),
        "calibration: 12",
        "max_crops 4",
    ]
    facts += ["2048 tokens", "bfloat16", '"95%": 1.25', "measured: onnxruntime"]
    facts += [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in RUNTIMES["tensorrt"].files]
    for fact in facts:
        assert fact in out


def test_a_damaged_engine_is_listed_with_the_reason(capsys, build):
    build("good", "onnx")
    bad = build("bad")
    spoil(bad / MANIFEST)
    out = engines(capsys, "list")
    assert [line for line in out.splitlines() if line.startswith("bad  ")][0].endswith("no")
    assert f"bad: {bad / MANIFEST} is damaged" in out
    one, other = json.loads(engines(capsys, "list", "--json"))["engines"]
    assert one["name"] == "bad" and "damaged" in one["reason"] and other["name"] == "good"
    assert "is damaged" in engines(capsys, "inspect", "bad", code=2)


def test_verify_finds_what_was_tampered_with(capsys, build):
    good, weights, manifest, mode = (build(name) for name in ("a-good", "b-weights", "c-manifest", "d-mode"))
    assert engines(capsys, "verify").count("as it was built") == 4
    spoil(weights / "decoder.engine")
    spoil(manifest / MANIFEST)
    (mode / "vision.engine").chmod(0o660)
    lines = engines(capsys, "verify", code=1).splitlines()
    for line, said in zip(
        lines, ["as it was built", "not what was built", "is damaged", "chmod go-w"], strict=True
    ):
        assert said in line
    assert engines(capsys, "verify", "a-good") == "a-good: as it was built\n"
    assert "b-weights" in engines(capsys, "verify", weights, code=1)
    results = json.loads(engines(capsys, "verify", "--json", code=1))["engines"]
    assert [one["good"] for one in results] == [True, False, False, False]
    assert results[0] == {"name": "a-good", "folder": str(good), "good": True, "error": None}


def test_a_home_that_others_can_write_is_no_good(capsys, build, home):
    build()
    home.chmod(0o770)
    assert f"chmod go-w {home}" in engines(capsys, "verify", code=1)
    assert f"chmod go-w {home}" in engines(capsys, "list")


def test_remove_with_yes(capsys, build):
    folder, other = build(), build("other")
    assert f"removed {folder} (1.28 MB)" in engines(capsys, "remove", folder.name, "--yes")
    assert not folder.exists() and other.is_dir()
    assert "is neither" in engines(capsys, "remove", folder.name, "--yes", code=2)


def test_a_damaged_engine_can_be_removed_by_name(capsys, build):
    folder = build()
    (folder / MANIFEST).write_bytes(b"{")
    engines(capsys, "remove", folder.name, "--yes")
    assert not folder.exists()


def test_remove_asks_and_refuses_where_nobody_answers(build):
    folder = build()
    command = [sys.executable, "-m", "molmo_ros.cli.main", "engines", "remove", folder.name]
    refused = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert refused.returncode == 2 and "say --yes" in refused.stderr
    for answer, code in ((b"n\n", 1), (b"\n", 1), (b"\x04", 1), (b"y\n", 0)):
        assert folder.is_dir()
        terminal, end = pty.openpty()
        with subprocess.Popen(command, stdin=end, stderr=subprocess.PIPE) as process:
            os.write(terminal, answer)
            assert f"remove {folder} (1.28 MB)? [y/N]" in process.stderr.read().decode()
        os.close(terminal)
        os.close(end)
        assert process.returncode == code
    assert not folder.exists()


def test_only_engines_are_removed(capsys, build, tmp_path, home):
    website = tmp_path / "website"
    website.mkdir()
    (website / MANIFEST).write_text('{"name": "a web page"}')
    assert "is damaged" in engines(capsys, "remove", website, "--yes", code=2)
    folder = build()
    (folder / "notes.txt").touch()
    assert "holds more than an engine" in engines(capsys, "remove", folder.name, "--yes", code=2)
    assert (website / MANIFEST).is_file() and len(list(folder.iterdir())) == 4


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", ".building", "../engines", "~", "n" * 5000, "größe", "a\0b"]
)
@pytest.mark.parametrize("action", [["inspect"], ["verify"], ["remove", "--yes"]])
def test_odd_names_are_bad_input(capsys, build, home, monkeypatch, action, name):
    folder = build()
    monkeypatch.chdir(home.parent)
    engines(capsys, *action, name, code=2)
    assert len(list(folder.iterdir())) == 3 and (home / ".building").is_dir()


def test_an_engine_elsewhere_is_named_by_its_folder(capsys, build, tmp_path):
    moved = tmp_path / "mine"
    build().rename(moved)
    assert "as it was built" in engines(capsys, "verify", moved)
    assert f"removed {moved}" in engines(capsys, "remove", moved, "--yes")
    assert not moved.exists()


def test_what_a_manifest_says_never_moves_the_cursor(build, capsys):
    """Its texts are checked; its configuration and its figures may hold anything."""
    evil = "\x1b[2J\x1b]0;title\x07\u202e\nforged line"
    figures = {"answers": "\x1b[1A", "identical": evil, "drift_px": {"95%": 10**40}, evil: evil}
    build(build={"calibration": evil, evil: [evil]}, quality=figures)
    for words in (["inspect", "tiny-rtx40-int4"], ["list"], ["inspect", "tiny-rtx40-int4", "--json"]):
        assert main(["engines", *words]) == 0
        said = capsys.readouterr()
        assert not set("\x1b\x07\u202e") & set(said.out + said.err) and "\nforged" not in said.out
    assert "\\x1b[2J" in engines(capsys, "inspect", "tiny-rtx40-int4")
