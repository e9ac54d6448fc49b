# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The molmo_msgs that this build sees: there, and of this repository's version."""

import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def require_messages(version: str) -> None:
    """Ends the build where the node would only find out at its start. colcon has sourced what it built before."""
    prefixes = [
        Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix
    ]
    manifests = [path for prefix in prefixes if (path := prefix / "share/molmo_msgs/package.xml").is_file()]
    if not manifests:
        sys.exit(
            "molmo_ros: its messages, molmo_msgs, are not built. Build both: colcon build --packages-up-to molmo_ros"
        )
    found = ET.parse(manifests[0]).findtext("version")
    if found != version:
        sys.exit(
            f"molmo_ros {version} needs molmo_msgs {version}, and the one that comes first here is {found}: "
            f"{manifests[0].resolve()}. Remove that one or check out the same version of both; then delete build/ and "
            "install/ of molmo_msgs and molmo_ros and build again"
        )
