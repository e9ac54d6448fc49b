# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The manifest of an engine: written, read, and everything that may be wrong with one."""

import hashlib
import json
import os
import re
import stat

import pytest

from molmo_ros.engine.errors import EngineError, EngineMismatchError, TamperedEngineError
from molmo_ros.engine.runtime_table import RUNTIMES
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.store.manifest import MANIFEST, Manifest


def edit(engine, change, sign=False):
    """Writes a manifest with a change; `sign` makes its own hashes fit, as somebody who knows the format would."""
    raw = json.loads((engine / MANIFEST).read_text())
    change(raw)
    if sign:
        raw.pop("sha256", None)
        raw["sha256"] = sha256_of_json(raw)
    (engine / MANIFEST).write_text(json.dumps(raw))


def sha256_of_json(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_written_is_read(workshop, runtime):
    capability = None if runtime == "onnx" else "8.9"
    versions = {"molmo_ros": "0.4.0", "tensorrt_rtx": "1.7.1.116", "tensorrt": "10.16.0.5"}
    wanted = workshop.manifest(
        runtime=runtime,
        compute_capability=capability,
        versions=versions,
        quality=None,
        shapes=Shapes(12, 4096, 2048, 1600, None),
    )
    folder = workshop.home / "one"
    folder.mkdir(parents=True)
    wanted.write(folder)
    assert Manifest.read(folder) == wanted
    assert stat.S_IMODE((folder / MANIFEST).stat().st_mode) == 0o600
    assert os.listdir(folder) == [MANIFEST]


def test_the_file_names_hashes_of_build_and_engine(engine, workshop):
    raw = json.loads((engine / MANIFEST).read_text())
    assert raw["build_sha256"] == sha256_of_json(workshop.manifest().build)
    for name, file in raw["files"].items():
        content = (engine / name).read_bytes()
        assert file == {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    assert raw["command"] == workshop.command and raw["format"] == 1


def test_equal_configurations_have_equal_hashes_in_any_order(workshop):
    one = workshop.manifest(build={"a": 1, "b": [2, 3]})
    assert one.build_sha256 == workshop.manifest(build={"b": [2, 3], "a": 1}).build_sha256
    assert one.build_sha256 != workshop.manifest(build={"b": [3, 2], "a": 1}).build_sha256


@pytest.mark.parametrize("key", ["name", "shapes", "sha256", "build_sha256", "quality", "command"])
def test_a_missing_key_is_named(engine, key):
    edit(engine, lambda raw: raw.pop(key))
    with pytest.raises(TamperedEngineError, match=f"{MANIFEST} is damaged: it has no {key}"):
        Manifest.read(engine)


def test_an_unknown_key_is_named(engine):
    edit(engine, lambda raw: raw.update(plugin="evil.so"), sign=True)
    with pytest.raises(TamperedEngineError, match="unknown keys: 'plugin'"):
        Manifest.read(engine)


@pytest.mark.parametrize(
    ("keys", "value", "says"),
    [
        (["name"], 5, "name is a int, not a str"),
        (["name"], "", "name is ''"),
        (["name"], "x" * 5000, "name is 'xxx"),
        (["command"], "molmo-ros\x1b[2Jbuild", r"command is 'molmo-ros\\x1b"),
        (["command"], "true\nrm -r /", "command is"),
        (["format"], "1", "format is a str, not a int"),
        (["format"], True, "format is a bool, not a int"),
        (["shapes"], [1], "shapes is a list, not a dict"),
        (["shapes", "max_crops"], 0, "shapes.max_crops is 0"),
        (["shapes", "max_crops"], True, "shapes.max_crops is True"),
        (["shapes", "max_context"], None, "shapes.max_context is None"),
        (["shapes", "max_context"], 1.5, "shapes.max_context is 1.5"),
        (["shapes", "max_crops"], 1001, "shapes.max_crops is 1001, not a whole number from 1 to 1000"),
        (["shapes", "max_context"], 2**31, "shapes.max_context is 2147483648"),
        (["shapes", "max_logits"], 10**400, "shapes.max_logits is a number of 1329 bits"),
        (["shapes", "max_prompt"], 4096, "shapes.max_prompt 4096 is more than max_context 2048"),
        (["shapes", "batch"], 2, "shapes has unknown keys: 'batch'"),
        (["runtime"], "pickle", "runtime is 'pickle', not one of onnx, tensorrt, tensorrt_rtx"),
        (["dtype"], "float64", "dtype is 'float64', not one of float32"),
        (["checkpoint_sha256"], "C" * 64, "checkpoint_sha256 is 'CCC"),
        (["sha256"], "0" * 64, "its content is not what was written"),
        (["build"], {"precision": "fp16"}, "build is not the configuration"),
        (["versions"], {"tensorrt": "10.3"}, "versions has no tensorrt_rtx"),
        (["versions", "tensorrt_rtx"], 1.7, "the version of 'tensorrt_rtx' is a float"),
        (["versions", "tensorrt_rtx"], "1\x07", "versions.'tensorrt_rtx' is"),
        (["compute_capability"], None, "compute_capability is None"),
        (["compute_capability"], "sm_89", "compute_capability is 'sm_89'"),
        (["files"], {}, "files has no vision.engine, decoder.engine"),
        (["files", "../../.bashrc"], {"sha256": "0" * 64, "size": 1}, "unknown keys: '../../.bashrc'"),
        (["files", "/etc/passwd"], {"sha256": "0" * 64, "size": 1}, "unknown keys: '/etc/passwd'"),
        (["files", "vision.engine"], "x", "files.vision.engine is a str, not an object"),
        (["files", "vision.engine", "mode"], 7, "files.vision.engine has unknown keys: 'mode'"),
        (["files", "vision.engine", "size"], -1, "files.vision.engine.size is -1"),
        (["files", "vision.engine", "size"], 1e9, "files.vision.engine.size is 1000000000.0"),
        (["files", "vision.engine", "sha256"], None, "files.vision.engine.sha256 is None"),
        (["quality"], [], "quality is a list, not a dict"),
        (["created"], "yesterday", "yesterday"),
    ],
)
def test_a_wrong_value_is_named_even_where_the_hash_is_right(engine, keys, value, says):
    def change(raw):
        for key in keys[:-1]:
            raw = raw[key]
        raw[keys[-1]] = value

    edit(engine, change, sign=keys != ["sha256"])
    with pytest.raises(TamperedEngineError, match=says) as caught:
        Manifest.read(engine)
    assert len(str(caught.value)) < 800 and str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("key", "value"), [("model", "molmo2-4b"), ("compute_capability", "8.6"), ("created", "2020-01-01")]
)
def test_an_edit_by_hand_is_noticed(engine, key, value):
    edit(engine, lambda raw: raw.update({key: value}))
    with pytest.raises(TamperedEngineError, match="its content is not what was written"):
        Manifest.read(engine)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "damaged"),
        (b"{", "damaged"),
        (b"[]", "it holds a list, not an object"),
        (b"\xff\xfe{}", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b" " * (2 << 20), "it has 2097152 bytes, more than"),
    ],
)
def test_what_is_no_manifest_is_damaged(engine, content, says):
    (engine / MANIFEST).write_bytes(content)
    with pytest.raises(TamperedEngineError, match=says):
        Manifest.read(engine)


@pytest.mark.parametrize("share", range(1, 10))
def test_a_truncated_manifest_is_damaged(engine, share):
    path = engine / MANIFEST
    path.write_bytes(path.read_bytes()[: path.stat().st_size * share // 10])
    with pytest.raises(TamperedEngineError, match="damaged"):
        Manifest.read(engine)


def test_another_format_is_a_mismatch_with_the_command(engine, workshop):
    edit(engine, lambda raw: raw.update(format=2, something="new"), sign=True)
    with pytest.raises(EngineMismatchError, match="format 2.*reads format 1") as caught:
        Manifest.read(engine)
    assert str(caught.value).endswith(workshop.command)


def test_no_manifest_and_no_folder_are_named(engine):
    (engine / MANIFEST).unlink()
    with pytest.raises(EngineError, match=f"{re.escape(str(engine / MANIFEST))} cannot be read"):
        Manifest.read(engine)
    with pytest.raises(EngineError, match="no engine in"):
        Manifest.read(engine / "nowhere")
    with pytest.raises(EngineError, match="an engine is a folder"):
        Manifest.read(engine / "vision.engine")


@pytest.mark.parametrize(
    "change", [{"runtime": "torch"}, {"command": ""}, {"created": "today"}, {"compute_capability": None}]
)
def test_what_could_not_be_read_is_not_written(workshop, change):
    folder = workshop.home / "one"
    folder.mkdir(parents=True)
    contents = workshop.contents()
    with pytest.raises(EngineError, match="no manifest for"):
        workshop.manifest(contents, **change).write(folder)
    assert os.listdir(folder) == []
