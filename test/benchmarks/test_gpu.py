# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The benchmark of GPUs, at the embedded model's size on the CPU: every part runs to its end or says why not."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from math import prod
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, gpu_work
from benchmarks.loading import MODELS, hub_shapes
from molmo_ros.molmo.families.table import parse_config

ROOT = Path(__file__).parents[2]
RUNTIMES = ("torch-eager", "torch-graphs", "transformers-eager", "transformers-compiled")


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    file = tmp_path_factory.mktemp("gpu") / "figures.json"
    command = ["--model", "tiny", "--device", "cpu", "--precision", "float32", "--quick", "--json", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *command],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert json.loads(done.stdout.splitlines()[-1]) == found
    return found, done.stdout


def test_every_part_has_figures_or_a_reason(figures):
    found, _ = figures
    assert list(found["parts"]) == list(gpu.PARTS)
    for name in RUNTIMES:
        part = found["parts"][name]
        assert "error" not in part, part
        assert list(part["vision_ms"]) == ["1", "5", "9"] and len(part["prefill_ms"]) == 3
        times = [*part["vision_ms"].values(), *part["prefill_ms"].values(), part["decode_ms"]]
        assert all(0 < one < part["first_point_ms"] * 100 for one in times)
        assert part["memory_gb"] > 0.1
        passes = part.get("pass_ms", {})  # transformers verifies guesses in a loop of its own
        assert list(passes) == ([] if name.startswith("transformers") else ["8", "16", "32"])
        assert all(milliseconds > 0 for milliseconds in passes.values())
    assert all(found["parts"]["floors"][name] > 0 for name in ("copy_gb_s", "read_gb_s", "matmul_tflops"))
    assert found["parts"]["torch-graphs"]["note"] == "no CUDA graphs: cpu has no CUDA graphs"
    facts = found["about"]
    assert facts["torch"] == torch.__version__ and facts["device"] == "CPU" and facts["model"] == "tiny"


@pytest.mark.skipif(torch.cuda.is_available(), reason="without a GPU")
def test_engines_say_what_they_miss(figures):
    """TensorRT for RTX builds without a GPU, and loads nothing."""
    parts = figures[0]["parts"]
    reasons = {
        "tensorrt": "is not installed|cannot",
        "tensorrt_rtx": "is not installed|cannot load the vision engine here",
    }
    for name, reason in reasons.items():
        assert any(one in parts[name]["error"] for one in reason.split("|")), parts[name]


def test_the_table_is_whole(figures):
    _, printed = figures
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert rows[0] == f"| | {' | '.join(RUNTIMES)} |"
    assert len(rows) == 2 + 3 + 3 + 4 + 3 + 3 and len({row.count("|") for row in rows}) == 1


def test_a_part_that_fails_says_why():
    arguments = Namespace(model="7b-d", device="cpu", precision="float32", quick=True, limit=100)
    failed = gpu.run_part("transformers-eager", arguments)
    assert failed["error"] == "transformers has no class of its own for 7b-d (status 1)"
    arguments.limit = 0.01
    assert gpu.run_part("floors", arguments)["error"] == "ended after 0 s"


@pytest.mark.parametrize(
    ("name", "crops", "tokens"), [("4b", [1, 5, 9], [434, 776, 1213]), ("7b-d", [1, 5, 9], None)]
)
def test_pictures_are_of_real_size(name, crops, tokens):
    config, images = gpu_work.load_config(name)
    work = gpu_work.cases(config, images)
    assert [case.crops for case in work] == crops
    assert tokens is None or [case.tokens for case in work] == tokens
    assert all(case.embeddings.shape[-1] == config.decoder.width for case in work)


@pytest.mark.parametrize("name", MODELS)
def test_what_a_token_reads_is_the_decoder_without_its_embedding(name):
    """Counted by the hub's names."""
    config = parse_config(MODELS[name])
    shapes = {
        key: shape for key, shape in hub_shapes(config).items() if "vision" not in key and len(shape) == 2
    }
    values = sum(prod(shape) for key, shape in shapes.items() if "wte" not in key)
    found = gpu_work.decoded_bytes(config, torch.bfloat16) / 2
    assert found == values
    assert 2 * gpu_work.prefill_flops(config, 1) == pytest.approx(
        4 * (values - config.decoder.vocab * config.decoder.width)
    )
