# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the installed Fast DDS calls what others meet: with version 3, that of Kilted, the names are others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FastDDS:
    """One generation of it.

    Attributes:
        profile_variable: Of the environment, for the file of its profile, such as `config/fastdds_shm.xml`.
        shared_memory: Pattern of its files in /dev/shm. What is called otherwise is not seen: the two generations talk
            over the network stack.
        ports: The same of the files of ports alone, which end in the port's number.
    """

    profile_variable: str
    shared_memory: str
    ports: str


VERSION_2 = FastDDS("FASTRTPS_DEFAULT_PROFILES_FILE", "fastrtps_*", "fastrtps_port*[0-9]")
VERSION_3 = FastDDS("FASTDDS_DEFAULT_PROFILES_FILE", "fastdds_*", "fastdds_port*[0-9]")
GENERATIONS = (VERSION_2, VERSION_3)
RENAMED = 9
"""The major version of rmw_fastrtps that has version 3. It still reads the old variable, with a warning."""


def installed_fast_dds(prefixes: Iterable[str | Path] | None = None) -> FastDDS:
    """That of the ROS in these prefixes.

    Args:
        prefixes: Where packages are installed, first come first served; None: those of `AMENT_PREFIX_PATH`.

    Returns:
        Without Fast DDS the newer one.
    """
    if prefixes is None:
        prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    for prefix in prefixes:
        manifest = Path(prefix, "share", "rmw_fastrtps_cpp", "package.xml")
        if prefix and manifest.is_file():
            version = re.search(r"<version[^>]*>\s*(\d+)\.", manifest.read_text(errors="replace"))
            return VERSION_2 if version and int(version[1]) < RENAMED else VERSION_3
    return VERSION_3


def has_profile(environment: Mapping[str, str]) -> bool:
    """Whether someone has chosen a profile, by either name."""
    return any(one.profile_variable in environment for one in GENERATIONS)


def profile_environment(share: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What gives the processes of a launch file the profile for images: FastDDS' own shared memory loses most of them.

    Args:
        share: The package's share folder.
        environment: What is set already; whoever has chosen a profile keeps it.
    """
    if has_profile(environment):
        return {}
    return {installed_fast_dds().profile_variable: str(share / "config" / "fastdds_shm.xml")}
