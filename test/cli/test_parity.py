# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros parity`: what it prints and returns."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from molmo_ros.cli import parity

VECTORS = Path(__file__).parents[1] / "vectors"


def run(*arguments):
    parser = argparse.ArgumentParser()
    parity.add_parser(parser.add_subparsers())
    args = parser.parse_args(["parity", *map(str, arguments)])
    return args.run(args)


def test_text_for_people(capsys):
    assert run(VECTORS / "molmo-7b-d-tiny", VECTORS / "molmo2-4b-tiny") == 0
    printed = capsys.readouterr().out
    assert "molmo-7b-d-tiny: ok" in printed
    assert "greedy tokens             agree (6, static KV cache)" in printed
    assert "preprocessing pooling     equal" in printed
    assert "2 of 2 agree within 0.0001" in printed


def test_json_for_scripts(capsys):
    assert run(VECTORS / "molmo2-8b-tiny", "--json", "--attention", "explicit") == 0
    result = json.loads(capsys.readouterr().out)
    (variant,) = result["variants"]
    assert result["ok"] is True
    assert result["tolerance"] == 1e-4
    assert variant["variant"] == "molmo2-8b-tiny"
    assert variant["errors"]["logits"] < 1e-4
    assert variant["greedy_agree"] is True


def test_unsupported_kinds_fail(tmp_path, capsys):
    folder = tmp_path / "other"
    shutil.copytree(VECTORS / "molmo2-4b-tiny", folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    assert run(folder) == 1
    assert "other: unsupported" in capsys.readouterr().out
    assert run(folder, "--json") == 1
    assert json.loads(capsys.readouterr().out)["variants"][0]["status"] == "unsupported"


def test_a_difference_fails(tmp_path, capsys):
    folder = tmp_path / "changed"
    shutil.copytree(VECTORS / "molmo2-4b-tiny", folder)
    with np.load(folder / "logits.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["logits"] = arrays["logits"] + np.float32(np.inf)
    np.savez(folder / "logits.npz", **arrays)
    assert run(tmp_path) == 1
    assert "changed: failed" in capsys.readouterr().out
    assert run(folder, "--json") == 1
    result = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert result["ok"] is False
    assert result["variants"][0]["errors"]["logits"] is None


@pytest.mark.parametrize("folder", ["absent", "."])
def test_a_folder_without_vectors_is_bad_input(tmp_path, capsys, folder):
    assert run(tmp_path / folder) == 2
    assert str(tmp_path) in capsys.readouterr().err
