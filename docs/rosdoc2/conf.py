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

for name in ("docs", "engines", "examples", "interfaces"):
    shutil.copytree(
        ROOT / name, HERE / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build", "rosdoc2")
    )
for path in (*ROOT.glob("*.md"), *ROOT.glob("*.rst"), *ROOT.glob("*/README.md"), ROOT / "LICENSE"):
    (HERE / path.relative_to(ROOT)).parent.mkdir(exist_ok=True)
    shutil.copy(path, HERE / path.relative_to(ROOT))
html_extra_path = [str(ROOT / "docs" / "landing")]

STAND_ASIDE = list(autodoc_mock_imports)  # noqa: F821  # of docs/conf.py


def setup(app):
    """rosdoc2 puts the names of the package's dependencies in the place of the modules that are to stand aside."""
    app.connect("config-inited", lambda app, config: setattr(config, "autodoc_mock_imports", STAND_ASIDE))
