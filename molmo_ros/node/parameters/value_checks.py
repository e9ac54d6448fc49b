# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a value of the right type must fulfil besides, parameter by parameter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from molmo_ros.node.records.query import QueryError, continuous_queries
from molmo_ros.pictures.bit_depth import LEAST, MOST

CAMERA_NAME = re.compile(r"[A-Za-z]\w*")
"""What a camera may be called: its name is part of topic names."""


def queries_error(queries: Iterable[str]) -> str:
    """Why continuous queries are refused; "" when they are accepted."""
    try:
        continuous_queries(list(queries))
    except QueryError as error:
        return f"queries is refused: {error}"
    return ""


def cameras_error(names: Iterable[str]) -> str:
    """Why the names of the cameras are refused; "" when they are accepted."""
    known: list[str] = []
    for name in names:
        if not CAMERA_NAME.fullmatch(name):
            return f"cameras is refused: {name[:40]!r} must begin with a letter and hold letters, digits and _ only"
        if name in known:
            return f"cameras is refused: {name!r} is named twice"
        known.append(name)
    return "" if known else "cameras is refused: it must name at least one camera"


def image_bits_error(bits: int) -> str:
    """Why a number of bits is refused; "" when it is accepted."""
    if 0 < bits < LEAST:
        return f"image_bits = {bits} is refused: it must be 0 or {LEAST} to {MOST}"
    return ""


def unknown_camera_error(queries: Sequence[str], cameras: Sequence[str]) -> str:
    """Why continuous queries are refused where the cameras are known: they may name no other."""
    for camera in (query.camera for query in continuous_queries(queries)):
        if camera and camera not in cameras:
            return f"queries is refused: there is no camera {camera[:40]!r}; cameras: {', '.join(cameras)}"
    return ""
