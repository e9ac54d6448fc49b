"""The points in an answer's text, in pixels of the original image.

Formats read (sources: allenai/molmo and allenai/molmo2, their point decoders and data formatters):

    <point x="63.5" y="44.5" alt="cup">cup</point>              percent of the image, one point
    <points x1="10.0" y1="20.0" x2="30.5" y2="40.5" …>…         percent, several
    <points coords="1 1 234 567 2 345 678">cups</points>        per mille; image number, then `id x y` triples
    <tracks coords="0.5 1 100 200;1.0 1 110 210">cup</tracks>   the same, one group per moment [s] of a video
    Click(12.3, 45.6)   (12.3, 45.6)   p=123,456                only while the text has shown no tag

One character is read once and never again, so the cost is linear in the text whatever it holds, and feeding
the text in pieces gives what feeding it whole gives.

Where this differs on purpose from the published decoders:

    text                               they return             here
    Click(12.3, 45.6)                  the point twice         once
    <points coords="1 1 234 567        nothing (unclosed)      the complete triples, `truncated` set
    <point x=… y=…> to Molmo2's        nothing (falls back     the point: one reader for both formats
                                       elsewhere)
    coordinates in a label             points                  label text
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from molmo_ros.molmo.answer import Point
from molmo_ros.molmo.wording import says_nothing_there

_OPENING = ("<points", "<point", "<tracks")
_CLOSING = ("</points>", "</point>", "</tracks>")
_AFTER_NAME = frozenset(" \t\r\n/>")
_GROUP_SEPARATORS = frozenset(";:,\t")
_DIGITS = frozenset("0123456789")

# Every pattern below is matched against a string of bounded length or is free of nested repetition.
_NUMBER = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)")
_XY_NAME = re.compile(r"([xy])([0-9]{0,9})")
_COORDINATE = re.compile(r"[0-9]{3,4}")
_OBJECT_ID = re.compile(r"[0-9]{1,9}")
_BRACKETED = re.compile(r"\(([0-9]{1,3}\.[0-9]{1,4}),? ?([0-9]{1,3}\.[0-9]{1,4})\)")
_ASSIGNED = re.compile(r"(?:\bp|[0-9]) {0,3}= {0,3}([0-9]{3}) {0,3}, {0,3}([0-9]{3})$")
_FALLBACK_WINDOW = 32
_LONGEST_NUMBER = 32
BEYOND = 0.5
"""How far outside of a video a moment may lie [s]: the interval at which the models see most videos."""

_TOTAL = re.compile(r"shows a total of ([0-9]{1,9})", re.IGNORECASE)
_THERE_ARE = re.compile(r"there (?:are|is) ([0-9]{1,9}) <", re.IGNORECASE)


@dataclass(frozen=True)
class ParsedPoints:
    """What a text says about points.

    Attributes:
        points: In the text's order, pixels of the original image; points outside the image are dropped.
        truncated: True where the text ends inside a tag or before its closing tag.
        count: The total that the text claims; 0 for "There are none."; None where it claims nothing.
        not_found: True where the text says that nothing is there. Points win: with any point it is False.
    """

    points: tuple[Point, ...] = ()
    truncated: bool = False
    count: int | None = None
    not_found: bool = False


def parse_points(
    text: str, image_sizes: Sequence[tuple[int, int]], times: Sequence[float] | None = None
) -> ParsedPoints:
    """Reads the points of a whole answer.

    Args:
        text: The model's answer.
        image_sizes: (height, width) [px] of every image of the prompt, or frame of the video, in order. With one
            size every group of coordinates is about it, whatever image number or time the group names; with
            several, groups that name none of them are dropped.
        times: Of a video, the moment of each frame [s], rising: groups then name times, see `frame_at`.

    Raises:
        ValueError: `image_sizes` is empty.
    """
    stream = PointStream(image_sizes, times)
    stream.feed(text)
    return stream.finish()


def frame_at(seconds: float, times: Sequence[float]) -> int | None:
    """The frame that a model means by a moment [s], from 0.

    Models are told times rounded to a tenth, and repeat them: the first frame with that tenth, else the nearest
    (the earlier one where two are). None for a moment more than `BEYOND` before the first or after the last.
    """
    tenth = f"{seconds:.1f}"
    for frame, time in enumerate(times):
        if f"{time:.1f}" == tenth:
            return frame
    if not times[0] - BEYOND <= seconds <= times[-1] + BEYOND:
        return None
    return min(range(len(times)), key=lambda frame: abs(times[frame] - seconds))


class PointStream:
    """Reads points from text that arrives in pieces.

    `feed` returns the points that the new piece completed; their label is empty, because the label is
    written after the coordinates (an `alt` that came first is known already). `finish` returns them all again
    with their labels, equal to what `parse_points` gives for the whole text.
    """

    def __init__(self, image_sizes: Sequence[tuple[int, int]], times: Sequence[float] | None = None) -> None:
        if not image_sizes:
            raise ValueError("image_sizes is empty: points need the size of at least one image")
        if times is not None and len(times) != len(image_sizes):
            raise ValueError(f"{len(times)} times for {len(image_sizes)} frames")
        self._times = times
        self._sizes = [(int(h), int(w)) for h, w in image_sizes]
        self._points: list[Point] = []
        self._read = self._read_text
        self._markup = ""  # characters since a "<" that may still become a tag
        self._plain: list[str] = []  # text outside tags; "<" stands for each opening tag
        self._recent = ""  # its end, for the fallbacks; digits at its end may not be complete
        self._seen_tag = False
        self._begin_block()

    def feed(self, piece: str) -> list[Point]:
        """Reads on; returns the points completed by this piece, in order."""
        before = len(self._points)
        for char in piece:
            self._lex(char)
        return self._points[before:]

    def finish(self) -> ParsedPoints:
        """Ends the text. Call once; the stream takes no more pieces after it."""
        truncated = self._read != self._read_text or bool(self._markup)
        for char in self._flush_markup():
            self._read(char)
        if self._read == self._read_coords:
            self._end_coords_token(at_end=True)
        if self._read == self._read_label:
            self._plain.extend(self._label)  # never closed: it may be the rest of the sentence
            self._label.clear()
        if self._read == self._read_text:
            self._end_assigned()
        else:
            self._end_block()
        plain = "".join(self._plain)
        not_found = not self._points and says_nothing_there(plain)
        claimed = _TOTAL.search(plain) or _THERE_ARE.search(plain)
        count = int(claimed[1]) if claimed else (0 if not_found else None)
        return ParsedPoints(tuple(self._points), truncated, count, not_found)

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
            self._markup = ""
            self._open()
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

    def _open(self) -> None:
        if self._read != self._read_text:
            self._end_block()
        self._seen_tag = True
        self._plain.append("<")
        self._begin_block()
        self._read = self._read_tag

    def _close(self) -> None:
        if self._read == self._read_text:
            return  # a closing tag that nothing opened
        if self._read == self._read_coords:
            self._end_coords_token()
        self._end_block()
        self._read = self._read_text

    # ------------------------------------------------------------------ one block

    def _begin_block(self) -> None:
        self._first_of_block = len(self._points)
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
        for i in range(self._first_of_block, len(self._points)):
            self._points[i] = replace(self._points[i], label=label)

    def _read_tag(self, char: str) -> None:
        """Between the attributes: collects a name up to its `="`."""
        if char == ">":
            if self._name.endswith("/"):
                self._end_block()
                self._read = self._read_text
            else:
                self._read = self._read_label
        elif char == '"' and self._name.endswith("="):
            self._name = self._name[:-1]
            self._value = []
            self._read = self._read_coords if self._name == "coords" else self._read_value
        elif char.isspace():
            self._name = ""
        else:
            self._name = (self._name + char)[-_LONGEST_NUMBER:]

    def _read_value(self, char: str) -> None:
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
        number = _NUMBER.fullmatch(value)
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
        if not (_OBJECT_ID.fullmatch(object_id) and _COORDINATE.fullmatch(x) and _COORDINATE.fullmatch(y)):
            self._triple = self._triple[1:]  # out of step: slide until three numbers fit again
            return
        self._triple = []
        image = self._image_of(self._frame)
        if image is not None:
            self._add(int(x) / 1000, int(y) / 1000, index=int(object_id), image=image)

    def _image_of(self, frame: str) -> int | None:
        if len(self._sizes) == 1:
            return 0
        if self._times is not None:
            return frame_at(float(frame), self._times) if _NUMBER.fullmatch(frame) else None
        number = int(frame) if _OBJECT_ID.fullmatch(frame) else 0
        return number - 1 if 1 <= number <= len(self._sizes) else None

    def _read_label(self, char: str) -> None:
        self._label.append(char)

    # ------------------------------------------------------------------ text outside tags

    def _read_text(self, char: str) -> None:
        if char not in _DIGITS:
            self._end_assigned()
        self._plain.append(char)
        self._recent = (self._recent + char)[-_FALLBACK_WINDOW:]
        if char == ")" and not self._seen_tag:
            pair = _BRACKETED.fullmatch(self._recent, self._recent.rfind("("))
            if pair:
                self._add(float(pair[1]) / 100, float(pair[2]) / 100)
                self._recent = ""

    def _end_assigned(self) -> None:
        """Called where a run of digits in plain text has ended: `p=123,456` may just have."""
        if self._seen_tag or self._recent[-1:] not in _DIGITS:
            return
        pair = _ASSIGNED.search(self._recent)
        if pair:
            self._add(int(pair[1]) / 1000, int(pair[2]) / 1000)
            self._recent = ""

    def _add(self, x: float, y: float, index: int | None = None, image: int = 0) -> None:
        """Takes a point in fractions of the image; drops it where it lies outside."""
        if x > 1 or y > 1:
            return
        height, width = self._sizes[image]
        number = len(self._points) + 1 if index is None else index
        self._points.append(Point(x * width, y * height, self._alt, number, image))
