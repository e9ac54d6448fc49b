"""Room for the images that go between the demo's processes: FastDDS keeps them in shared memory."""

from __future__ import annotations

import os
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
NEEDED = 3 * 17_600_000
"""Camera, node and user each take the segment of config/fastdds_shm.xml and its bookkeeping [bytes]."""


def shortage(folder: Path = SHARED_MEMORY, needed: int = NEEDED) -> str | None:
    """Why images may get lost, and what to do about it; None where there is room for them.

    Args:
        folder: Where shared memory is mounted.
        needed: What has to be free there [bytes].
    """
    if not os.access(folder, os.W_OK):
        return f"{folder} cannot be written, so images go over the network stack and may get lost"
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    if free >= needed:
        return None
    return (
        f"{folder} has {free / 1e6:.0f} MB free of the {needed / 1e6:.0f} MB needed, so images may get lost. "
        "Give a container more (docker run --shm-size=128m); killed ROS processes leave fastrtps_* there, "
        "which may be removed while no ROS runs"
    )
