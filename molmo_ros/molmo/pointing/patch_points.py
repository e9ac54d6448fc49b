# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From MolmoPoint's point tokens to pixels of the original image.

A point in an answer is three tokens and the object's number, here as the tokenizer spells them:

    <points coords="<POINT_233><POINT_521><POINT_528>1<POINT_518>">thing</point>

the patch, the subpatch, the location, "1", and after the last point "no more points". The closing tag really
is `</point>`. Source: hub modeling_molmo_point.py.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from molmo_ros.molmo.answer import Asked, Point
from molmo_ros.molmo.pointing.point_tokens import PointTokens
from molmo_ros.molmo.pointing.points import ParsedPoints, PointStream
from molmo_ros.molmo.prompts.tokenizer import TextStream, Tokenizer

_TRIPLE = re.compile(r"<POINT_([0-9]{1,9})> ?<POINT_([0-9]{1,9})> ?<POINT_([0-9]{1,9})> ?([0-9]{1,9})$")
_LONGEST_TRIPLE = 3 * len("<POINT_123456789> ") + 9
_DIGITS = frozenset("0123456789")
_MOST_DIGITS = 9  # of an object's number; further ones are ignored
_PLACE = 0.33
"""Side of a place in a patch; 0.33 and not 1/3, as in the reference."""


class PatchPlaces:
    """Where on the images the tokens of a point lie."""

    def __init__(
        self,
        tokens: PointTokens,
        pooling: np.ndarray,
        mosaics: Sequence[np.ndarray],
        sizes: Sequence[tuple[int, int]],
        places: tuple[int, int] = (3, 3),
    ) -> None:
        """Takes the images of one prompt.

        Args:
            tokens: The ids of the points.
            pooling: int64 [image tokens, slots], patches numbered through all images; negative: empty slot.
            mosaics: For each image int64 [rows, columns], the patches of its tiles from left to right and top
                to bottom, numbered through all images. Patches of global views are in none.
            sizes: (height, width) of each image [px].
            places: Places in a patch (columns, rows), numbered column by column.
        """
        self.tokens, self.sizes = tokens, list(sizes)
        self._pooling, self._places = pooling, places
        self._grids = [mosaic.shape for mosaic in mosaics]
        highest = max([int(pooling.max(initial=-1)), *(int(mosaic.max(initial=-1)) for mosaic in mosaics)])
        # (image, row, column) of each patch; -1 where it has none.
        self._where = np.full((highest + 1, 3), -1)
        for image, mosaic in enumerate(mosaics):
            rows, columns = np.indices(mosaic.shape)
            self._where[mosaic] = np.stack([np.full_like(rows, image), rows, columns], axis=-1)

    def locate(self, patch: int, subpatch: int, location: int) -> tuple[int, float, float] | None:
        """The image, and x and y in it as fractions of its width and height.

        Args:
            patch: The image token, from 0.
            subpatch: Its slot, from 0.
            location: The place in that patch, from 0.

        Returns:
            None where there is no such patch, slot or place, the slot is empty, or the patch belongs to a
            global view.
        """
        columns_within, rows_within = self._places
        count, slots = self._pooling.shape
        if not (
            0 <= patch < count and 0 <= subpatch < slots and 0 <= location < columns_within * rows_within
        ):
            return None
        member = int(self._pooling[patch, subpatch])
        image, row, column = (int(value) for value in self._where[member]) if member >= 0 else (-1, -1, -1)
        if image < 0:
            return None
        rows, columns = self._grids[image]
        x = (column + (location // rows_within + 0.5) * _PLACE) / columns
        y = (row + (location % rows_within + 0.5) * _PLACE) / rows
        return image, x, y

    def tokens_at(self, image: int, x: float, y: float) -> tuple[int, int, int] | None:
        """Patch, subpatch and location, each from 0, of what lies nearest to a place; the reverse of `locate`.

        Args:
            image: From 0.
            x, y: As fractions of its width and height.

        Returns:
            None where no token's patch is there.
        """
        rows, columns = self._grids[image]
        columns_within, rows_within = self._places
        column, row = (min(max(int(v * n), 0), n - 1) for v, n in ((x, columns), (y, rows)))
        member = self._tokens_of.get((image, row, column))
        if member is None:
            return None
        within = [
            min(max(int((v * n - at) / _PLACE), 0), most - 1)
            for v, n, at, most in ((x, columns, column, columns_within), (y, rows, row, rows_within))
        ]
        return *member, within[0] * rows_within + within[1]

    @cached_property
    def _tokens_of(self) -> dict[tuple[int, int, int], tuple[int, int]]:
        """Patch and subpatch of each of the vision tower's patches, by (image, row, column)."""
        found: dict[tuple[int, int, int], tuple[int, int]] = {}
        for patch, subpatch in np.argwhere(self._pooling >= 0).tolist():
            image, row, column = self._where[self._pooling[patch, subpatch]].tolist()
            if image >= 0:
                found.setdefault((image, row, column), (patch, subpatch))
        return found

    @cached_property
    def areas(self) -> np.ndarray:
        """Where each image token looks, as fractions of its image's width and height.

        Returns:
            float64 [image tokens, 5]: image, middle x and y, width and height; NaN for those of global views.
        """
        grids = np.array([*self._grids, (1, 1)], dtype=np.float64)[:, ::-1]  # the last is for no image
        where = np.where(self._pooling[..., None] < 0, -1, self._where[self._pooling]).astype(np.float64)
        where[where[..., 0] < 0] = np.nan
        image = np.fmax.reduce(where[..., 0], axis=1)
        size = grids[np.where(np.isnan(image), -1, image).astype(int)]
        low, high = (reduce(where[..., :0:-1], axis=1) for reduce in (np.fmin.reduce, np.fmax.reduce))
        return np.column_stack([image, (low + high + 1) / 2 / size, (high + 1 - low) / size])


class PatchPointStream(PointStream):
    """Reads points written as tokens from text that arrives in pieces; labels and totals as `PointStream`.

    A point is complete when its object's number is, that is with the character after it. Points with ids that
    name nothing on an image are dropped. "No more points" before any point means that nothing is there.
    """

    def __init__(
        self, places: PatchPlaces, asked: Asked = Asked.POINTS, tokens_at: Container[int] | None = None
    ) -> None:
        """Starts a text.

        Args:
            places: Where its points lie.
            asked: What it answers.
            tokens_at: Where in it a point token was written, see `PointTextStream`; what is spelled like one anywhere
                else is text. None where all of them are tokens.
        """
        super().__init__(places.sizes, asked=asked)
        self._patch_places, self._tokens_at = places, tokens_at
        self._length = 0
        self._tail = ""  # may still become a triple
        self._triples = 0
        self._none = False
        self._no_more_points = places.tokens.spelling(places.tokens.no_more_points)
        self._loose = None  # numbers in brackets are no points for a model that has tokens for them

    def feed(self, piece: str) -> list[Point]:
        """See `PointStream.feed`."""
        before = len(self._points)
        for char in piece:
            if char not in _DIGITS or set(self._tail[-_MOST_DIGITS:]) <= _DIGITS:
                self._end_triple()
            self._tail = (self._tail + char)[-_LONGEST_TRIPLE:]
            self._length += 1
            if char == ">" and self._tail.endswith(self._no_more_points):
                self._none |= not self._triples and self._is_token(-len(self._no_more_points))
            super().feed(char)
        return self._points[before:]

    def finish(self, label: str = "", whole: bool = True) -> ParsedPoints:
        """See `PointStream.finish`."""
        self._end_triple()
        parsed = super().finish(label, whole)
        if not self._none or parsed.points:
            return parsed
        return replace(parsed, not_found=True, count=0 if parsed.count is None else parsed.count)

    def _end_triple(self) -> None:
        """Called where a run of digits may have ended."""
        if self._tail[-1:] not in _DIGITS or not (found := _TRIPLE.search(self._tail)):
            return
        starts = [found.start(part) - len("<POINT_") - len(self._tail) for part in (1, 2, 3)]
        self._tail = ""
        if not all(map(self._is_token, starts)):
            return
        self._triples += 1
        tokens = self._patch_places.tokens
        patch, subpatch, location, number = (int(value) for value in found.groups())
        place = self._patch_places.locate(
            patch,
            subpatch + tokens.start - tokens.subpatch.start,
            location + tokens.start - tokens.location.start,
        )
        if place is not None:
            image, x, y = place
            self._add(x, y, index=number, image=image)

    def _is_token(self, start: int) -> bool:
        """Whether what is spelled like a point token, so many characters from the end, is one."""
        return self._tokens_at is None or self._length + start in self._tokens_at


class PointTextStream(TextStream):
    """Decodes tokens as `TextStream`, and spells out point tokens, whether or not the tokenizer has them.

    Attributes:
        tokens_at: Where in the text each point token begins; words may be spelled like one.
    """

    def __init__(self, tokenizer: Tokenizer, tokens: PointTokens) -> None:
        super().__init__(tokenizer)
        self._point_tokens = tokens
        self.tokens_at: set[int] = set()
        self._length = 0

    def feed(self, token_id: int) -> str:
        """See `TextStream.feed`."""
        if token_id not in self._point_tokens.all:
            piece = super().feed(token_id)
            self._length += len(piece)
            return piece
        spelling = self._point_tokens.spelling(token_id)
        piece = self._utf8.decode(spelling.encode())
        self._length += len(piece)
        self.tokens_at.add(self._length - len(spelling))
        return piece
