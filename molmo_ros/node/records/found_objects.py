# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The objects at the points of one array: what the messages about them are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from molmo_ros.manipulation.grasp import ObjectGrasps
from molmo_ros.node.records.view import View
from molmo_ros.regions.region import SceneRegions

if TYPE_CHECKING:
    from molmo_msgs.msg import ObjectPointArray


@dataclass(frozen=True)
class FoundObjects:
    """The objects at the points of one array.

    Attributes:
        array: The points, with what is known of the object at each, or why nothing is.
        view: The picture that they are about.
        scene: The regions, one for each point; None where they were not looked for, or that failed.
        grasps: How to take hold of each; None where that was not asked for.
        timing_ms: How long each stage took [ms].
        error: Why looking for them failed; mostly empty.
    """

    array: ObjectPointArray
    view: View
    scene: SceneRegions | None = None
    grasps: tuple[ObjectGrasps, ...] | None = None
    timing_ms: dict[str, float] = field(default_factory=dict)
    error: str = ""
