# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the parameters `optical_frame` and `depth_frame` say: one frame, or `NAME=FRAME ...` for several cameras."""

from __future__ import annotations

from collections.abc import Sequence


def optical_frame_of(written: str, camera: str) -> str:
    """The frame of a camera; empty where none is named for it."""
    parts = written.replace(",", " ").split()
    if parts and "=" not in parts[0]:
        return parts[0]
    return dict(part.split("=", 1) for part in parts).get(camera, "")


def optical_frame_error(written: str, cameras: Sequence[str], parameter: str = "optical_frame") -> str:
    """Why a value is refused, with what is allowed; empty where it is accepted."""
    parts = written.replace(",", " ").split()
    if len(parts) == 1 and "=" not in parts[0] and len(cameras) <= 1:
        return ""
    for part in parts:
        name, _, frame = part.partition("=")
        if not frame or (cameras and name not in cameras):
            return (
                f"{parameter} is refused: {part[:80]!r} is not NAME=FRAME of one of the cameras "
                f"({', '.join(cameras)}); a single camera takes the name of a frame alone"
            )
    return ""
