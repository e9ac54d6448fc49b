# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The file that a benchmark names, where unpacking has spelled it otherwise.

Names outside of ASCII come out of archives in several ways: composed or decomposed characters (Unicode's NFC and NFD),
UTF-8 read as code page 437 (archives without the flag for UTF-8) or as Windows' 1252, Info-ZIP's #U00e9, or bytes of an
older encoding that are no UTF-8 at all.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from molmo_ros.evaluation.evaluation_error import UnusableError

MISREAD = ("cp437", "cp1252", "latin-1")
"""What UTF-8 is taken for by mistake."""
OLDER = ("utf-8", "cp1252", "cp437", "gb18030", "shift_jis", "cp949", "big5")
"""What bytes that are no UTF-8 may be."""


class FileNames:
    """Finds the files of one folder.

    Attributes:
        respelled: How many were found under another spelling.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spellings: dict[Path, dict[str, set[str]]] = {}
        self._found: dict[str, Path] = {}
        self.respelled = 0

    def find(self, name: object) -> Path:
        """The file of a name, which may have folders in it.

        Raises:
            UnusableError: It is no name of a file within the folder, there is no such file, or there are several.
        """
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            raise UnusableError(f"{name!r:.80} is no file's name")
        path = PurePosixPath(name.replace("\\", "/") if "/" not in name else name)
        if path.is_absolute() or ".." in path.parts:
            raise UnusableError(f"{name!r:.200} leads out of {self._folder}; names lie within it")
        if name not in self._found:
            self._found[name] = self._walk(path)
        return self._found[name]

    def _walk(self, path: PurePosixPath) -> Path:
        here, otherwise = self._folder, False
        for part in path.parts:
            try:
                there = (here / part).exists()
            except (OSError, ValueError):  # too long, or with what no encoding has
                there = False
            if there:
                here = here / part
                continue
            entries = self._entries(here)
            candidates: set[str] = set().union(*(entries.get(key, set()) for key in _keys(part)))
            if not candidates:
                raise UnusableError(f"there is no {path} in {self._folder}")
            if len(candidates) > 1:
                several = ", ".join(sorted(map(repr, candidates)))
                raise UnusableError(f"{path} in {self._folder} may be any of {several}")
            here, otherwise = here / candidates.pop(), True
        self.respelled += otherwise
        return here

    def _entries(self, folder: Path) -> dict[str, set[str]]:
        """What lies in a folder, by all that each name may mean."""
        if folder not in self._spellings:
            spellings: dict[str, set[str]] = {}
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            for name in names:
                for key in _keys(name):
                    spellings.setdefault(key, set()).add(name)
            self._spellings[folder] = spellings
        return self._spellings[folder]


def _keys(name: str) -> set[str]:
    """All that a name may mean, composed."""
    return {unicodedata.normalize("NFC", reading) for reading in _readings(name)}


def _readings(name: str) -> Iterator[str]:
    yield name
    if "#U" in name or "#L" in name:
        yield re.sub(
            r"#U([0-9a-fA-F]{4})|#L([0-9a-fA-F]{6})", lambda found: _character(found[1] or found[2]), name
        )
    if name.isascii():
        return
    for wrong in MISREAD:
        for form in {name, unicodedata.normalize("NFC", name)}:
            try:
                yield form.encode(wrong).decode("utf-8")
            except UnicodeError:
                continue
    if any("\udc80" <= character <= "\udcff" for character in name):
        for encoding in OLDER:
            try:
                yield os.fsencode(name).decode(encoding)
            except UnicodeError:
                continue


def _character(digits: str) -> str:
    code = int(digits, 16)
    return chr(code) if code <= 0x10FFFF else ""
