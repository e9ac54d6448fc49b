"""The variable by which Fast DDS finds its profile, `config/fastdds_shm.xml`: since Kilted it has another name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

BEFORE, SINCE = "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"
RENAMED = 9
"""The major version of rmw_fastrtps (Kilted's) that warns of the old name. Jazzy's, 8, does not know the new one."""


def profile_variable(prefixes: Iterable[str | Path] | None = None) -> str:
    """The name that the ROS of these prefixes reads.

    Args:
        prefixes: Where packages are installed, first come first served; None: those of `AMENT_PREFIX_PATH`.

    Returns:
        `BEFORE` or `SINCE`; without Fast DDS the newer one.
    """
    if prefixes is None:
        prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    for prefix in prefixes:
        manifest = Path(prefix, "share", "rmw_fastrtps_cpp", "package.xml")
        if prefix and manifest.is_file():
            version = re.search(r"<version[^>]*>\s*(\d+)\.", manifest.read_text(errors="replace"))
            return BEFORE if version and int(version[1]) < RENAMED else SINCE
    return SINCE


def is_chosen(environment: Mapping[str, str]) -> bool:
    """Whether someone has chosen a profile, by either name: Kilted still reads the old one."""
    return BEFORE in environment or SINCE in environment
