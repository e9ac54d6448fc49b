# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""molmo_ros as colcon builds it: what ../../setup.py says, and what only a workspace needs."""

import runpy
import sys
from pathlib import Path

import setuptools

# With --symlink-install this file is a link in the build folder.
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "colcon"))

from built_messages import require_messages  # noqa: E402
from develop import Develop  # noqa: E402
from python_packages import warn_of_missing_packages  # noqa: E402
from scripts_on_path import InstallScripts  # noqa: E402

arguments = runpy.run_path(str(ROOT / "setup.py"))["ARGUMENTS"]
if {"install", "develop"} & set(sys.argv) and "--uninstall" not in sys.argv:
    require_messages(arguments["version"])
    warn_of_missing_packages()
setuptools.setup(**arguments, cmdclass={"develop": Develop, "install_scripts": InstallScripts})
