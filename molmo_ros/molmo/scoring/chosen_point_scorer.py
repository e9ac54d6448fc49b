# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The evidence for points that are chosen among the patches of the images.

Near means any patch that reaches into the square of `TOLERANCE` around the point; which slot and which place of its
patch were chosen decides about less than that. Whether there is a next point is decided twice: among the words,
and by the class "no more points" among the patches.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from molmo_ros.molmo.pointing.patch_points import PatchPlaces
from molmo_ros.molmo.running.choosing import Choice
from molmo_ros.molmo.scoring.confidence import PointEvidence
from molmo_ros.molmo.scoring.written_number import TOLERANCE


class ChosenPointScorer:
    """See `PointScorer`."""

    def __init__(self, places: PatchPlaces, tolerance: float = TOLERANCE) -> None:
        self._places, self._tolerance = places, tolerance
        self._parts: list[Choice] = []  # of the point that is being written
        self._last: tuple[int, PointEvidence] | None = None  # with the text's length when it was complete
        self._length = 0
        self._first = True
        self.empty = 0.0

    def feed(self, choice: Choice, piece: str) -> None:
        """See `PointScorer`."""
        self._length += len(piece)
        tokens = self._places.tokens
        if self._first and (choice.token in tokens.patch or choice.token == tokens.no_more_points):
            self.empty = float(_probabilities(choice)[-1])
        if choice.token in tokens.patch:
            self._parts = [choice]
        elif choice.token in tokens.subpatch or choice.token in tokens.location:
            self._parts.append(choice)
        if choice.token in tokens.location and len(self._parts) == 3:
            self._last = self._length, self._evidence(*self._parts)
            self._first = False

    def point(self, end: int) -> PointEvidence | None:
        """See `PointScorer`."""
        return self._last[1] if self._last is not None and self._last[0] <= end else None

    def _evidence(self, patch: Choice, subpatch: Choice, location: Choice) -> PointEvidence:
        words = torch.softmax(patch.logits.float(), dim=-1)
        chosen = [_probabilities(one)[one.candidate].view(1) for one in (patch, subpatch, location)]
        # In one read: a GPU stands still for each.
        values = torch.cat([*chosen, words[patch.token].view(1), _probabilities(patch)]).cpu().numpy()
        tokens, word, among = tuple(map(float, values[:3])), float(values[3]), values[4:]
        there = 1 - float(among[-1])  # not "no more points"
        continued = None if self._first else word * there
        near = self._near(among[:-1], patch.candidate, subpatch.candidate, location.candidate)
        return PointEvidence(continued, (near / there if there > 0 else 0.0,), tokens)

    def _near(self, patches: np.ndarray, patch: int, subpatch: int, location: int) -> float:
        """Mass of the patches that reach near the point."""
        own = float(patches[patch])
        place = self._places.locate(patch, subpatch, location)
        if place is None:
            return own
        areas = self._places.areas
        image, x, y = place
        apart = np.abs(areas[:, 1:3] - (x, y)) - areas[:, 3:] / 2
        close = (areas[:, 0] == image) & (apart <= self._tolerance).all(axis=1)
        close[patch] = True
        return float(patches[close].sum())


def _probabilities(choice: Choice) -> Tensor:
    assert choice.candidates is not None, "a part of a point has candidates"
    return torch.softmax(choice.candidates.float(), dim=-1)
