# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The film of the hand at work: a second camera beside the first, and the GIF of what it saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from molmo_ros.sim.scene import Camera

FILM_SIZE = (320, 240)
"""Width and height [px]."""
ASIDE, ELEVATION, DISTANCE = math.radians(40), math.radians(24), 0.72
"""Where it stands about what it looks at: turned from the first camera and above the table [rad], and how far [m]."""
LOOKS_AT = (0.0, 0.0, 0.13)
FRAME_TIME, LAST_TIME = 80, 900
"""How long a picture is shown, and the last of a pick [ms]."""
LARGEST_GIF = 3_000_000
"""Of a file that stands in a README [bytes]."""


def filming_camera(first: Camera) -> Camera:
    """Stands beside the camera that the node sees through, lower and farther away."""
    azimuth = math.atan2(first.position[1], first.position[0]) + ASIDE
    level = math.cos(ELEVATION)
    back = np.array([level * math.cos(azimuth), level * math.sin(azimuth), math.sin(ELEVATION)])
    right = np.cross(-back, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(-back, right), -back], axis=1)
    return Camera(LOOKS_AT + DISTANCE * back, axes, math.radians(45))


def captioned(picture: np.ndarray, text: str) -> np.ndarray:
    """A copy of a picture, uint8 [h, w, 3], with a line of text at its lower edge."""
    drawn = np.ascontiguousarray(picture).copy()
    drawn[-22:] = drawn[-22:] // 3
    cv2.putText(
        drawn, text, (8, len(drawn) - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (255, 255, 255), 1, cv2.LINE_AA
    )
    return drawn


def write_gif(path: Path, picks: Sequence[Sequence[np.ndarray]]) -> None:
    """Writes picks one after the other as an endless GIF of at most `LARGEST_GIF`: every second picture, or fewer.

    Pictures in which nothing has moved since the one before are left out.

    Args:
        path: Of the file.
        picks: Of each its pictures, uint8 RGB, all of one size.

    Raises:
        OSError: It cannot be written.
    """
    moving = [[*_moving(frames[:-1]), frames[-1]] for frames in picks if len(frames)]
    for stride in range(1, max(map(len, moving), default=1) + 1):
        chosen = [[*frames[:-1:stride], frames[-1]] for frames in moving]
        animation = cv2.Animation()
        animation.frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frames in chosen for frame in frames]
        animation.durations = [
            LAST_TIME if number == len(frames) - 1 else FRAME_TIME * stride
            for frames in chosen
            for number in range(len(frames))
        ]
        if not cv2.imwriteanimation(str(path), animation):
            raise OSError(f"{path} cannot be written")
        if path.stat().st_size <= LARGEST_GIF:
            return


def _moving(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Those in which something has moved since the one before."""
    return [
        frame
        for number, frame in enumerate(frames)
        if number == 0 or not np.array_equal(frame, frames[number - 1])
    ]
