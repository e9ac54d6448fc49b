# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What another part of the program makes torch's default dtype and device must not change a model."""

import ast
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import molmo_ros
from molmo_ros.engine.load import load_molmo
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

PACKAGE = Path(molmo_ros.__file__).parent
QUERY = "how many things are there?"
FACTORIES = {
    *(
        "arange",
        "as_tensor",
        "asarray",
        "empty",
        "empty_strided",
        "eye",
        "full",
        "linspace",
        "logspace",
        "ones",
    ),
    *("rand", "randint", "randn", "randperm", "range", "tensor", "tril_indices", "triu_indices", "zeros"),
}
PARAMETERS = {"normal_parameter", "__init__"}
"""Where a module makes its parameters: those are where and what their maker says, as in `torch.nn`."""


@contextmanager
def defaults(dtype, device):
    torch.set_default_dtype(dtype)
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)


def said(molmo, picture):
    answer = molmo.query(picture, QUERY)
    points = [(p.x, p.y, round(p.confidence, 4)) for p in answer.points]
    return answer.text, points, round(answer.not_found_probability, 4)


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_answers_do_not_depend_on_them(engine):
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    picture = render(Scene.random(20_003), *SENSOR).rgb
    molmo = load_molmo("tiny", engine=engine)
    expected = said(molmo, picture)
    assert expected[1]
    for dtype, device in ((torch.float64, "cpu"), (torch.float16, "cpu"), (torch.float32, "meta")):
        with defaults(dtype, device):
            assert said(molmo, picture) == expected
            assert said(load_molmo("tiny", engine=engine), picture) == expected


def unnamed(path):
    """Calls of torch's factories without a dtype or a device, outside of what makes parameters."""
    tree = ast.parse(path.read_text())
    exempt = {
        id(node)
        for maker in ast.walk(tree)
        if isinstance(maker, ast.FunctionDef) and maker.name in PARAMETERS and path.parent.name == "network"
        for node in ast.walk(maker)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or id(node) in exempt or not isinstance(node.func, ast.Attribute):
            continue
        of_torch = isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"
        named = {"dtype", "device"} <= {one.arg for one in node.keywords}
        if of_torch and node.func.attr in FACTORIES and not named:
            yield f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("folder", ["engine", "molmo"])
def test_every_tensor_is_made_with_a_dtype_and_a_device(folder):
    paths = sorted((PACKAGE / folder).rglob("*.py"))
    assert len(paths) > 30
    assert [line for path in paths for line in unnamed(path)] == []
