"""A reliability table as a picture: what was said against what came true."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from molmo_ros.train.reliability import Bin

SIDE, MARGIN = 360, 50
BLACK, GRAY, BLUE = (0, 0, 0), (190, 190, 190), (180, 90, 20)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def reliability_diagram(title: str, table: Sequence[Bin]) -> np.ndarray:
    """Draws each filled bin as a dot with its 95 % interval; on the gray diagonal, scores are as good as their word.

    Returns:
        uint8 BGR [SIDE + 2 * MARGIN, SIDE + 2 * MARGIN, 3].
    """
    picture = np.full((SIDE + 2 * MARGIN, SIDE + 2 * MARGIN, 3), 255, np.uint8)

    def place(x: float, y: float) -> tuple[int, int]:
        return round(MARGIN + x * SIDE), round(MARGIN + (1 - y) * SIDE)

    cv2.line(picture, place(0, 0), place(1, 1), GRAY, 1, cv2.LINE_AA)
    cv2.rectangle(picture, place(0, 0), place(1, 1), BLACK, 1)
    for tick in (0.0, 0.5, 1.0):
        x, y = place(tick, 0)
        cv2.putText(picture, f"{tick:g}", (x - 8, y + 18), FONT, 0.42, BLACK, 1, cv2.LINE_AA)
        x, y = place(0, tick)
        cv2.putText(picture, f"{tick:g}", (x - 30, y + 5), FONT, 0.42, BLACK, 1, cv2.LINE_AA)
    most = max(one.count for one in table)
    for one in table:
        if one.count:
            cv2.line(picture, place(one.mean, one.interval[0]), place(one.mean, one.interval[1]), BLUE, 2)
            radius = 3 + round(6 * (one.count / most) ** 0.5)
            cv2.circle(picture, place(one.mean, one.share), radius, BLUE, -1, cv2.LINE_AA)
    total = sum(one.count for one in table)
    heading = f"{title}: share right over confidence, n = {total}"
    cv2.putText(picture, heading, (MARGIN, MARGIN - 18), FONT, 0.45, BLACK, 1, cv2.LINE_AA)
    return picture
