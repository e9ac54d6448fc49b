# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Models in the hub's cache: put there by the hub's own client, from a hub on this machine."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from molmo_ros.molmo.catalog import model_store, registry
from molmo_ros.molmo.catalog.hub_cache import hub_cache
from molmo_ros.molmo.catalog.model_store import EMBEDDED, checkpoint_folder
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.pipeline import Molmo

COMMIT, OTHER = "c" * 40, "d" * 40


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for name in ("HF_HOME", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MOLMO_ROS_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    entries = registry.registry()
    small = replace(entries["tiny"], name="small-1b", hub_id="lab/Small-1B")
    for module in (registry, model_store):
        monkeypatch.setattr(module, "registry", lambda: entries | {"small-1b": small})
    return tmp_path / "hub"


def keep(cache, name="lab/Small-1B", commit=COMMIT, main=True):
    """A model in the cache, as its documentation lays it out: links into blobs."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir(exist_ok=True)
    for path in (EMBEDDED / "tiny").iterdir():
        shutil.copyfile(path, repository / "blobs" / path.name)
        (snapshot / path.name).symlink_to(Path("../../blobs", path.name))
    if main:
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(commit)
    return repository


CLIENT = """
import sys
from huggingface_hub import snapshot_download
print(snapshot_download("lab/Small-1B", local_files_only=True))
"""


def test_what_the_hubs_own_client_finds_there(cache):
    keep(cache)
    found = subprocess.run([sys.executable, "-c", CLIENT], check=True, capture_output=True, text=True).stdout
    assert str(checkpoint_folder("lab/Small-1B")) == str(checkpoint_folder("small-1b")) == found.strip()
    assert Molmo.from_pretrained("small-1b").runtime.config.decoder.layers == 4


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": "/home/robot"},
        {"HF_HOME": "/data/hf"},
        {"HF_HOME": "~/hf", "HOME": "/home/robot"},
        {"HF_HUB_CACHE": "/data/cache", "HF_HOME": "/data/hf"},
        {"HUGGINGFACE_HUB_CACHE": "/data/old"},
        {"XDG_CACHE_HOME": "/data/xdg"},
    ],
)
def test_the_cache_is_where_the_hubs_client_has_it(environment, monkeypatch):
    command = [
        sys.executable,
        "-c",
        "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)",
    ]
    plain = {"PATH": os.environ["PATH"], "HOME": "/root"} | environment
    expected = subprocess.run(command, env=plain, check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.delenv("HF_HUB_CACHE")
    for key, value in plain.items():
        monkeypatch.setenv(key, value)
    assert str(hub_cache()) == expected


def test_any_repository_is_found_by_its_id(cache):
    keep(cache, "someone/My-Molmo.v2")
    assert checkpoint_folder("someone/My-Molmo.v2").parent.name == "snapshots"
    with pytest.raises(CheckpointError, match="neither a checkpoint folder nor a model's name"):
        checkpoint_folder("someone/Another")


def test_roots_of_the_cache(cache):
    repository = keep(cache)
    snapshot = repository / "snapshots" / COMMIT
    for folder in (repository, repository / "snapshots", snapshot, cache, cache.parent):
        assert checkpoint_folder(folder) == snapshot
    keep(cache, "someone/Second")
    with pytest.raises(
        CheckpointError, match="hub's cache with 2 models; name one of them: lab/Small-1B, someone/Sec"
    ):
        checkpoint_folder(cache)


def test_several_snapshots(cache):
    repository = keep(cache)
    shutil.copytree(repository / "snapshots" / COMMIT, repository / "snapshots" / OTHER, symlinks=True)
    assert checkpoint_folder(repository).name == COMMIT, "main"
    (repository / "refs" / "main").unlink()
    with pytest.raises(
        CheckpointError, match=f"2 snapshots, and none is main; name one of .*{COMMIT}.*{OTHER}"
    ):
        checkpoint_folder(repository)


def test_a_link_whose_blob_is_gone(cache):
    repository = keep(cache)
    (repository / "blobs" / "model.safetensors").unlink()
    for model in ("lab/Small-1B", repository):
        with pytest.raises(
            CheckpointError,
            match=r"files that are gone: model.safetensors -> ../../blobs/model.safetensors.*cp -rL",
        ):
            Molmo.from_pretrained(model)


def test_a_cache_without_weights_is_none(cache):
    """As where another program asked for the config alone."""
    snapshot = keep(cache) / "snapshots" / COMMIT
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="not on this machine; `molmo-ros fetch small-1b`"):
        checkpoint_folder("lab/Small-1B")


@pytest.mark.parametrize("commit", ["../../../etc", "", "x" * 10_000, "\0"])
def test_a_reference_that_leads_nowhere(cache, commit):
    repository = keep(cache)
    (repository / "refs" / "main").write_text(commit)
    assert checkpoint_folder(repository).name == COMMIT, "there is one snapshot only"
    assert checkpoint_folder("lab/Small-1B").name == COMMIT
