# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes what is made of the worlds in gazebo/harmonic/: `python -m molmo_ros.gazebo gazebo`."""

from __future__ import annotations

import sys
from pathlib import Path

from molmo_ros.gazebo.bridge_file import bridge_yaml
from molmo_ros.gazebo.release import FORTRESS, HARMONIC, fortress_world
from molmo_ros.gazebo.world_file import World

NOTICE = "# Copyright 2026 molmo_ros contributors\n# SPDX-License-Identifier: Apache-2.0\n\n"
"""For the package's own files; a bridge that is made of somebody's world is theirs."""


def generated_files(folder: Path) -> dict[Path, str]:
    """Of each world of Harmonic its bridge, and both for Fortress: their paths, and what is in them."""
    files = {}
    for path in sorted((folder / HARMONIC.name).glob("*.sdf")):
        world = World.read(path)
        for release in (HARMONIC, FORTRESS):
            files[folder / release.name / f"{path.stem}_bridge.yaml"] = NOTICE + bridge_yaml(world, release)
        files[folder / FORTRESS.name / path.name] = fortress_world(path.read_text(encoding="utf-8"))
    return files


if __name__ == "__main__":
    for made, text in generated_files(Path(sys.argv[1])).items():
        made.parent.mkdir(exist_ok=True)
        made.write_text(text, encoding="utf-8")
        print(made)
