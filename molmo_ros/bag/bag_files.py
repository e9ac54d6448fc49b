# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which files a bag is made of, and what a path is that is no bag."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from molmo_ros.bag import mcap_file, sqlite_file
from molmo_ros.bag.decompression import ZSTD_MAGIC, decompress_file
from molmo_ros.bag.recorded_message import BagError

KINDS = "an .mcap or .db3 file (or one of them as .zstd), or a folder with such files"
METADATA = "metadata.yaml"
LONGEST_NAME = 255
"""Of a file [bytes]."""
LARGEST_METADATA = 1 << 24
ENDINGS = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd", ".mcap.zst", ".db3.zst")
SPLIT = re.compile(r"(.*?)_?(\d+)(\.[a-z0-9.]+)")
"""How rosbag2 numbers the files of a bag: its name, number and ending."""
ROS1 = b"#ROSBAG V"
OTHERS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "7z",
    b"\x04\x22\x4d\x18": "lz4",
}
"""First bytes of packed files."""

Storage = mcap_file.McapFile | sqlite_file.SqliteFile


def bag_files(path: Path) -> tuple[list[Path], list[str], list[str]]:
    """The files of a bag in their order.

    Returns:
        They; what is unusual about them; which of them are not there.

    Raises:
        BagError: There is no bag.
    """
    if not path.exists():
        raise BagError(f"there is no bag {path}; valid: {KINDS}")
    if not path.is_dir():
        return [path], [], []
    there = sorted(_recordings(path), key=_number)
    if not there:
        raise BagError(_no_bag(path))
    if not (path / METADATA).exists():
        if len(there) > 1 and len({_series(one) for one in there}) > 1:
            raise BagError(
                f"{path} has no {METADATA}, and its files are not one bag's: {_names(there)}; name one of them"
            )
        return there, [f"it has no {METADATA} (its recording was not closed): {_names(there)} is read"], []
    try:
        listed = _listed(path / METADATA)
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).split())
        return there, [f"its {METADATA} cannot be read ({said:.200}): {_names(there)} is read"], []
    return _by_metadata(path, there, listed)


def _recordings(folder: Path) -> list[Path]:
    """Its files of a bag; not those packed ones that are there unpacked, as while a recorder packs them."""
    found = [one for one in folder.iterdir() if one.name.endswith(ENDINGS) and one.is_file()]
    names = {one.name for one in found}
    return [one for one in found if (plain := _unpacked_name(one.name)) == one.name or plain not in names]


def _by_metadata(path: Path, there: list[Path], listed: list[str]) -> tuple[list[Path], list[str], list[str]]:
    """The files that the metadata names, and those of the same series that it does not know yet."""
    by_name = {_unpacked_name(one.name): one for one in there}
    for name in listed:
        if (path / name).is_file():  # by_name knows those with the usual endings only
            by_name.setdefault(_unpacked_name(name), path / name)
    known = [_unpacked_name(name) for name in listed]
    files = [by_name[name] for name in known if name in by_name]
    missing = [name for name, plain in zip(listed, known, strict=True) if plain not in by_name]
    series = {_series(path / name) for name in listed}
    newer = [one for one in there if _unpacked_name(one.name) not in known and _series(one) in series]
    if not files and not newer:
        # Files that were renamed together with their folder, say.
        files, newer = [], there
        if len({_series(one) for one in there}) > 1:
            raise BagError(
                f"none of the files that {path / METADATA} names is there ({', '.join(missing)}), and those that are "
                f"are not one bag's: {_names(there)}; name one of them"
            )
        missing = []
    notes = (
        [f"{_names(newer)} is not in its {METADATA}, which is older than the bag; it is read, too"]
        if newer
        else []
    )
    losses = [f"files that its {METADATA} names are missing: {', '.join(missing)}"] if missing else []
    return [*files, *newer], notes, losses


def open_file(path: Path, folder: Path) -> Storage:
    """Open a file by what it is, not by its name.

    Args:
        path: The file.
        folder: Where it may be unpacked to.

    Raises:
        BagError: It cannot be read, or is something else; the message says what.
    """
    whole, damage = path, ""
    if _head(path).startswith(ZSTD_MAGIC):
        whole = folder / f"{len(list(folder.iterdir()))}"
        try:
            damage = decompress_file(path, whole)
        except OSError as error:
            raise BagError(f"{path} cannot be unpacked to {folder}: {error.strerror or error}") from error
    head = _head(whole)
    for magic, kind in ((mcap_file.MAGIC, mcap_file.McapFile), (sqlite_file.MAGIC, sqlite_file.SqliteFile)):
        if head.startswith(magic):
            storage: Storage = kind(whole, name=path)
            if damage:
                storage.lost.append(damage)
            return storage
    raise BagError(_what_it_is(path, head) + (f"; {damage}" if damage else ""))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise BagError(f"{path} cannot be read: {error.strerror or error}") from error


def _what_it_is(path: Path, head: bytes) -> str:
    """Why a file is no bag, by its first bytes."""
    if not head:
        return f"{path} is empty (0 bytes): nothing was recorded, or the disk was full"
    if head.startswith(ROS1):
        return f"{path} is a ROS 1 bag; convert it: {_conversion(path)}"
    if head.startswith(b"version https://git-lfs"):
        return f"{path} is a pointer of Git LFS, not the bag itself; `git lfs pull` fetches it"
    for magic, kind in OTHERS.items():
        if head.startswith(magic):
            return f"{path} is packed ({kind}): unpack it first"
    if not head.strip(b"\0"):
        return f"{path} begins with zeros: its recording was lost, as at a power cut"
    return f"{path} cannot be read, it is no bag (it begins with {head[:8]!r}); valid: {KINDS}"


def _conversion(path: Path) -> str:
    return f"rosbags-convert --src {shlex.quote(str(path))} --dst {shlex.quote(path.name.split('.')[0] + '_ros2')}"


def _no_bag(folder: Path) -> str:
    """Why a folder without files of a bag is none."""
    inside = sorted(folder.iterdir())
    if old := next((one for one in inside if one.is_file() and _head(one).startswith(ROS1)), None):
        return f"{folder} holds a ROS 1 bag; convert it: {_conversion(old)}"
    if bags := [one for one in inside if one.is_dir() and (one / METADATA).is_file()]:
        return f"{folder} is no bag, but holds some: {_names(bags)}; name one of them"
    found = f"; it holds {_names(inside)}" if inside else "; it is empty"
    return f"{folder} is no bag: no file in it ends with .mcap or .db3{found}"


def _listed(metadata: Path) -> list[str]:
    """The names of the files that the metadata names.

    Raises:
        ValueError, TypeError, LookupError, yaml.YAMLError, RecursionError: It is damaged.
    """
    with metadata.open("rb") as file:
        text = file.read(LARGEST_METADATA).decode("utf-8", "replace")
    content: Any = yaml.safe_load(text)
    names = content["rosbag2_bagfile_information"]["relative_file_paths"]
    if not isinstance(names, list) or not all(map(_is_name, names)):
        raise ValueError("relative_file_paths is no list of names")
    return [PurePosixPath(name).name for name in names]


def _is_name(name: Any) -> bool:
    """Whether a file can be called so."""
    return (
        isinstance(name, str)
        and 0 < len(name.encode("utf-8", "replace")) <= LONGEST_NAME
        and "\0" not in name
    )


def _unpacked_name(name: str) -> str:
    return re.sub(r"\.zstd?$", "", name)


def _series(path: Path) -> tuple[str, str]:
    """What the names of all files of one bag have in common."""
    name = _unpacked_name(path.name)
    found = SPLIT.fullmatch(name)
    return (found[1], found[3]) if found else (name.rsplit(".", 1)[0], f".{name.rsplit('.', 1)[-1]}")


def _number(path: Path) -> tuple[str, int, str]:
    """Sorts 2 before 10."""
    found = SPLIT.fullmatch(path.name)
    return (found[1], int(found[2]), found[3]) if found else (path.name, -1, "")


def _names(paths: Iterable[Path]) -> str:
    names = [one.name for one in paths]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
