# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An earlier answer with its points where they are seen now: a guess at what the model says next."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it imports a tokenizer
    from molmo_ros.molmo.pointing.patch_points import PatchPlaces

Move = tuple[tuple[float, float], tuple[float, float]]
"""Where a point of the last answer was, and where it is seen now: (x, y) [px of the original image]."""

_COORDS = re.compile(r'(coords="[0-9.]+)((?: [0-9]{1,9} [0-9]{3,4} [0-9]{3,4})+)')
_TRIPLE = re.compile(r"( [0-9]{1,9} )([0-9]{3,4}) ([0-9]{3,4})")
_PERCENT = re.compile(r'(x[0-9]{0,9}=")([0-9]{1,3}\.[0-9])(" y[0-9]{0,9}=")([0-9]{1,3}\.[0-9])')


def moved_text(text: str, moves: Sequence[Move], size: tuple[int, int]) -> str:
    """The text with the coordinates of points that have moved; all else stays.

    Args:
        text: An answer about one image, in either way of writing points as text (see `points`).
        moves: Of its points; those that are not in the text are ignored.
        size: (height, width) of the image [px].
    """

    def moved(first: str, x: str, between: str, y: str, whole: float, form: str) -> str:
        height, width = size
        found = _moved((float(x) / whole * width, float(y) / whole * height), moves, size, 1 / whole)
        if found is None:
            return f"{first}{x}{between}{y}"
        most = whole - (1 if whole == 1000 else 0)  # as Molmo2's training data has it
        values = [min(max(value * whole, 0.0), most) for value in (found[0] / width, found[1] / height)]
        return f"{first}{values[0]:{form}}{between}{values[1]:{form}}"

    text = _PERCENT.sub(lambda one: moved(one[1], one[2], one[3], one[4], 100, ".1f"), text)
    return _COORDS.sub(
        lambda block: (
            block[1] + _TRIPLE.sub(lambda one: moved(one[1], one[2], " ", one[3], 1000, "03.0f"), block[2])
        ),
        text,
    )


def moved_tokens(tokens: Sequence[int], moves: Sequence[Move], places: PatchPlaces) -> list[int]:
    """The tokens of a MolmoPoint answer about one image with those of points that have moved.

    Args:
        tokens: The answer.
        moves: Of its points.
        places: Where tokens lie on the image that it would be about now.
    """
    ids, size = places.tokens, places.sizes[0]
    starts, (height, width) = [group.start for group in ids.groups], size
    result = list(tokens)
    for at in range(len(result) - 2):
        point = result[at : at + 3]
        if not all(token in group for token, group in zip(point, ids.groups, strict=True)):
            continue
        patch, subpatch, location = (token - start for token, start in zip(point, starts, strict=True))
        before = places.locate(patch, subpatch, location)
        now = before and _moved((before[1] * width, before[2] * height), moves, size, 1e-3)
        found = now and places.tokens_at(0, now[0] / width, now[1] / height)
        if found:
            result[at : at + 3] = [start + one for start, one in zip(starts, found, strict=True)]
    return result


def _moved(
    place: tuple[float, float], moves: Sequence[Move], size: tuple[int, int], step: float
) -> tuple[float, float] | None:
    """Where the point at that place [px] has gone, if one of the moves begins within a step (a share of the image)."""
    height, width = size
    for before, now in moves:
        near = abs(before[0] - place[0]) <= step * width and abs(before[1] - place[1]) <= step * height
        if near and all(map(math.isfinite, now)) and 0 <= now[0] <= width and 0 <= now[1] <= height:
            return now
    return None
