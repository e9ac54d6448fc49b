# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The package's front door: every name is there, and importing it is cheap."""

import subprocess
import sys

import pytest

import molmo_ros


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_loads_neither_torch_nor_ros():
    run(
        "import sys, molmo_ros; from molmo_ros import Answer, Point, Status\n"
        "import molmo_ros.molmo.pointing.points, molmo_ros.molmo.prompts.prompt\n"
        "import molmo_ros.molmo.images.image_processor\n"
        "heavy = {'torch', 'transformers', 'rclpy', 'mujoco'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )


def test_the_model_side_loads_no_ros():
    run(
        "import sys; from molmo_ros import Molmo\n"
        "assert 'torch' in sys.modules and 'rclpy' not in sys.modules"
    )


def test_every_name_is_there():
    assert {name: getattr(molmo_ros, name).__name__ for name in molmo_ros.__all__} == {
        name: name for name in molmo_ros.__all__
    }
    assert {"Molmo", "Answer", "Point", "Status"} <= set(dir(molmo_ros))
    with pytest.raises(AttributeError, match="no attribute 'Malmo'"):
        molmo_ros.Malmo  # noqa: B018
