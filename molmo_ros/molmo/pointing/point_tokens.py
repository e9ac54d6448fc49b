# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The ids that MolmoPoint's points are written with: they follow the vocabulary and depend on the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class PointTokens:
    """The ids of one prompt. A point is a patch, a subpatch and a location, one token each.

    A patch is an image token, counted through all images of the prompt, global views included; a subpatch is
    one of the vision tower's patches that were pooled into it; a location is a place in that.
    Source: hub modeling_molmo_point.py.

    Attributes:
        start: The first id: how many ids the output head scores.
        patches: Image tokens of the prompt.
        subpatches: Slots of the pooling table, 4 for images and 9 for video frames.
        locations: Places in a subpatch.
    """

    start: int
    patches: int
    subpatches: int
    locations: int

    @cached_property
    def patch(self) -> range:
        """Ids of the patches."""
        return range(self.start, self.start + self.patches)

    @property
    def no_more_points(self) -> int:
        """The id that ends the points, chosen among the patches."""
        return self.patch.stop

    @cached_property
    def subpatch(self) -> range:
        """Ids of the subpatches."""
        return range(self.no_more_points + 1, self.no_more_points + 1 + self.subpatches)

    @cached_property
    def location(self) -> range:
        """Ids of the locations."""
        return range(self.subpatch.stop, self.subpatch.stop + self.locations)

    @cached_property
    def all(self) -> range:
        """All of these ids."""
        return range(self.start, self.location.stop)

    @cached_property
    def groups(self) -> tuple[range, range, range]:
        """Ids that are chosen among each other: patches with "no more points", subpatches, locations."""
        return range(self.start, self.no_more_points + 1), self.subpatch, self.location

    def spelling(self, token: int) -> str:
        """How the released tokenizers write one of these ids."""
        return f"<POINT_{token - self.start}>"
