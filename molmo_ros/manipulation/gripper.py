# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The measures of a parallel-jaw gripper and of a suction cup."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

LARGEST = 1.0
"""No measure is larger [m]: 85 is one in millimetres."""


class GripperError(ValueError):
    """A measure that no gripper has; the message names it, and what would be right."""


@dataclass(frozen=True)
class Gripper:
    """Measures [m], each above 0.

    Attributes:
        opening: Largest distance between the fingers' pads.
        finger_thickness: Of one finger, along the closing axis.
        finger_width: Of one finger, across the closing axis.
        finger_depth: From the fingertips back to the hand: so deep may a thing be between them.
        hand_width: Of the hand's body behind the fingers, along the closing axis.
        hand_thickness: Of the hand's body, across the closing axis.

    Raises:
        GripperError: A measure is not above 0, not finite, or so large that it is not in metres.
    """

    opening: float = 0.085
    finger_thickness: float = 0.012
    finger_width: float = 0.022
    finger_depth: float = 0.045
    hand_width: float = 0.13
    hand_thickness: float = 0.06

    def __post_init__(self) -> None:
        for measure in fields(self):
            value = getattr(self, measure.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise GripperError(f"{measure.name} is {value!r}, must be a number of metres")
            if not (math.isfinite(value) and 0 < value <= LARGEST):
                raise GripperError(
                    f"{measure.name} is {value:g} m, must be above 0 and at most {LARGEST:g} m"
                )
