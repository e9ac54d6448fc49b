# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One table of what can run a model: whoever lists runtimes, engines or number formats has them from there."""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from molmo_ros.cli.arguments import add_model_options
from molmo_ros.engine.runtime_table import ENGINES, HIDDEN, RUNTIMES
from molmo_ros.engine.targets import TARGET_NAMES, find_target
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.molmo.weights.checkpoint import DTYPES
from molmo_ros.node.parameters.declaration import PARAMETERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "engines.md").read_text()
HEAVY = ("torch", "numpy", "onnx", "onnxruntime", "tensorrt", "safetensors")


def test_the_tables_are_read_without_any_library():
    code = (
        "import sys, molmo_ros.engine.runtime_table, molmo_ros.molmo.dtypes; "
        f"sys.exit(' '.join(set(sys.modules) & set({HEAVY})) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=RUNTIMES)
def test_every_runtime_has_its_runner(runtime):
    runner = importlib.import_module(f"molmo_ros.engine.runtimes.{runtime.runner}")
    assert callable(runner.open_runner)
    assert any(runtime in choice.runtimes for choice in ENGINES.values())


def test_an_engine_that_is_not_there_can_be_built():
    for choice in ENGINES.values():
        assert bool(choice.target) == bool(choice.runtimes)
        if choice.target:
            target = find_target(choice.target, (8, 6))
            assert target.runtime in choice.runtimes and (target.compute_capability is not None) == choice.gpu


@pytest.mark.parametrize(("name", "known"), [("engine", ENGINES), ("dtype", DTYPE_BYTES)])
def test_the_node_and_the_command_line_take_what_is_in_the_table(name, known):
    (parameter,) = (one for one in PARAMETERS if one.name == name)
    parser = argparse.ArgumentParser()
    add_model_options(parser, remote=True)
    (option,) = (action for action in parser._actions if action.dest == name)
    assert list(parameter.choices) == list(option.choices) == list(known)


def test_what_is_for_tests_is_taken_and_not_shown(capsys):
    parser = argparse.ArgumentParser()
    add_model_options(parser)
    assert [parser.parse_args(["--engine", name]).engine for name in HIDDEN] == ["parsed"]
    with pytest.raises(SystemExit):
        parser.parse_args(["--engine", "other"])
    assert "parsed" not in parser.format_help() + capsys.readouterr().err


def test_the_engine_parameter_explains_every_choice():
    (parameter,) = (one for one in PARAMETERS if one.name == "engine")
    assert all(f"`{name}`" in parameter.description for name in ENGINES)


def test_number_formats_have_the_size_that_torch_says():
    assert {name: dtype.itemsize for name, dtype in DTYPES.items()} == DTYPE_BYTES


def rows(heading):
    """Of the page's table whose first cell is so headed, the cells."""
    lines = PAGE[PAGE.index(f"| {heading} |") :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_has_the_engines_of_the_table():
    assert rows("`engine`") == [
        [f"`{one.name}`", one.meaning, " ".join(runtime.name for runtime in one.runtimes) or "none"]
        for one in ENGINES.values()
    ]


def test_the_page_has_the_targets_with_their_precisions():
    precisions = {row[0].strip("`"): row[-1] for row in rows("target")}
    assert tuple(precisions) == TARGET_NAMES
    for name in set(TARGET_NAMES) - {"this"}:
        assert precisions[name].split() == list(find_target(name, None).precisions)
