# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The manifest of an engine: what it was built from, by what, for what, and what its files should be."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from molmo_ros.engine.errors import EngineError, EngineMismatchError, TamperedEngineError
from molmo_ros.engine.runtime_table import RUNTIMES
from molmo_ros.engine.shapes import MOST_TILES, Shapes
from molmo_ros.engine.store.trust import check_folder, open_trusted
from molmo_ros.molmo.dtypes import DTYPE_BYTES

MANIFEST = "manifest.json"
FORMAT = 1
LARGEST = 1 << 20
"""Bytes of a manifest; one has a few thousand."""
LARGEST_SIZE = 1 << 30
"""Of any input; no engine comes near it."""
LONGEST = 4096
"""Characters of a text in it."""
UNSHOWABLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, halves of characters, and ends of lines."""
SHA256 = re.compile(r"[0-9a-f]{64}")
CAPABILITY = re.compile(r"\d{1,2}\.\d")
TYPES: dict[str, tuple[type, ...]] = {
    "format": (int,),
    "name": (str,),
    "model": (str,),
    "runtime": (str,),
    "target": (str,),
    "precision": (str,),
    "dtype": (str,),
    "shapes": (dict,),
    "checkpoint_sha256": (str,),
    "build": (dict,),
    "build_sha256": (str,),
    "versions": (dict,),
    "compute_capability": (str, type(None)),
    "files": (dict,),
    "quality": (dict, type(None)),
    "created": (str,),
    "command": (str,),
    "sha256": (str,),
}
"""The keys of the file, all of them needed; "sha256" is of all the others."""


@dataclass(frozen=True)
class EngineFile:
    """What one file should be.

    Attributes:
        sha256: Of its content, 64 lower-case hexadecimal digits.
        size: Bytes.
    """

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What an engine is.

    Attributes:
        name: Of its folder when it was built.
        model: As the user named it.
        runtime: What runs it, a key of `RUNTIMES`.
        target: As on the command line.
        precision: Of the decoder's weights, as on the command line.
        dtype: Of activations and of everything that is not quantised, one of `DTYPE_BYTES`.
        shapes: The inputs that it takes.
        checkpoint_sha256: See `checkpoint_sha256`.
        build: The whole configuration of the build, as JSON has it.
        versions: Of what built it, by package; for TensorRT also that of `runtime`, which must run it.
        compute_capability: The only GPU that runs it, such as "8.7"; None for onnx.
        files: By name; exactly those of its runtime.
        quality: Figures of the quality gate; None where it was left out.
        created: ISO 8601 date and time.
        command: What builds it again.
        format: Of the manifest.
    """

    name: str
    model: str
    runtime: str
    target: str
    precision: str
    dtype: str
    shapes: Shapes
    checkpoint_sha256: str
    build: Mapping[str, object]
    versions: Mapping[str, str]
    compute_capability: str | None
    files: Mapping[str, EngineFile]
    quality: Mapping[str, object] | None
    created: str
    command: str
    format: int = field(default=FORMAT, kw_only=True)

    @property
    def build_sha256(self) -> str:
        """SHA-256 of the build's configuration: equal for equal ones."""
        return _canonical_sha256(self.build)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())

    def plain(self) -> dict[str, object]:
        """The manifest as JSON has it."""
        return asdict(self) | {"build_sha256": self.build_sha256}

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of an engine, checked in every detail.

        Raises:
            EngineError: There is none, or it cannot be read.
            TamperedEngineError: Others could have written it, or it is damaged.
            EngineMismatchError: It was written by another version of this package, with another format.
        """
        check_folder(folder)
        path = folder / MANIFEST
        try:
            with open_trusted(path) as descriptor:
                raw = _parse(descriptor)
            if type(raw.get("format")) is int and raw["format"] != FORMAT:
                raise EngineMismatchError(
                    f"{path} has format {raw['format']}; this version of molmo_ros reads format {FORMAT}. Build the "
                    f"engine again{_rebuild(raw)}"
                )
            return _checked(raw)
        except EngineError:  # a ValueError, too
            raise
        except (ValueError, RecursionError) as error:
            raise TamperedEngineError(f"{path} is damaged: {error!s:.400}; build the engine again") from error

    def write(self, folder: Path) -> None:
        """Leaves the manifest in a folder, in one step, on the disk when this returns.

        Raises:
            EngineError: It cannot be written, or is none that could be read.
        """
        raw = json.loads(json.dumps(self.plain()))
        raw["sha256"] = _canonical_sha256(raw)
        try:
            _checked(raw)
        except ValueError as error:
            raise EngineError(f"no manifest for {folder}: {error}") from error
        temporary = folder / f".{MANIFEST}.new"
        try:
            with open(temporary, "w", encoding="utf-8", opener=_private) as file:
                file.write(json.dumps(raw, indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, folder / MANIFEST)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise EngineError(f"{folder / MANIFEST} cannot be written: {error.strerror}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _parse(descriptor: int) -> dict[str, Any]:
    """The JSON object of an open file."""
    size = os.fstat(descriptor).st_size
    if size > LARGEST:
        raise ValueError(f"it has {size} bytes, more than the {LARGEST} of any manifest")
    with open(descriptor, encoding="utf-8", closefd=False) as file:
        raw = json.loads(file.read(LARGEST))
    if not isinstance(raw, dict):
        raise ValueError(f"it holds a {type(raw).__name__}, not an object")
    return raw


def _checked(raw: dict[str, Any]) -> Manifest:
    """The manifest of an object, or ValueError with what is wrong with it."""
    _check_keys("it", raw, TYPES)
    for key, types in TYPES.items():
        if type(raw[key]) not in types:
            raise ValueError(f"{key} is a {type(raw[key]).__name__}, not a {types[0].__name__}")
        if isinstance(raw[key], str):
            _check_text(key, raw[key])
    if raw["runtime"] not in RUNTIMES:
        raise ValueError(f"runtime is {raw['runtime']!r:.80}, not one of {', '.join(RUNTIMES)}")
    if raw["dtype"] not in DTYPE_BYTES:
        raise ValueError(
            f"dtype is {raw['dtype']!r:.80}, not one of {', '.join(sorted(DTYPE_BYTES, reverse=True))}"
        )
    for key in ("checkpoint_sha256", "build_sha256", "sha256"):
        _check_sha256(key, raw[key])
    _check_gpu(raw)
    datetime.fromisoformat(raw["created"])
    manifest = Manifest(
        **{one.name: raw[one.name] for one in fields(Manifest) if one.name not in ("shapes", "files")},
        shapes=_shapes(raw["shapes"]),
        files=_files(raw["files"], RUNTIMES[raw["runtime"]].files),
    )
    if manifest.build_sha256 != raw["build_sha256"]:
        raise ValueError("build is not the configuration that build_sha256 is of")
    others = {key: value for key, value in raw.items() if key != "sha256"}
    if raw["sha256"] != _canonical_sha256(others):
        raise ValueError("its content is not what was written: sha256 differs")
    return manifest


def _check_keys(what: str, raw: Mapping[str, object], expected: Iterable[str]) -> None:
    if missing := [key for key in expected if key not in raw]:
        raise ValueError(f"{what} has no {', '.join(missing)}")
    if unknown := [key for key in raw if key not in expected]:
        raise ValueError(f"{what} has unknown keys: {', '.join(map(repr, unknown))}")


def _check_text(key: str, text: str) -> None:
    """Texts are shown in terminals: no control characters, one line."""
    if not 0 < len(text) <= LONGEST or any(unicodedata.category(letter) in UNSHOWABLE for letter in text):
        raise ValueError(f"{key} is {text!r:.80}, not one line of 1 to {LONGEST} characters")


def _check_sha256(key: str, value: object) -> None:
    if not (isinstance(value, str) and SHA256.fullmatch(value)):
        raise ValueError(f"{key} is {value!r:.80}, not the 64 hexadecimal digits of a SHA-256")


def _check_gpu(raw: Mapping[str, Any]) -> None:
    """Versions are texts, and an engine of TensorRT names its GPU and its TensorRT."""
    for key, value in raw["versions"].items():
        if not isinstance(value, str):
            raise ValueError(f"the version of {key!r:.80} is a {type(value).__name__}, not a str")
        _check_text(f"versions.{key!r:.80}", value)
    runtime, capability = raw["runtime"], raw["compute_capability"]
    if not RUNTIMES[runtime].gpu:
        if capability is not None:
            raise ValueError(f"compute_capability is {capability!r:.80}, but {runtime} needs no GPU")
        return
    if capability is None or not CAPABILITY.fullmatch(capability):
        raise ValueError(f"compute_capability is {capability!r:.80}, not a GPU's such as '8.7'")
    if runtime not in raw["versions"]:
        raise ValueError(f"versions has no {runtime}")


def _shapes(raw: Mapping[str, Any]) -> Shapes:
    names = tuple(one.name for one in fields(Shapes))
    _check_keys("shapes", raw, names)
    for name in names:
        if name == "slots" and raw[name] is None:
            continue
        most = MOST_TILES if name == "max_crops" else LARGEST_SIZE
        if not (type(raw[name]) is int and 1 <= raw[name] <= most):
            raise ValueError(f"shapes.{name} is {_shown(raw[name])}, not a whole number from 1 to {most}")
    if raw["max_prompt"] > raw["max_context"]:
        raise ValueError(
            f"shapes.max_prompt {raw['max_prompt']} is more than max_context {raw['max_context']}"
        )
    return Shapes(**raw)


def _shown(value: object) -> str:
    """A value of a file, in as few words as fit a line; of numbers too long to be written, their length."""
    if type(value) is int and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    return f"{value!r:.80}"


def _files(raw: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, EngineFile]:
    _check_keys("files", raw, names)
    files = {}
    for name in names:
        if not isinstance(raw[name], dict):
            raise ValueError(f"files.{name} is a {type(raw[name]).__name__}, not an object")
        _check_keys(f"files.{name}", raw[name], ("sha256", "size"))
        _check_sha256(f"files.{name}.sha256", raw[name]["sha256"])
        if type(raw[name]["size"]) is not int or raw[name]["size"] < 1:
            raise ValueError(f"files.{name}.size is {_shown(raw[name]['size'])}, not a number of bytes")
        files[name] = EngineFile(**raw[name])
    return files


def _canonical_sha256(value: Mapping[str, object]) -> str:
    """Of the JSON with sorted keys and no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _rebuild(raw: Mapping[str, object]) -> str:
    """The command of a manifest of another format, as far as it has one."""
    command = raw.get("command")
    return f": {command}" if isinstance(command, str) and command.isprintable() else ""
