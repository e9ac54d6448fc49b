# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which point of a new answer is which object that is being followed already."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from molmo_ros.tracking.track import Track

GATE = 0.05
"""Points of two answers further apart than this share of the image's width are two objects."""

_ids = itertools.count(1)


def new_id() -> int:
    """An id that no track of this process has had, from 1."""
    return next(_ids)


def same_objects(new: Sequence[Track], old: Sequence[Track], width: int) -> dict[int, int]:
    """Which new track is which old one: new id to old id.

    Both must be of the same frame. Only equal labels match, no further apart than `GATE`, each at most once, the
    nearest pairs first; lost tracks never match.

    Args:
        new, old: Tracks of the new answer, and those followed until now.
        width: Of the original image [px].
    """
    new = [track for track in new if track.lost is None]
    old = [track for track in old if track.lost is None]
    if not new or not old:
        return {}
    here = np.array([(track.x, track.y) for track in new])
    there = np.array([(track.x, track.y) for track in old])
    distance = np.linalg.norm(here[:, None] - there[None], axis=2)
    same_label = np.array([track.label for track in new])[:, None] == np.array([track.label for track in old])
    distance[~same_label | (distance > GATE * width)] = np.inf
    pairs: dict[int, int] = {}
    for flat in np.argsort(distance, axis=None, kind="stable")[: int(np.isfinite(distance).sum())]:
        row, column = divmod(int(flat), len(old))
        if new[row].id not in pairs and np.isfinite(distance[row, column]):
            pairs[new[row].id] = old[column].id
            distance[:, column] = np.inf
    return pairs
