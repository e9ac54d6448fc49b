# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which folder a model's name stands for, and what is said where there is none."""

import json
import shutil
from dataclasses import replace

import pytest

from molmo_ros.engine.store.checkpoint_hash import checkpoint_sha256
from molmo_ros.molmo.catalog import model_store, registry
from molmo_ros.molmo.catalog.model_store import EMBEDDED, FetchNote, checkpoint_folder, models_home
from molmo_ros.molmo.errors import CheckpointError, RegistryError
from molmo_ros.molmo.pipeline import Molmo

COMMIT = "c" * 40


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty home of models, and a model of the registry with the embedded checkpoint's shape."""
    monkeypatch.setenv("MOLMO_ROS_HOME", str(tmp_path / "home"))
    entries = registry.registry()
    small = replace(entries["tiny"], name="small-1b", hub_id="lab/Small-1B")
    for module in (registry, model_store):
        monkeypatch.setattr(module, "registry", lambda: entries | {"small-1b": small})
    return tmp_path / "home" / "models"


def fetched(home, **changes):
    folder = home / "small-1b"
    shutil.copytree(EMBEDDED / "tiny", folder, dirs_exist_ok=True)
    replace(FetchNote("lab/Small-1B", "main", COMMIT, complete=True), **changes).write(folder)
    return folder


def test_embedded_names_and_folders(tmp_path, monkeypatch):
    with pytest.raises(
        CheckpointError, match="'no-such'.*embedded: tiny; `molmo-ros fetch` has: .*molmo2-er"
    ):
        checkpoint_folder("no-such")
    for name in ("a" * 5000, "a\0b"):
        with pytest.raises(CheckpointError, match="folder"):
            checkpoint_folder(name)
    assert checkpoint_folder(tmp_path) == tmp_path
    monkeypatch.setattr(model_store, "EMBEDDED", tmp_path)
    (tmp_path / "nano").mkdir()
    (tmp_path / "nano" / "config.json").touch()
    assert checkpoint_folder("nano") == tmp_path / "nano"
    with pytest.raises(CheckpointError, match="embedded: nano"):
        checkpoint_folder("tinny")


def test_home_is_a_folder_of_the_user(monkeypatch):
    monkeypatch.delenv("MOLMO_ROS_HOME")
    monkeypatch.setenv("HOME", "/home/robot")
    assert str(models_home()) == "/home/robot/.cache/molmo_ros/models"
    monkeypatch.setenv("MOLMO_ROS_HOME", "~/big")
    assert str(models_home()) == "/home/robot/big/models"


def test_a_user_without_a_home(tmp_path, monkeypatch):
    """As in a container that runs as a number: nothing is written to a folder that is called `~`."""
    monkeypatch.delenv("MOLMO_ROS_HOME")
    monkeypatch.delenv("HOME", raising=False)

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="no home folder for '~'.*set MOLMO_ROS_HOME"):
        models_home()
    assert checkpoint_folder("tiny") == EMBEDDED / "tiny"
    with pytest.raises(
        CheckpointError, match=r"fetch small-1b` downloads it to \$MOLMO_ROS_HOME/models/small-1b"
    ):
        checkpoint_folder("small-1b")
    assert checkpoint_sha256(EMBEDDED / "tiny")
    monkeypatch.setenv("MOLMO_ROS_HOME", "~/big")
    with pytest.raises(CheckpointError, match="no home folder"):
        models_home()
    assert not list(tmp_path.iterdir())


def test_a_fetched_model_is_found_by_name_and_hub_id(home):
    folder = fetched(home)
    assert checkpoint_folder("small-1b") == checkpoint_folder("lab/Small-1B") == folder
    assert Molmo.from_pretrained("small-1b").runtime.config.decoder.layers == 4


def test_a_name_goes_before_a_folder_of_that_name(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small-1b").mkdir()
    assert checkpoint_folder("small-1b").resolve() == tmp_path / "small-1b", "as long as it was not fetched"
    folder = fetched(home)
    assert checkpoint_folder("small-1b") == folder
    assert checkpoint_folder("./small-1b").resolve() == tmp_path / "small-1b"


@pytest.mark.parametrize("model", ["molmo2-er", "allenai/Molmo2-ER"])
def test_a_model_that_was_not_fetched_says_how(model, home):
    with pytest.raises(
        CheckpointError, match="not on this machine; `molmo-ros fetch molmo2-er` downloads it"
    ):
        Molmo.from_pretrained(model)
    assert not home.exists(), "and nothing is downloaded"


def test_an_unfinished_download_is_not_used(home):
    folder = fetched(home, complete=False)
    with pytest.raises(CheckpointError, match="not complete; `molmo-ros fetch small-1b` goes on"):
        checkpoint_folder("small-1b")
    (folder / "molmo_ros.json").unlink()
    with pytest.raises(CheckpointError, match="not complete"):
        checkpoint_folder("small-1b")


def test_another_model_under_the_name_is_refused(home):
    folder = fetched(home, hub_id="lab/Other")
    with pytest.raises(CheckpointError, match="holds lab/Other, not lab/Small-1B"):
        checkpoint_folder("small-1b")
    fetched(home)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["intermediate_size"] = 640
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"not small-1b; found decoder.mlp_width 640 \(expected 512\)"):
        Molmo.from_pretrained("small-1b")
    with pytest.raises(CheckpointError, match="decoder.mlp_width 640"):
        checkpoint_folder(folder)
    (folder / "molmo_ros.json").unlink()
    assert checkpoint_folder(folder) == folder, "a folder that was not fetched may hold anything"


def test_a_fetched_folder_is_held_to_its_note(home, tmp_path):
    folder = fetched(home).rename(tmp_path / "elsewhere")
    assert checkpoint_folder(folder) == folder
    replace(FetchNote("lab/Small-1B", "main", COMMIT)).write(folder)
    with pytest.raises(CheckpointError, match="elsewhere is not complete; `molmo-ros fetch small-1b`"):
        checkpoint_folder(str(folder))
    FetchNote("lab/Unknown", "main", COMMIT, complete=True).write(folder)
    assert checkpoint_folder(folder) == folder


@pytest.mark.parametrize(
    "note", ["", "[]", "{}", "[" * 100_000, '{"hub_id": 1, "revision": "", "commit": "", "complete": true}']
)
def test_a_damaged_note_is_said(home, note):
    folder = fetched(home)
    (folder / "molmo_ros.json").write_text(note)
    with pytest.raises(CheckpointError, match="molmo_ros.json is damaged"):
        checkpoint_folder("small-1b")


def test_a_home_that_no_folder_can_be(monkeypatch):
    monkeypatch.setenv("MOLMO_ROS_HOME", "/" + "h" * 5000)
    with pytest.raises(CheckpointError, match="MOLMO_ROS_HOME, '/hhh.* cannot hold models"):
        checkpoint_folder("small-1b")


def test_folders_work_without_descriptions(tmp_path, monkeypatch):
    def gone():
        raise RegistryError("not installed")

    for module in (registry, model_store):
        monkeypatch.setattr(module, "registry", gone)
    assert checkpoint_folder("tiny") == EMBEDDED / "tiny"
    assert checkpoint_folder(str(tmp_path)) == tmp_path
    with pytest.raises(CheckpointError, match="`molmo-ros fetch` has: none"):
        checkpoint_folder("molmo2-er")


@pytest.mark.parametrize("name", ["", " ", "\t"])
def test_an_empty_name_is_not_the_working_directory(name, tmp_path, monkeypatch):
    monkeypatch.chdir(EMBEDDED / "tiny")
    with pytest.raises(CheckpointError, match="empty name.*tiny"):
        checkpoint_folder(name)
    assert checkpoint_folder(".").resolve() == (EMBEDDED / "tiny").resolve()
