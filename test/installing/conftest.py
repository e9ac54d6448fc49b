# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the machines of these tests share."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from apt_machine import HERE  # noqa: E402


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """What `python3 -m venv` makes of the Python under this one."""
    folder = tmp_path_factory.mktemp("template") / "venv"
    python = Path(sys.base_prefix) / "bin" / f"python{HERE}"
    subprocess.run([python, "-m", "venv", folder], check=True)
    return folder
