# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Sizes and hashes: an engine's files are what was built, and stay so while they are opened."""

import os

import pytest

from molmo_ros.engine.errors import EngineError, TamperedEngineError
from molmo_ros.engine.store.manifest import Manifest
from molmo_ros.engine.store.verified_files import read_verified, verify_files


def test_what_was_built_is_given(engine, workshop):
    manifest = Manifest.read(engine)
    verify_files(engine, manifest)
    with read_verified(engine, manifest, "decoder.engine") as content:
        assert bytes(content) == workshop.contents()["decoder.engine"]


def test_content_stays_what_was_hashed_when_the_file_is_replaced(engine, workshop):
    content = read_verified(engine, Manifest.read(engine), "decoder.engine")
    other = engine / "other"
    other.write_bytes(b"evil" * 1000)
    os.replace(other, engine / "decoder.engine")
    assert bytes(content) == workshop.contents()["decoder.engine"]


@pytest.mark.parametrize("place", [0, 12_345, -1])
@pytest.mark.parametrize("name", ["vision.engine", "decoder.engine"])
def test_one_changed_byte_is_refused(engine, workshop, name, place):
    content = bytearray((engine / name).read_bytes())
    content[place] ^= 1
    (engine / name).write_bytes(content)
    manifest = Manifest.read(engine)
    for read in (lambda: verify_files(engine, manifest), lambda: read_verified(engine, manifest, name)):
        with pytest.raises(TamperedEngineError, match=f"{name} is not what was built") as caught:
            read()
        assert manifest.files[name].sha256 in str(caught.value)
        assert str(caught.value).endswith(workshop.command)


@pytest.mark.parametrize("size", [0, 1, 31_999, 32_001])
def test_another_size_is_refused(engine, size):
    content = (engine / "vision.engine").read_bytes()
    (engine / "vision.engine").write_bytes((content + b"more")[:size])
    with pytest.raises(TamperedEngineError, match=f"vision.engine has {size} bytes; 32000 were built"):
        verify_files(engine, Manifest.read(engine))


def test_a_missing_file_is_named(engine):
    (engine / "decoder.engine").unlink()
    with pytest.raises(EngineError, match="decoder.engine cannot be read: No such file"):
        verify_files(engine, Manifest.read(engine))


def test_verified_files_notice_what_happens_while_a_library_opens_them(engine):
    verified = verify_files(engine, Manifest.read(engine))
    verified.check_unchanged()
    path = engine / "decoder.engine"
    content, state = path.read_bytes(), path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(TamperedEngineError, match="decoder.engine was changed"):
        verified.check_unchanged()
    path.unlink()
    with pytest.raises(TamperedEngineError, match="decoder.engine went away"):
        verified.check_unchanged()
