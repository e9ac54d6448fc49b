# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where engines are, what they are called, and how one is found."""

import os
import subprocess
import sys

import pytest

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.store.engines_home import (
    engine_name,
    engines_home,
    find_engine,
    find_engines,
    make_home,
)
from molmo_ros.engine.store.manifest import MANIFEST

LONG = "n" * 5000
ODD = [
    "",
    " ",
    ".",
    "..",
    "/",
    "../..",
    "a/b",
    ".building",
    "~nobody-here/x",
    "a\0b",
    LONG,
    "größe",
    "\x1b[2J",
]


def test_the_home_is_beside_the_models(monkeypatch, tmp_path):
    monkeypatch.setenv("MOLMO_ROS_HOME", str(tmp_path))
    assert engines_home() == tmp_path / "engines"
    monkeypatch.delenv("MOLMO_ROS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert engines_home() == tmp_path / "me" / ".cache" / "molmo_ros" / "engines"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("tiny", "rtx40", "int4"), "tiny-rtx40-int4"),
        (("allenai/Molmo2-4B", "jetson-orin", "fp16"), "molmo2-4b-jetson-orin-fp16"),
        (("Molmo2-4B", "this", "bf16", 4, 2048), "molmo2-4b-this-bf16-crops4-context2048"),
        (("tiny", "onnx", "fp32", None, 512), "tiny-onnx-fp32-context512"),
    ],
)
def test_names_of_known_models(arguments, name):
    assert engine_name(*arguments) == name


@pytest.mark.parametrize(
    "folder",
    [
        "/",
        "/data/My Model",
        "/data/模型",
        "./tiny",
        "..",
        "/data/" + "m" * 250,
        "/data/-rf",
        "/data/.hidden",
        "/a/\x1b[2J",
    ],
)
def test_names_of_folders_are_plain_and_their_own(folder):
    name = engine_name(folder, "rtx40", "int4")
    assert name.endswith("-rtx40-int4") and name.isascii() and name.isprintable()
    assert "/" not in name and " " not in name and name[0].isalnum() and len(name) < 120
    path = os.path.abspath(folder)
    assert name == engine_name(path, "rtx40", "int4")
    assert name != engine_name(os.path.join(path, "x", os.path.basename(path)), "rtx40", "int4")


def test_an_engine_is_found_by_name_and_by_folder(workshop, engine, monkeypatch):
    elsewhere = workshop.home.parent / "elsewhere"
    os.rename(workshop.build("other"), elsewhere)
    assert find_engine(engine.name, workshop.home) == engine
    assert find_engine(engine, workshop.home) == engine
    assert find_engine(str(elsewhere), workshop.home) == elsewhere
    monkeypatch.chdir(elsewhere.parent)
    assert find_engine("elsewhere", workshop.home) == elsewhere
    monkeypatch.chdir(elsewhere)
    assert find_engine(".", workshop.home) == elsewhere


def test_a_name_goes_before_a_folder(workshop, engine, monkeypatch):
    here = workshop.home.parent / "here"
    here.mkdir()
    os.rename(workshop.build("other"), here / engine.name)
    monkeypatch.chdir(here)
    assert find_engine(engine.name, workshop.home) == engine
    assert find_engine(f"./{engine.name}", workshop.home) == here / engine.name


@pytest.mark.parametrize("name", ODD)
def test_odd_names_find_nothing_and_the_engines_are_listed(workshop, engine, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (workshop.home / MANIFEST).touch()  # not even where ".." would lead to one
    (workshop.home / ".building" / MANIFEST).touch()
    with pytest.raises(EngineError) as caught:
        find_engine(name, workshop.home)
    message = str(caught.value)
    assert len(message) < 1000 and message.isprintable()
    assert engine.name in message or "cannot be an engine" in message


def test_a_long_list_of_engines_ends_in_a_count(workshop):
    for number in range(15):
        (workshop.home / f"engine-{number:02}").mkdir(parents=True)
    with pytest.raises(EngineError, match=r"engine-00, .*, engine-11 and 3 more\."):
        find_engine("none", workshop.home)


def test_no_engines_yet(workshop):
    assert find_engines(workshop.home) == []
    with pytest.raises(EngineError, match="there are: none. molmo-ros build makes one"):
        find_engine("tiny-rtx40-int4", workshop.home)


def test_files_and_builds_in_progress_are_no_engines(workshop, engine):
    (workshop.home / "timing-tensorrt-10.3-sm87.cache").write_bytes(b"")
    (workshop.home / ".building" / "half").mkdir()
    assert [folder for folder, _ in find_engines(workshop.home)] == [engine]


def test_a_home_that_cannot_be_one_is_named(tmp_path):
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "engines", tmp_path / LONG):
        with pytest.raises(EngineError, match="cannot hold engines: .*; set MOLMO_ROS_HOME"):
            make_home(home)
    with pytest.raises(EngineError, match="cannot hold engines: Not a directory"):
        find_engines(tmp_path / "file")


def test_nothing_here_loads_torch():
    code = (
        "import sys, molmo_ros.engine.store.engines_home, molmo_ros.engine.store.build_folder, "
        "molmo_ros.engine.store.compatibility, molmo_ros.engine.store.checkpoint_hash, molmo_ros.cli.engines; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
