# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Draws an answer onto its images: a numbered ring at every point, and the text below or on a line at the top."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import cv2
import numpy as np

from molmo_ros.molmo.answer import Answer, Point

PINK = (240, 82, 156)
WHITE = (255, 255, 255)
REGION_COLOURS = (
    (0, 190, 255),
    (255, 190, 0),
    (60, 220, 90),
    (190, 120, 255),
    (255, 110, 60),
    (120, 230, 220),
)
TINT = 0.3
"""Share of its colour that a region is given."""
CAPTION = (32, 32, 36)
FONT = cv2.FONT_HERSHEY_SIMPLEX
GAP = 8
"""Between images that stand side by side [px]."""


def annotate(images: np.ndarray | Sequence[np.ndarray], answer: Answer, title: str = "") -> np.ndarray:
    """Returns a copy of the image with the answer's points drawn in and a caption strip below it.

    Args:
        images: uint8 [h, w, 3] RGB, left as it is; or those of one prompt, which come side by side, their tops in a
            line and none of them scaled.
        answer: Its points are in pixels of these images.
        title: First line of the caption, such as the query.

    Returns:
        uint8 [h + caption, w, 3] RGB; of several images the greatest h, and the sum of w with `GAP` between them.
    """
    originals = [images] if isinstance(images, np.ndarray) else images
    pictures = [np.ascontiguousarray(image).copy() for image in originals]
    for number, picture in enumerate(pictures):
        draw_points(picture, [point for point in answer.points if point.image == number])
    picture = _side_by_side(pictures)
    said = answer.error or answer.text or "(no text)"
    return np.vstack([picture, _caption(picture.shape[1], title, f"{answer.status.value}: {said}")])


def _side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 [h, w, 3]: the pictures from left to right, the lower ones filled up at the bottom."""
    height = max(len(picture) for picture in pictures)
    width = sum(picture.shape[1] + GAP for picture in pictures) - GAP
    canvas = np.full((height, width, 3), CAPTION, np.uint8)
    left = 0
    for picture in pictures:
        canvas[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + GAP
    return canvas


def draw_points(picture: np.ndarray, points: Sequence[Point]) -> None:
    """Draws into `picture`, uint8 [h, w, 3] RGB. Sizes grow with it, so a 4K picture stays readable."""
    scale = _scale(picture)
    radius, line = round(9 * scale), max(1, round(2 * scale))
    for point in points:
        # A point at x = width lies on the right edge; the nearest pixel is the last column.
        column = min(max(int(point.x), 0), picture.shape[1] - 1)
        row = min(max(int(point.y), 0), picture.shape[0] - 1)
        center = (column, row)
        cv2.circle(picture, center, radius, WHITE, line + 2, cv2.LINE_AA)
        cv2.circle(picture, center, radius, PINK, line, cv2.LINE_AA)
        cv2.circle(picture, center, max(1, line), PINK, -1, cv2.LINE_AA)
        _tag(picture, f"{point.index} {drawable(point.label)}".strip(), center, radius, scale)


def draw_regions(picture: np.ndarray, labels: np.ndarray) -> None:
    """Tints and outlines each region in a colour of its own in `picture`, uint8 [h, w, 3] RGB.

    Args:
        picture: Drawn into.
        labels: uint16 [h, w], the number of the region that a pixel is of, from 1; else 0.
    """
    reach = np.ones((2 * max(1, round(_scale(picture))) + 1,) * 2, np.uint8)
    grown, shrunk = cv2.dilate(labels, reach), cv2.erode(labels, reach)
    colours = np.array(REGION_COLOURS)
    inside, outline = labels > 0, grown != shrunk
    tint = colours[labels[inside] % len(colours)]
    picture[inside] = (picture[inside] * (1 - TINT) + tint * TINT).astype(np.uint8)
    picture[outline] = colours[np.where(inside, labels, grown)[outline] % len(colours)]


def draw_text_line(picture: np.ndarray, text: str) -> None:
    """Writes one line over the top of `picture`, uint8 [h, w, 3] RGB, whose size stays; it is cut to the width."""
    scale = _scale(picture)
    letters = _letters(scale)
    line, margin = max(1, round(scale)), round(4 * scale)
    text = drawable(text)
    (width, height), base = cv2.getTextSize(text, FONT, letters, line)
    room = picture.shape[1] - 2 * margin
    if width > room:  # by the mean width of its letters
        text = text[: max(int(len(text) * room / width) - 3, 0)].rstrip() + "..."
        width = room
    cv2.rectangle(picture, (0, 0), (width + 2 * margin, height + base + margin), CAPTION, -1)
    cv2.putText(picture, text, (margin, height + margin), FONT, letters, WHITE, line, cv2.LINE_AA)


def _scale(picture: np.ndarray) -> float:
    """How large things are drawn, 1 for a picture of 640x480."""
    return max(min(picture.shape[:2]) / 480, 0.5)


def _letters(scale: float) -> float:
    """OpenCV's size of text; smaller than 0.35 is not readable."""
    return max(0.45 * scale, 0.35)


def _tag(picture: np.ndarray, text: str, center: tuple[int, int], radius: int, scale: float) -> None:
    """Writes `text` on a dark plate beside the ring and above, moved to stay in the picture."""
    line = max(1, round(scale))
    letters = _letters(scale)
    (width, height), base = cv2.getTextSize(text, FONT, letters, line)
    x = center[0] + radius + 4
    if x + width + 4 > picture.shape[1]:  # no room on the right: on the left, rather than over the ring
        x = max(center[0] - radius - 4 - width, 2)
    y = min(max(center[1] - radius, height + 4), picture.shape[0] - base - 2)
    cv2.rectangle(picture, (x - 3, y - height - 3), (x + width + 3, y + base), CAPTION, -1)
    cv2.putText(picture, text, (x, y), FONT, letters, WHITE, line, cv2.LINE_AA)


def drawable(text: str) -> str:
    """`text` on one line in the characters that OpenCV's font has; others become "?"."""
    return "".join(c if " " <= c <= "~" else "?" for c in " ".join(text.split()))


def _caption(width: int, *paragraphs: str) -> np.ndarray:
    """uint8 [h, width, 3] strip with the paragraphs, wrapped; long ones are cut at six lines."""
    scale = min(max(width / 640, 0.35), 3.0)
    columns, height = max(int(width / (9.5 * scale)), 8), int(20 * scale)
    lines = []
    for paragraph in paragraphs:
        if paragraph:
            lines += textwrap.wrap(drawable(paragraph), columns, max_lines=6, placeholder=" ...")
    strip = np.full((height * len(lines) + int(10 * scale), width, 3), CAPTION, np.uint8)
    for row, line in enumerate(lines):
        at = (int(6 * scale), int(height * (row + 0.85)))
        cv2.putText(strip, line, at, FONT, 0.48 * scale, WHITE, max(1, round(scale)), cv2.LINE_AA)
    return strip
