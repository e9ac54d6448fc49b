# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Files whose names were spelled otherwise on their way."""

import os
import unicodedata
import zipfile

import pytest

from molmo_ros.evaluation.evaluation_error import UnusableError
from molmo_ros.evaluation.file_names import FileNames

NAME = "café_größe.png"
COMPOSED, DECOMPOSED = unicodedata.normalize("NFC", NAME), unicodedata.normalize("NFD", NAME)


@pytest.mark.parametrize("stored", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("wanted", [COMPOSED, DECOMPOSED])
def test_composed_and_decomposed_characters_are_the_same(tmp_path, stored, wanted):
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / stored).write_bytes(b"here")
    names = FileNames(tmp_path)
    assert names.find(f"tools/{wanted}").read_bytes() == b"here"
    assert names.respelled == (stored != wanted)


def test_a_zip_without_the_flag_for_utf8(tmp_path):
    """Python's own zipfile unpacks it to code page 437."""
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(COMPOSED, b"here")
    data = bytearray(packed.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flags; bit 11: UTF-8
        at = data.index(signature) + offset + 1
        assert data[at] & 8
        data[at] &= ~8
    packed.write_bytes(data)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "out")
    assert os.listdir(tmp_path / "out") != [COMPOSED]
    assert FileNames(tmp_path / "out").find(DECOMPOSED).read_bytes() == b"here"


@pytest.mark.parametrize(
    "stored",
    [
        "MÃ¼ller.png".encode(),  # UTF-8, read as Windows' 1252
        b"M#U00fcller.png",  # Info-ZIP's unzip where the locale is C
        b"M\xfcller.png",  # Latin-1: no UTF-8 at all
    ],
)
def test_names_in_other_encodings(tmp_path, stored):
    with open(os.path.join(os.fsencode(tmp_path), stored), "wb") as file:
        file.write(b"here")
    assert FileNames(tmp_path).find("Müller.png").read_bytes() == b"here"


def test_the_exact_name_goes_before_others(tmp_path):
    (tmp_path / COMPOSED).write_bytes(b"composed")
    (tmp_path / DECOMPOSED).write_bytes(b"decomposed")
    names = FileNames(tmp_path)
    assert names.find(DECOMPOSED).read_bytes() == b"decomposed" and names.respelled == 0


def test_two_files_that_may_be_meant_are_refused(tmp_path):
    for name in ("Mu\u0308ller.png", "MÃ¼ller.png"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UnusableError, match="may be any of"):
        FileNames(tmp_path).find("M\u00fcller.png")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "a/../../secret.png"])
def test_names_stay_within_the_folder(tmp_path, name):
    (tmp_path / "secret.png").write_bytes(b"")
    (tmp_path / "bench" / "a").mkdir(parents=True)
    with pytest.raises(UnusableError, match="leads out of"):
        FileNames(tmp_path / "bench").find(name)


@pytest.mark.parametrize("name", [None, 3, "", " ", "a\0b.png"])
def test_what_is_no_name(tmp_path, name):
    with pytest.raises(UnusableError, match="is no file's name"):
        FileNames(tmp_path).find(name)


@pytest.mark.parametrize("name", ["b.png", "x" * 5000 + ".png", "\ud800.png"])
def test_a_file_that_is_not_there(tmp_path, name):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UnusableError, match="there is no"):
        FileNames(tmp_path).find(name)
