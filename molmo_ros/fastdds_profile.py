"""FastDDS' profile for images between processes of one machine, by the environment of those processes.

FastDDS' own shared memory holds 512 kB: of larger images, best-effort readers lose most (`config/fastdds_shm.xml`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Which name the profile's file by: FastDDS 2 (until Jazzy) knows the first, FastDDS 3 (from Kilted on) the second."""


def profile_environment(share: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that give processes the profile of this package; whoever has set one of their own keeps it.

    Args:
        share: The package's share folder, or the checkout.
        environment: What is set already.
    """
    given = next((environment[name] for name in VARIABLES if environment.get(name)), None)
    return dict.fromkeys(VARIABLES, given or str(share / "config" / "fastdds_shm.xml"))
