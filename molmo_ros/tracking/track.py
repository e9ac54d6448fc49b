# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What goes into a tracker and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class LossReason(str, Enum):
    """Why a point is no longer followed."""

    OUT_OF_IMAGE = "it left the image"
    NO_TEXTURE = "nothing around it can be followed"
    APPEARANCE = "it no longer looks as it did"
    COVERED = "something else moved in front of it"
    IMAGE_SIZE = "the image's size changed"


@dataclass(frozen=True)
class TrackedPoint:
    """A point to follow.

    Attributes:
        x, y: Pixels of the original image, 0 at its left/top edge.
        label: What it is, such as "red cube".
    """

    x: float
    y: float
    label: str = ""


@dataclass(frozen=True)
class Track:
    """A followed point in the newest frame.

    Attributes:
        id: Unique in this process, from 1.
        x, y: Pixels of the original image, 0 at its left/top edge; of a lost one, where it was last seen.
        label: What it is.
        lost: Why it is no longer followed; None while it is.
    """

    id: int
    x: float
    y: float
    label: str
    lost: LossReason | None = None
