# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The same site where rosdoc2 builds it, as docs.ros.org does: in a folder of its own, from copies."""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
# rosdoc2 runs this file from a conf.py that it writes into that folder, and which alone says where the checkout is.
ROOT = Path(re.search(r'exec\(open\("(.+?)"\)', (HERE / "conf.py").read_text(encoding="utf-8"))[1]).parents[2]
globals().update(runpy.run_path(str(ROOT / "docs" / "conf.py")))

# Pages are copied, as they are not looked for behind links; all else that they link to may be a link itself.
for path in ROOT.iterdir():
    if path.name in ("docs", "interfaces"):
        without = shutil.ignore_patterns("build", "rosdoc2")
        shutil.copytree(path, HERE / path.name, symlinks=True, dirs_exist_ok=True, ignore=without)
    elif (path / "README.md").is_file():
        (HERE / path.name).mkdir(exist_ok=True)
        shutil.copy(path / "README.md", HERE / path.name)
    elif path.suffix in (".md", ".rst"):
        shutil.copy(path, HERE)
    elif path.name not in (".git", ".venv", "build") and not (HERE / path.name).exists():
        (HERE / path.name).symlink_to(path)
html_extra_path = [str(ROOT / "docs" / "landing")]

STAND_ASIDE = list(autodoc_mock_imports)  # noqa: F821  # of docs/conf.py


def setup(app):
    """rosdoc2 puts the names of the package's dependencies in the place of the modules that are to stand aside."""
    app.connect("config-inited", lambda app, config: setattr(config, "autodoc_mock_imports", STAND_ASIDE))
