# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The manifest of a model folder: what it notices, and what it does not read twice."""

import hashlib
import json
import os

import pytest

from molmo_ros.molmo.catalog import checksums
from molmo_ros.molmo.catalog.checksums import (
    CHECKSUMS,
    read_checksums,
    sha256_of,
    verify_checksums,
    write_checksums,
)
from molmo_ros.molmo.errors import CheckpointError

CONTENT = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 40_000}


@pytest.fixture
def folder(tmp_path):
    for name, content in CONTENT.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / ".hidden").write_bytes(b"x")
    return tmp_path


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files that were read, in order."""
    names = []
    original = checksums.sha256_of

    def spy(path, progress=None):
        names.append(path.name)
        return original(path, progress)

    monkeypatch.setattr(checksums, "sha256_of", spy)
    return names


def flip(path, place=-1, keep_time=False):
    """Another content of the same size."""
    state = path.stat()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + (0 if keep_time else 5)))


def test_hash_of_a_file_larger_than_a_block(folder):
    blocks = []
    path = folder / "model.safetensors"
    assert sha256_of(path, blocks.append) == hashlib.sha256(CONTENT["model.safetensors"]).hexdigest()
    assert sum(blocks) == path.stat().st_size and len(blocks) > 1


def test_what_is_written_is_what_the_files_are(folder):
    write_checksums(folder, origin={"repository": "a/b", "revision": "c0ffee"})
    manifest = read_checksums(folder)
    assert {entry.name: (entry.size, entry.sha256) for entry in manifest.files} == {
        name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in CONTENT.items()
    }
    assert manifest.origin == {"repository": "a/b", "revision": "c0ffee"}
    assert verify_checksums(folder) and verify_checksums(folder, full=True)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*CONTENT, ".hidden", CHECKSUMS])


def test_a_folder_without_manifest_is_not_verified(folder):
    assert verify_checksums(folder) is False
    assert read_checksums(folder) is None


def test_unchanged_files_are_not_read_again(folder, hashed):
    write_checksums(folder)
    hashed.clear()
    verify_checksums(folder)
    assert hashed == []
    verify_checksums(folder, full=True)
    assert hashed == sorted(CONTENT)


def test_a_copied_file_is_read_once(folder, hashed):
    write_checksums(folder)
    os.utime(folder / "model.safetensors")
    hashed.clear()
    for _ in range(3):
        verify_checksums(folder)
    assert hashed == ["model.safetensors"]


def test_a_time_of_whole_seconds_is_the_same_time(folder, hashed):
    os.utime(folder / "config.json", ns=(0, 1_700_000_000_123_456_789))
    write_checksums(folder)
    hashed.clear()
    os.utime(folder / "config.json", ns=(0, 1_700_000_000_000_000_000))
    verify_checksums(folder)
    assert hashed == []
    os.utime(folder / "config.json", ns=(0, 1_700_000_000_123_000_000))
    verify_checksums(folder)
    assert hashed == ["config.json"]


def test_a_changed_byte_is_named_with_both_hashes(folder):
    write_checksums(folder)
    flip(folder / "model.safetensors")
    with pytest.raises(CheckpointError) as error:
        verify_checksums(folder)
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    expected = hashlib.sha256(CONTENT["model.safetensors"]).hexdigest()
    assert f"model.safetensors: found SHA-256 {found}, expected {expected}" in str(error.value)
    with pytest.raises(CheckpointError, match="found SHA-256"):
        verify_checksums(folder)


def test_full_finds_what_the_time_hides(folder):
    write_checksums(folder)
    flip(folder / "model.safetensors", keep_time=True)
    assert verify_checksums(folder)
    with pytest.raises(CheckpointError, match=r"model.safetensors: found SHA-256"):
        verify_checksums(folder, full=True)


def test_every_wrong_file_is_in_one_error(folder):
    write_checksums(folder)
    (folder / "config.json").unlink()
    (folder / "model.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointError) as error:
        verify_checksums(folder)
    assert "config.json is missing (expected 2 bytes)" in str(error.value)
    assert "model.safetensors: found 5 bytes, expected 10240000" in str(error.value)


def test_what_the_source_says_must_agree(folder):
    right = hashlib.sha256(CONTENT["config.json"]).hexdigest()
    write_checksums(folder, expected={"config.json": right.upper()})
    (folder / CHECKSUMS).unlink()
    with pytest.raises(
        CheckpointError, match=rf"config.json \(2 bytes\): found SHA-256 {right}, expected 0000"
    ):
        write_checksums(folder, expected={"config.json": "0" * 64})
    with pytest.raises(CheckpointError, match="absent.json is missing"):
        write_checksums(folder, ["absent.json"])
    assert not (folder / CHECKSUMS).exists()


def test_files_in_folders_below(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "part.json").write_bytes(b"[]")
    write_checksums(folder, ["sub/part.json"])
    flip(folder / "config.json")
    assert verify_checksums(folder)
    flip(folder / "sub" / "part.json")
    with pytest.raises(CheckpointError, match="sub/part.json: found"):
        verify_checksums(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../b", "", "..\\outside"])
def test_names_do_not_lead_out_of_the_folder(folder, name):
    with pytest.raises(CheckpointError, match="not the name of a file below the folder"):
        write_checksums(folder, [name])
    entry = {"name": name, "size": 1, "sha256": "0" * 64}
    (folder / CHECKSUMS).write_text(json.dumps({"version": 1, "files": [entry]}))
    with pytest.raises(CheckpointError, match="not the name of a file below the folder"):
        verify_checksums(folder)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"version": 2, "files": []}',
        '{"version": 1, "files": [{}]}',
        '{"version": 1, "files": [{"name": "a", "size": "1", "sha256": "' + "0" * 64 + '"}]}',
        '{"version": 1, "files": [{"name": "a", "size": 1, "sha256": "XY"}]}',
        '{"version": 1, "files": [], "origin": 3}',
    ],
)
def test_damaged_manifest(folder, content):
    (folder / CHECKSUMS).write_text(content)
    with pytest.raises(CheckpointError, match=f"{CHECKSUMS} is damaged"):
        verify_checksums(folder)


def test_a_manifest_that_cannot_be_renewed(folder, hashed, monkeypatch):
    write_checksums(folder)
    os.utime(folder / "config.json")

    def refuse(folder, manifest):
        raise PermissionError(13, "read only")

    monkeypatch.setattr(checksums, "_write", refuse)
    hashed.clear()
    assert verify_checksums(folder) and verify_checksums(folder)
    assert hashed == ["config.json", "config.json"]


@pytest.mark.parametrize("name", ["s" * 300, "s" * 5000, "s\0"])
def test_names_that_no_file_can_have(folder, name):
    manifest = {"version": 1, "files": [{"name": name, "size": 3, "sha256": "0" * 64}]}
    (folder / CHECKSUMS).write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"s.* is missing \(expected 3 bytes\)"):
        verify_checksums(folder)


def test_a_manifest_nested_too_deeply(folder):
    (folder / CHECKSUMS).write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="checksums.json is damaged"):
        verify_checksums(folder)


def test_a_time_that_is_none(folder):
    write_checksums(folder)
    manifest = json.loads((folder / CHECKSUMS).read_text())
    manifest["files"][0]["changed_ns"] = "x"
    (folder / CHECKSUMS).write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="checksums.json is damaged: .*changed_ns='x'"):
        verify_checksums(folder)
