# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An answer while it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from molmo_ros.node.records.located_point import LocatedPoint

if TYPE_CHECKING:
    from std_msgs.msg import Header


@dataclass(frozen=True)
class Progress:
    """An answer while it is made.

    Attributes:
        header: Header of the image.
        camera: Name of the camera; empty where the image came with the request.
        text: What the model has said so far.
        points: The points that are complete, with their places.
        frame_id: Frame of the places; empty where there are none.
    """

    header: Header
    camera: str
    text: str
    points: tuple[LocatedPoint, ...]
    frame_id: str
