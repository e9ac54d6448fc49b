# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Console scripts in lib/molmo_ros, where `ros2 run` looks, and the command line in bin/ too, where the shell does."""

import os
from pathlib import Path

from setuptools.command.install_scripts import install_scripts

ON_PATH = "molmo-ros"


class InstallScripts(install_scripts):
    def run(self) -> None:
        super().run()
        script = Path(self.install_dir, ON_PATH).resolve()
        link = script.parents[2] / "bin" / ON_PATH
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(script, link.parent))
        self.outfiles.append(str(link))
