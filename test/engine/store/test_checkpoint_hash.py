# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The identity of a checkpoint: its content, read once."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from molmo_ros.engine.store import checkpoint_hash
from molmo_ros.engine.store.checkpoint_hash import KNOWN, checkpoint_sha256
from molmo_ros.molmo.catalog.checksums import CHECKSUMS, write_checksums
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.errors import CheckpointError

VECTORS = Path(__file__).parents[2] / "vectors"


@pytest.fixture
def checkpoint(tmp_path):
    return Path(shutil.copytree(VECTORS / "molmo2-4b-tiny", tmp_path / "checkpoint"))


@pytest.fixture
def home(tmp_path):
    return tmp_path / "engines"


@pytest.fixture
def read(monkeypatch):
    """The names of the files that are read to the end."""
    names = []
    real = checkpoint_hash.sha256_of

    def sha256_of(path):
        names.append(Path(path).name)
        return real(path)

    monkeypatch.setattr(checkpoint_hash, "sha256_of", sha256_of)
    return names


def test_it_is_of_names_and_content_of_config_and_weights(checkpoint, home):
    lines = [
        f"{hashlib.sha256((checkpoint / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("config.json", "model.safetensors")
    ]
    assert checkpoint_sha256(checkpoint, home) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_copy_is_the_same_checkpoint_and_another_is_not(checkpoint, home, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    (copy / "README.md").write_text("notes")
    assert checkpoint_sha256(copy, home) == checkpoint_sha256(checkpoint, home)
    assert checkpoint_sha256(EMBEDDED / "tiny", home) != checkpoint_sha256(checkpoint, home)


def test_files_are_read_once(checkpoint, home, read):
    first = checkpoint_sha256(checkpoint, home)
    assert read == ["config.json", "model.safetensors"]
    assert checkpoint_sha256(checkpoint, home) == first and len(read) == 2
    assert (home / KNOWN).stat().st_mode & 0o777 == 0o600 and home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_changed_file_is_read_again_though_size_and_time_are_the_same(checkpoint, home, name):
    before = checkpoint_sha256(checkpoint, home)
    path = checkpoint / name
    state, content = path.stat(), bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert checkpoint_sha256(checkpoint, home) != before


def test_a_replaced_file_is_read_again(checkpoint, home, read):
    before = checkpoint_sha256(checkpoint, home)
    shutil.copy2(checkpoint / "config.json", checkpoint / "new")
    os.replace(checkpoint / "new", checkpoint / "config.json")
    assert checkpoint_sha256(checkpoint, home) == before
    assert read[2:] == ["config.json"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 5}', "[" * 100_000])
def test_damaged_notes_are_made_anew(checkpoint, home, read, content):
    before = checkpoint_sha256(checkpoint, home)
    (home / KNOWN).write_text(content)
    assert checkpoint_sha256(checkpoint, home) == before and len(read) == 4
    assert checkpoint_sha256(checkpoint, home) == before and len(read) == 4


def test_where_nothing_can_be_kept_files_are_read_again(checkpoint, tmp_path, read):
    (tmp_path / "file").touch()
    first = checkpoint_sha256(checkpoint, tmp_path / "file")
    assert checkpoint_sha256(checkpoint, tmp_path / "file") == first and len(read) == 4


def test_notes_that_others_can_write_are_not_believed(checkpoint, home, read):
    first = checkpoint_sha256(checkpoint, home)
    notes = json.loads((home / KNOWN).read_text())
    (home / KNOWN).write_text(json.dumps(dict.fromkeys(notes, "f" * 64)))
    assert checkpoint_sha256(checkpoint, home) != first, "else this test shows nothing"
    (home / KNOWN).chmod(0o666)
    assert checkpoint_sha256(checkpoint, home) == first


def test_a_fetched_model_brings_its_hashes(checkpoint, home, read):
    plain = checkpoint_sha256(checkpoint, home)
    write_checksums(checkpoint)
    del read[:]
    assert checkpoint_sha256(checkpoint, home) == plain and read == []
    content = bytearray((checkpoint / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (checkpoint / "model.safetensors").write_bytes(content)
    with pytest.raises(
        CheckpointError, match=f"model.safetensors: found SHA-256.*|differ from its {CHECKSUMS}"
    ):
        checkpoint_sha256(checkpoint, home)


def test_what_is_no_checkpoint_is_named(tmp_path, home):
    with pytest.raises(CheckpointError, match="has no config.json"):
        checkpoint_sha256(tmp_path, home)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="neither model.safetensors nor"):
        checkpoint_sha256(tmp_path, home)
