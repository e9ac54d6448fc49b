# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The command for the first day with a GPU, whole, on a machine without one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import first_gpu
from benchmarks.gpu_environment import environment, problems

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


STAND_IN = """
import importlib.util, sys

spec = importlib.util.spec_from_file_location("stand_in", {conftest!r})
stand_in = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stand_in)
sys.modules[__name__] = stand_in.FakeTensorRT()


def build(request):
    request.engine.write_text(str(request.graph))


if "benchmarks.gpu_engines" in sys.modules:
    sys.modules["benchmarks.gpu_engines"].build_engine = build
"""
"""A module `tensorrt`: that of the runner's tests, whose plans are paths of graphs."""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    file, module = folder / "report.json", folder / "modules" / "tensorrt"
    module.mkdir(parents=True)
    conftest = ROOT / "test" / "engine" / "runtimes" / "conftest.py"
    (module / "__init__.py").write_text(STAND_IN.format(conftest=str(conftest)))
    command = ["--device", "cpu", "--model", "none", "--quick", "--out", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.first_gpu", *command],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(module.parent)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return file.read_text(), done.stdout


def test_every_step_has_figures(report):
    steps = json.loads(report[0])["steps"]
    assert list(steps) == list(first_gpu.STEPS) and not any("error" in one for one in steps.values())
    facts = steps["environment"]["facts"]
    assert facts["packages"]["torch"] == torch.__version__ and facts["tensorrt"]["tensorrt"] == "10.16.0"
    build = steps["build"]["builds"]["fp32"]
    assert steps["build"]["target"] == "onnx" and build["error"] is None and "quality: " in build["said"]
    assert steps["real"]["skipped"] == "not asked for" and "none of orin-nano" in steps["computed"]["skipped"]


def test_the_engines_are_compared_and_measured_through_the_runner(report):
    steps = json.loads(report[0])["steps"]
    results = steps["correctness"]["figures"]["results"]
    engine, onnx = results["float16, tensorrt"], results["float32, onnxruntime"]
    assert onnx["identical"] == onnx["answers"] == engine["answers"] == 2 and engine["identical"] >= 1
    assert set(results) >= {"float16, eager", "float16, static"}
    parts = steps["small"]["figures"]["parts"]
    assert parts["floors"]["read_gb_s"] > 0
    for name in ("torch-eager", "tensorrt"):
        assert "error" not in parts[name] and parts[name]["decode_ms"] > 0
    assert "| | torch-eager | tensorrt |" in steps["small"]["printed"]


def test_the_file_names_nobody_and_no_folder(report):
    text = report[0]
    for private in (str(ROOT), str(Path.home()), os.uname().nodename, "/tmp/"):
        assert len(private) < 5 or private not in text, private
    assert "docs/lend-a-gpu.md" in report[1]


def visit(tmp_path):
    return first_gpu.Visit("cpu", None, True, tmp_path)


def test_a_step_that_fails_leaves_the_others(tmp_path, monkeypatch, capsys):
    def broken(_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(first_gpu, "STEPS", {"broken": broken, "whole": lambda _: {"figures": {}}})
    report, out = {"steps": {}}, tmp_path / "report.json"
    assert first_gpu.visit_all(visit(tmp_path), ["broken", "whole"], report, out) == 0
    steps = json.loads(out.read_text())["steps"]
    assert steps["broken"]["error"] == "RuntimeError: no such kernel" and "figures" in steps["whole"]
    assert "broken: RuntimeError: no such kernel" in capsys.readouterr().out


def test_ctrl_c_keeps_what_was_found(tmp_path, monkeypatch):
    def ended(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(first_gpu, "STEPS", {"whole": lambda _: {"a": 1}, "ended": ended, "never": ended})
    out = tmp_path / "report.json"
    assert first_gpu.visit_all(visit(tmp_path), ["whole", "ended", "never"], {"steps": {}}, out) == 130
    found = json.loads(out.read_text())
    assert found["steps"]["whole"]["a"] == 1 and found["ended"] == "by hand, in ended"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("changes", "what", "cure"),
    [
        ({"jetson": "# R36"}, "torch sees no CUDA device (no driver)", "the wheel for your JetPack"),
        (
            {"capability_by_driver": "8.6"},
            "the driver sees one of 8.6",
            "a wheel of torch for your driver's CUDA",
        ),
        (
            {"gpu": {"capability": [8, 7], "code_in_torch": ["sm_80", "sm_90"]}},
            None,
            None,
        ),
        (
            {"gpu": {"capability": [11, 0], "code_in_torch": ["sm_80", "sm_90"]}},
            "no code for compute capability 11.0, only sm_80, sm_90",
            "a wheel of torch that has",
        ),
        ({"tensorrt": {"tensorrt": None}}, "no TensorRT can be imported", "tensorrt"),
        ({"disk_free_gb": 1.0}, "1.0 GB of disk are free", "make room for 2 GB"),
    ],
)
def test_what_is_missing_is_said_with_its_cure(changes, what, cure):
    whole = {"gpu": {"capability": [8, 6], "code_in_torch": ["sm_86"]}, "tensorrt": {"tensorrt": "10.16"}}
    facts = environment(CPU) | whole | {"disk_free_gb": 100.0}
    facts["packages"] = dict.fromkeys(facts["packages"], "1")
    assert problems(facts, torch.device("cuda")) == []
    facts |= changes
    if "gpu" not in changes and ("jetson" in changes or "capability_by_driver" in changes):
        del facts["gpu"]
    found = problems(facts, torch.device("cuda"))
    if what is None:  # code for 8.0 runs on an 8.7
        assert found == []
        return
    (one,) = found
    assert what in one.what and cure in one.cure


def test_the_device_is_found_in_the_table(monkeypatch):
    class Orin:
        major, minor, multi_processor_count, total_memory = 8, 7, 16, 61e9

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Orin)
    assert first_gpu.known_device("cuda") == "agx-orin" and first_gpu.known_device("cpu") is None
    Orin.multi_processor_count, Orin.total_memory = 8, 7.4e9
    assert first_gpu.known_device("cuda") == "orin-nano"
    Orin.total_memory = 15.6e9
    assert first_gpu.known_device("cuda") == "orin-nx-16"
    Orin.multi_processor_count = 99
    assert first_gpu.known_device("cuda") is None
