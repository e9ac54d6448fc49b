# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Threads of the CPU: how many, what they do between queries, and what becomes of them in a fork."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from molmo_ros.cli.main import main
from molmo_ros.engine.load import load_molmo
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.node.answers.inference import load_model
from molmo_ros.node.records.model_choice import ModelChoice

ASKED = """
import json, os, sys, time
import numpy as np
import torch
from molmo_ros.engine.load import load_molmo
from molmo_ros.molmo.running.generation import GenerateOptions

engine, threads = sys.argv[1], int(sys.argv[2])
before = len(os.listdir("/proc/self/task"))
molmo = load_molmo("tiny", engine=engine, threads=threads)
opened = len(os.listdir("/proc/self/task")) - before
image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
def ask():
    return molmo.point(image, "cube", options=GenerateOptions(max_new_tokens=4))
"""
IDLE = """
ask()
spent = []
for _ in range(3):
    ask()
    before = time.process_time()
    time.sleep(0.3)
    spent.append(time.process_time() - before)
print(json.dumps({"opened": opened, "torch": torch.get_num_threads(), "idle": min(spent)}))
"""
FORK = """
ask()
sys.stdout.flush()
child = os.fork()
if child == 0:
    try:
        print(ask().text)
    except Exception as error:
        print(error)
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
"""


def run(code, engine, threads):
    words = [sys.executable, "-c", ASKED + code, engine, str(threads)]
    result = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_onnxruntime_has_as_many_as_were_asked_for_and_they_sleep_between_queries():
    """A thread that spins burns 40 to 70 ms after each query, of a core that the robot needs."""
    one, four = (json.loads(run(IDLE, "onnx", threads)) for threads in (1, 4))
    assert one["opened"] == 0  # the thread that asks works
    assert four["opened"] >= 2 * 3  # beside it, for each of two graphs
    assert (one["torch"], four["torch"]) == (1, 4)
    assert four["idle"] < 0.02


def test_torch_has_as_many_as_were_asked_for():
    assert json.loads(run(IDLE, "torch", 3))["torch"] == 3


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_a_fork_is_told_and_does_not_hang(engine):
    said = run(FORK, engine, 2)
    assert "loaded by process" in said and "asked in its fork" in said and "'spawn'" in said
    assert f"threads that {engine} computes with" in said


@pytest.mark.parametrize("threads", [-1, 1025, 1.5, True, "2", None])
def test_no_number_of_threads(threads):
    with pytest.raises(MolmoError, match=r"threads is .*; it must be a whole number from 1 to 1024, or 0"):
        load_molmo("tiny", threads=threads)


def test_the_command_line_hands_the_number_on(tmp_path, capsys):
    picture = tmp_path / "grey.png"
    cv2.imwrite(str(picture), np.full((60, 80, 3), 128, np.uint8))
    assert main(["point", str(picture), "cube", "--threads", "-1"]) == 2
    assert "threads is -1; it must be a whole number from 1 to 1024" in capsys.readouterr().err


def test_the_node_hands_the_number_on():
    with pytest.raises(MolmoError, match="threads is 2000"):
        load_model(ModelChoice(threads=2000))
