# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`setup.py develop` as colcon's --symlink-install calls it, which setuptools 80 and later no longer have."""

from typing import ClassVar

from setuptools import Command


class Develop(Command):
    """Writes the metadata beside the links to the sources, and the scripts; colcon adds the folder to PYTHONPATH.

    The same for every setuptools: what the old command did beyond that (an egg-link, an entry in easy-install.pth) only
    says again where the folder is.
    """

    description = "install in 'development mode', as colcon calls it"
    user_options: ClassVar = [
        ("editable", "e", "accepted: nothing is downloaded here"),
        ("build-directory=", "b", "accepted: nothing is downloaded here"),
        ("no-deps", "N", "accepted: dependencies are never installed"),
        ("uninstall", "u", "accepted: the installation that follows overwrites the scripts"),
        ("script-dir=", "s", "folder of the scripts (setup.cfg)"),
    ]
    boolean_options: ClassVar = ["editable", "no-deps", "uninstall"]

    def initialize_options(self) -> None:
        self.editable = self.no_deps = self.uninstall = False
        self.build_directory = self.script_dir = None

    def finalize_options(self) -> None:
        pass

    def run(self) -> None:
        if self.uninstall:
            return
        self.run_command("egg_info")
        # Its own option for the folder is ignored in setup.cfg inside a virtual environment, this command's is not.
        scripts = self.reinitialize_command("install_scripts")
        scripts.install_dir = self.expanded_script_dir()
        scripts.ensure_finalized()
        scripts.run()

    def expanded_script_dir(self) -> str:
        install = self.get_finalized_command("install")
        return self.script_dir.replace("$base", install.install_base)
