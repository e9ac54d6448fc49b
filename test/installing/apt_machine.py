# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A machine with a ROS of apt, as far as apt_ros.sh sees it: a folder that stands in front of /opt, /usr and /etc."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "requirements" / "apt_ros.sh"
MINOR = sys.version_info.minor
HERE = f"3.{MINOR}"
"""The Python that this test has, which is the only one that a real environment can be made with."""

# The system's Python: this one, with apt's packages in place of its own (-S), and with the user's where they are not
# switched off. What `-m venv --system-site-packages` makes takes seconds, and is made once.
PYTHON = """#!/usr/bin/env bash
packages="{packages}"
if [ "$1 $2 $3" = "-m venv --system-site-packages" ]; then
  mkdir -p "$4" && cp -r "{template}/." "$4"
  printf '%s\\n' "import os, sys; 'PYTHONNOUSERSITE' in os.environ or sys.path.append('{user}')" "$packages" \\
    >"$4/lib/python{version}/site-packages/apt.pth"
else
  PYTHONPATH=$packages exec "{python}" -S "$@"
fi
"""


class AptMachine:
    """What is below `folder`: /opt/ros, /usr/bin/python3.N, /etc; and a workspace."""

    def __init__(self, folder: Path, template: Path | None = None):
        self.template = template
        self.root = folder / "root"
        self.packages = self.root / "usr/lib/python3/dist-packages"
        self.packages.mkdir(parents=True)
        self.workspace = folder / "ws"
        self.workspace.mkdir()
        self.home = folder / "home"
        self.home.mkdir()

    @property
    def environment(self) -> Path:
        return self.workspace / ".venv-ros"

    @property
    def user_packages(self) -> Path:
        """Where `pip install --user` puts things."""
        return self.home / f".local/lib/python{HERE}/site-packages"

    @property
    def site_packages(self) -> Path:
        return self.environment / f"lib/python{HERE}/site-packages"

    def file(self, path: str, text: str = "", mode: int = 0o644) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def ros(self, distribution: str, version: str, packages: str = "lib/python{}/site-packages") -> None:
        prefix = f"opt/ros/{distribution}"
        self.file(f"{prefix}/setup.bash", f'export PYTHONPATH="{self.root}/{prefix}/python"\n')
        self.file(f"{prefix}/{packages.format(version)}/rclpy/__init__.py")
        self.file(f"{prefix}/python/rclpy/__init__.py")

    def python(self, version: str) -> None:
        # Of an environment this is the interpreter underneath, which sees nothing of it.
        base = Path(sys.base_prefix) / "bin" / f"python{HERE}"
        text = PYTHON.format(
            python=base,
            packages=self.packages,
            user=self.user_packages,
            template=self.template,
            version=version,
        )
        self.file(f"usr/bin/python{version}", text, 0o755)

    def apt(self, *modules: str) -> None:
        """Installs of numpy, cv2, yaml and setuptools what this environment has, where apt puts it."""
        here = Path(sysconfig.get_path("purelib"))
        for module in modules:
            for pattern in (module, f"{module}.libs", f"{module}-*.dist-info", f"_{module}*"):
                for path in here.glob(pattern):
                    (self.packages / path.name).symlink_to(path)
        # The wheel's module with none of its metadata, as apt's OpenCV has none.
        if "cv2" in modules:
            (self.packages / "opencv_python_headless.libs").symlink_to(here / "opencv_python_headless.libs")
        if "yaml" in modules:
            for path in [*here.glob("[Pp]y[Yy][Aa][Mm][Ll]-*.dist-info")]:
                (self.packages / path.name).symlink_to(path)

    def run(self, *arguments: object, **variables: object) -> subprocess.CompletedProcess:
        """The script, with nothing of the caller's environment that it reads."""
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        # No index is reached: the port of "discard" refuses.
        offline = {
            "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
            "PIP_RETRIES": 0,
            "PIP_CONFIG_FILE": "/dev/null",
        }
        environment = kept | {"HOME": self.home, "APT_ROS_ROOT": self.root} | offline | variables
        return subprocess.run(
            ["bash", SCRIPT, *map(str, arguments)],
            env={name: str(value) for name, value in environment.items()},
            capture_output=True,
            text=True,
            cwd=self.home,
        )


def whole_machine(folder: Path, template: Path | None = None) -> AptMachine:
    """One on which everything is there but the environment; the Python is this one."""
    machine = AptMachine(folder, template)
    machine.ros("jazzy", HERE)
    machine.python(HERE)
    machine.apt("numpy", "cv2", "yaml", "setuptools")
    return machine


def wheel(folder: Path, name: str, files: dict[str, str], requires: str = "") -> None:
    """A small wheel, version 1.0, of these files."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    if requires:
        metadata += f"Requires-Dist: {requires}\n"
    whole = files | {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, text in whole.items():
            archive.writestr(path, text)
