"""The measures of a parallel-jaw gripper and of a suction cup."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gripper:
    """Measures [m], each above 0.

    Attributes:
        opening: Largest distance between the fingers' pads.
        finger_thickness: Of one finger, along the closing axis.
        finger_width: Of one finger, across the closing axis.
        finger_depth: From the fingertips back to the hand: so deep may a thing be between them.
    """

    opening: float = 0.085
    finger_thickness: float = 0.012
    finger_width: float = 0.022
    finger_depth: float = 0.045
