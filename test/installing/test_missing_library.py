# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A Python without what the models need, such as the system's: one sentence names it and the way out."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

WITHOUT = "import sys; sys.modules[{name!r}] = None\n"
SENTENCE = (
    "{python} has no {name}, which the models need. Where apt installed ROS, requirements/apt_ros.sh makes "
)


def run(name, code):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(name=name) + code], capture_output=True, text=True
    )


@pytest.mark.parametrize("name", ["torch", "tokenizers"])
def test_the_node_says_what_is_missing(name):
    done = run(
        name,
        "from molmo_ros.node.answers.inference import load_model\n"
        "from molmo_ros.node.records.model_choice import ModelChoice\n"
        "from molmo_ros.molmo.errors import MolmoError\n"
        "try:\n    load_model(ModelChoice())\nexcept MolmoError as error:\n    print(error)\n",
    )
    assert SENTENCE.format(python=sys.executable, name=name) in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["cv2", "torch", "tokenizers"])
def test_the_command_line_says_what_is_missing(name, tmp_path):
    code = "from molmo_ros.cli.main import main; sys.argv = ['molmo-ros', 'point', {!r}, 'cup']; sys.exit(main())"
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.zeros((4, 4, 3), np.uint8))
    done = run(name, code.format(str(picture)))
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert line.startswith("molmo-ros: " + SENTENCE.format(python=sys.executable, name=name))


def test_what_no_model_needs_is_missed_as_before():
    """A broken part of the package itself is not taken for a wrong Python."""
    done = run(
        "molmo_ros.engine.load",
        "from molmo_ros.node.answers.inference import load_model\n"
        "from molmo_ros.node.records.model_choice import ModelChoice\nload_model(ModelChoice())",
    )
    assert "ModuleNotFoundError" in done.stderr and "apt_ros.sh" not in done.stderr
