# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The points in an answer's text, in pixels of the original image.

Formats read (sources: allenai/molmo and allenai/molmo2, their point decoders and data formatters):

    <point x="63.5" y="44.5" alt="cup">cup</point>              percent of the image, one point
    <points x1="10.0" y1="20.0" x2="30.5" y2="40.5" …>…         percent, several
    <points coords="1 1 234 567 2 345 678">cups</points>        per mille; image number, then `id x y` triples
    <tracks coords="0.5 1 100 200;1.0 1 110 210">cup</tracks>   the same, one group per moment [s] of a video
    <points 0.5 1 10.0 20.0 2 30.0 40.0/>                       older: percent; a moment, then `id x y` triples
    <points cups\t-\t1 100 200 2 300 400/>                      older: percent or per mille after label and alt
    Click(12.3, 45.6)   (12.3, 45.6)   p=123,456                see `loose_points.py`

One character is read once and never again, so the cost is linear in the text whatever it holds, and feeding
the text in pieces gives what feeding it whole gives. Outside of tags there are points only where some were asked for,
and only while the text has shown no tag; something that is spelled like a tag and holds no coordinates is text.

Where this differs on purpose from the published decoders:

    text                               they return             here
    Click(12.3, 45.6)                  the point twice         once
    <points coords="1 1 234 567        nothing (unclosed)      the complete triples, `truncated` set
    <point x=… y=…> to Molmo2's        nothing (falls back     the point: one reader for both formats
                                       elsewhere)
    coordinates in a label             points                  label text
    (0.4, 0.7), and nothing above 1    a point at the corner   none: it may be meant as fractions
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from molmo_ros.molmo.answer import Asked, Point
from molmo_ros.molmo.pointing.claimed_count import TAG, claimed_count, trained_count
from molmo_ros.molmo.pointing.loose_points import LoosePoints, Place
from molmo_ros.molmo.pointing.placed_points import NUMBER, WHOLE_NUMBER, PlacedPoints
from molmo_ros.molmo.prompts.prompt_text import says_nothing_there

_OPENING = ("<points", "<point", "<tracks")
_CLOSING = ("</points>", "</point>", "</tracks>")
_AFTER_NAME = frozenset(" \t\r\n/>")
_GROUP_SEPARATORS = frozenset(";:,\t")

# Every pattern below is matched against a string of bounded length or is free of nested repetition.
_XY_NAME = re.compile(r"([xy])([0-9]{0,9})")
_COORDINATE = re.compile(r"[0-9]{3,4}")
_PERCENT = re.compile(r"[0-9]{1,3}\.[0-9]")
# The last word of what may still become a tag with coordinates when the text ends in it.
_UNFINISHED = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?/?|[xy][0-9]{0,9}=?|alt?=?|al?|coords=?|coo?r?d?|co?")
_LONGEST_NUMBER = 32


@dataclass(frozen=True)
class ParsedPoints:
    """What a text says about points.

    Attributes:
        points: In the text's order, pixels of the original image; points outside the image are dropped.
        truncated: True where the text ends inside a tag or before its closing tag.
        count: The total that the text claims; 0 for "There are none."; None where it claims nothing.
        not_found: True where the text says that nothing is there. Points win: with any point it is False.
        doubt: Why numbers that look like points were not taken for some; "" with any point.
    """

    points: tuple[Point, ...] = ()
    truncated: bool = False
    count: int | None = None
    not_found: bool = False
    doubt: str = ""


def parse_points(
    text: str,
    image_sizes: Sequence[tuple[int, int]],
    times: Sequence[float] | None = None,
    asked: Asked = Asked.POINTS,
    label: str = "",
) -> ParsedPoints:
    """Reads the points of a whole answer.

    Args:
        text: The model's answer.
        image_sizes: (height, width) [px] of every image of the prompt, or frame of the video, in order. With one
            size every group of coordinates is about it, whatever image number or time the group names; with
            several, groups that name none of them are dropped.
        times: Of a video, the moment of each frame [s], rising: groups then name times, see `frame_at`.
        asked: What the text answers: outside of tags there are points only where some were asked for.
        label: What was to be pointed at or counted; tells its number from others, see `claimed_count`.

    Raises:
        ValueError: `image_sizes` is empty.
    """
    stream = PointStream(image_sizes, times, asked)
    stream.feed(text)
    return stream.finish(label)


class PointStream:
    """Reads points from text that arrives in pieces.

    `feed` returns the points that the new piece completed; their label is empty, because the label is
    written after the coordinates (an `alt` that came first is known already). `finish` returns them all again
    with their labels, equal to what `parse_points` gives for the whole text.
    """

    def __init__(
        self,
        image_sizes: Sequence[tuple[int, int]],
        times: Sequence[float] | None = None,
        asked: Asked = Asked.POINTS,
    ) -> None:
        self._asked = asked
        self._placed = PlacedPoints(image_sizes, times)
        self._points = self._placed.points
        self._read = self._read_text
        self._markup = ""  # characters since a "<" that may still become a tag
        self._plain: list[str] = []  # text outside tags; `TAG` stands for each of them
        # Of a count, points in plain text are handed out once it is known how many there are to be.
        self._loose: LoosePoints | None = None
        if asked in (Asked.POINTS, Asked.COUNT):
            self._loose = LoosePoints(at_once=asked is Asked.POINTS)
        self._is_tag, self._spelled = False, [""]
        self._begin_block("")

    def feed(self, piece: str) -> list[Point]:
        """Reads on; returns the points completed by this piece, in order."""
        before = len(self._points)
        for char in piece:
            self._lex(char)
        return self._points[before:]

    def finish(self, label: str = "", whole: bool = True) -> ParsedPoints:
        """Ends the text. Call once; the stream takes no more pieces after it.

        Args:
            label: See `parse_points`.
            whole: Whether the text ends where its writer ended it; else its last word may be half of one, such as
                the 12 of 120.
        """
        markup = self._flush_markup()
        for char in markup:
            self._read(char)
        if self._read == self._read_tag:
            self._end_bare_token(at_end=True)
            if not self._is_tag and not self._may_become_tag():
                self._back_to_text()
        truncated = self._read != self._read_text or bool(markup)
        if self._read == self._read_coords:
            self._end_coords_token(at_end=True)
        if self._read == self._read_label:
            self._plain.extend(self._label)  # never closed: it may be the rest of the sentence
            self._label.clear()
        if self._read != self._read_text:
            self._end_block()
        plain = "".join(self._plain)
        end = len(plain)
        while not whole and end and not plain[end - 1].isspace() and plain[end - 1] != TAG:
            end -= 1
        not_found, count = self._said(plain[:end], label)
        if self._loose is not None:
            late = self._loose.finish()
            if self._asked is not Asked.COUNT or count in (None, len(late)):
                self._add_all(late)
        not_found = not_found and not self._points
        count = count or (0 if not_found else None)
        doubt = self._loose.doubt if self._loose is not None and not self._points and not not_found else ""
        return ParsedPoints(tuple(self._points), truncated, count, not_found, doubt)

    def _said(self, plain: str, label: str) -> tuple[bool, int | None]:
        """Whether the words say that nothing is there, and the total that they claim."""
        if self._asked in (Asked.POINTS, Asked.COUNT):
            count = claimed_count(plain, label)
            # One word is an answer to "how many", not to "where".
            none = count == 0 and (self._asked is Asked.COUNT or len(plain.split()) > 2)
            return none or says_nothing_there(plain), count
        return says_nothing_there(plain), trained_count(plain)

    # ------------------------------------------------------------------ tags versus characters

    def _lex(self, char: str) -> None:
        """Splits the text into opening tags, closing tags and characters, in any state."""
        if not self._markup:
            if char == "<":
                self._markup = char
            else:
                self._read(char)
            return
        if char in _AFTER_NAME and self._markup in _OPENING:
            self._open(self._flush_markup())
            self._read(char)
            return
        candidate = self._markup + char
        if candidate in _CLOSING:
            self._markup = ""
            self._close()
        elif any(tag.startswith(candidate) for tag in (*_OPENING, *_CLOSING)):
            self._markup = candidate
        else:
            for old in self._flush_markup():
                self._read(old)
            self._lex(char)

    def _flush_markup(self) -> str:
        markup, self._markup = self._markup, ""
        return markup

    def _open(self, markup: str) -> None:
        self._leave_block()
        self._begin_block(markup)
        self._read = self._read_tag

    def _close(self) -> None:
        if self._read == self._read_coords:
            self._end_coords_token()
        self._leave_block()

    def _leave_block(self) -> None:
        """Back to plain text, from wherever the reader is."""
        if self._read == self._read_tag and not self._is_tag:
            self._back_to_text()
        elif self._read != self._read_text:
            self._end_block()
            self._read = self._read_text

    def _back_to_text(self) -> None:
        """What was spelled like a tag is text."""
        self._read = self._read_text
        for char in self._spelled:
            self._read_text(char)
        self._spelled = []

    def _may_become_tag(self) -> bool:
        """Whether a tag that ends with the text, without coordinates, may have been going to have some."""
        spelled = "".join(self._spelled[1:])
        words = spelled.split()
        return "\t" in spelled or all(map(_UNFINISHED.fullmatch, words))

    def _take_as_tag(self) -> None:
        """Called with the first coordinates in something spelled like a tag."""
        if not self._is_tag:
            self._is_tag, self._spelled = True, []
            self._plain.append(TAG)
            self._loose = None

    # ------------------------------------------------------------------ one block

    def _begin_block(self, markup: str) -> None:
        self._first_of_block = len(self._points)
        self._is_tag = False
        self._spelled = [markup]  # the whole of it, until it has shown coordinates
        self._name = ""
        self._value: list[str] = []
        self._alt = ""
        self._label: list[str] = []
        self._x: float | None = None
        self._suffix = ""
        self._token = ""
        self._frame: str | None = None
        self._triple: list[str] = []

    def _end_block(self) -> None:
        label = "".join(self._label).strip() if self._read == self._read_label else ""
        label = label or self._alt
        self._placed.name(self._first_of_block, label)

    def _read_tag(self, char: str) -> None:
        """Between the attributes: collects a name up to its `="`, or a number."""
        if not self._is_tag:
            self._spelled.append(char)
        if char == ">":
            self._end_bare_token()
            if not self._is_tag:
                self._back_to_text()
            elif self._name.endswith("/"):
                self._end_block()
                self._read = self._read_text
            else:
                self._read = self._read_label
        elif char == '"' and self._name.endswith("="):
            self._name = self._name[:-1]
            self._value = []
            if self._name == "coords" or self._name == "alt" or _XY_NAME.fullmatch(self._name):
                self._take_as_tag()
            self._triple = []
            self._read = self._read_coords if self._name == "coords" else self._read_value
        elif char.isspace():
            self._end_bare_token()
            self._name = ""
        else:
            self._name = (self._name + char)[-_LONGEST_NUMBER:]

    def _end_bare_token(self, at_end: bool = False) -> None:
        """Of the older spellings: numbers without an attribute around them."""
        token = self._name.rstrip("/")
        if not token or (at_end and token == "100"):
            return
        if self._frame is None and not self._triple and NUMBER.fullmatch(token):
            self._frame = token
        self._triple = [*self._triple[-2:], token]
        if len(self._triple) < 3 or not WHOLE_NUMBER.fullmatch(self._triple[0]):
            return
        number, x, y = self._triple
        full = 100 if _PERCENT.fullmatch(x) and _PERCENT.fullmatch(y) else 1000
        if full == 1000 and not (_COORDINATE.fullmatch(x) and _COORDINATE.fullmatch(y)):
            return
        self._triple = []
        self._take_as_tag()
        image = self._placed.image_of(self._frame or "")
        if image is not None:
            self._add(float(x) / full, float(y) / full, index=int(number), image=image)

    def _read_value(self, char: str) -> None:
        if not self._is_tag:
            self._spelled.append(char)
        if char != '"':
            self._value.append(char)
            return
        if self._name == "alt":
            self._alt = "".join(self._value).strip()
        elif xy := _XY_NAME.fullmatch(self._name):
            self._end_percent(xy[1], xy[2], "".join(self._value[:_LONGEST_NUMBER]))
        self._name = ""
        self._read = self._read_tag

    def _end_percent(self, axis: str, suffix: str, value: str) -> None:
        number = NUMBER.fullmatch(value)
        if axis == "x":
            self._x = float(number[1]) if number else None
            self._suffix = suffix
            return
        x, self._x = self._x, None
        if x is not None and number:
            self._add(x / 100, float(number[1]) / 100, index=int(self._suffix) if self._suffix else None)

    def _read_coords(self, char: str) -> None:
        """Inside `coords="…"`: numbers, blanks between them, separators between groups."""
        if char == '"':
            self._end_coords_token()
            self._name = ""
            self._read = self._read_tag
        elif char in _GROUP_SEPARATORS:
            self._end_coords_token()
            self._frame, self._triple = None, []
        elif char.isspace():
            self._end_coords_token()
        elif len(self._token) < _LONGEST_NUMBER:
            self._token += char

    def _end_coords_token(self, at_end: bool = False) -> None:
        token, self._token = self._token, ""
        if not token or (at_end and token == "100"):  # a text cut after "100" may have meant 1000
            return
        if self._frame is None:
            self._frame = token
            return
        self._triple.append(token)
        if len(self._triple) < 3:
            return
        object_id, x, y = self._triple
        if not (WHOLE_NUMBER.fullmatch(object_id) and _COORDINATE.fullmatch(x) and _COORDINATE.fullmatch(y)):
            self._triple = self._triple[1:]  # out of step: slide until three numbers fit again
            return
        self._triple = []
        image = self._placed.image_of(self._frame)
        if image is not None:
            self._add(int(x) / 1000, int(y) / 1000, index=int(object_id), image=image)

    def _read_label(self, char: str) -> None:
        self._label.append(char)

    # ------------------------------------------------------------------ text outside tags

    def _read_text(self, char: str) -> None:
        self._plain.append(char)
        if self._loose is not None:
            self._add_all(self._loose.feed(char))

    def _add_all(self, places: Sequence[Place]) -> None:
        for x, y in places:
            self._add(x, y)

    def _add(self, x: float, y: float, index: int | None = None, image: int = 0) -> None:
        self._placed.add(x, y, self._alt, index, image)
