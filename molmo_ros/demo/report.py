# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The demo's table and pictures."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from molmo_msgs.msg import ObjectPointArray

from molmo_ros.demo.judge import Verdict
from molmo_ros.demo.plan import PlannedQuery

if TYPE_CHECKING:
    from molmo_ros.demo.user import FeedbackPiece

HEADER = (
    f"{'':>2}  {'query':<34} {'by':<7} {'expected':<10} {'status':<11} {'answer':<14} {'inside':>6} "
    f"{'error px':>8} {'error m':>8} {'age ms':>7} {'time ms':>7}  right"
)


def row(number: int, case: PlannedQuery, result: ObjectPointArray | None, verdict: Verdict) -> str:
    """One line of the table; a dash where a column has no meaning."""
    inside = "-" if verdict.inside is None else f"{verdict.inside}/{len(case.members)}"
    status = result.status if result else "-"
    age = _milliseconds(result.frame_age) if result else math.nan
    total = (
        sum(_milliseconds(one.duration) for one in result.timings if one.stage == "total") if result else 0
    )
    cells = (
        f"{number:>2}  {_cut(case.text, 34):<34} {case.way:<7} {_cut(case.expected, 10):<10} {status:<11}",
        f"{_cut(verdict.got, 14):<14} {inside:>6} {_number(verdict.pixel_error, 1):>8}",
        f"{_number(verdict.metric_error, 3):>8} {_number(age, 0):>7}",
        f"{_number(total or math.nan, 0):>7}  {'yes' if verdict.right else 'NO'}",
    )
    return " ".join(cells)


def stream(pieces: list[FeedbackPiece]) -> str:
    """One line: when each point of an answer came through the action."""
    first = {piece.points: piece.seconds for piece in reversed(pieces) if piece.points}
    came = ", ".join(
        f"point {count} after {seconds * 1e3:.0f} ms" for count, seconds in sorted(first.items())
    )
    return f"    streamed: {came or 'no point'}; {len(pieces)} pieces of feedback"


def save(folder: Path, number: int, case: PlannedQuery, picture: np.ndarray) -> Path:
    """Writes the picture of query `number`; its name says what was asked."""
    words = "_".join(re.findall(r"[a-z0-9]+", case.text.lower()))
    path = folder / f"{number:02d}_{words}.png"
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return path


def summary(verdicts: list[Verdict]) -> str:
    right = sum(v.right for v in verdicts)
    pixel = [v.pixel_error for v in verdicts if not math.isnan(v.pixel_error)]
    metric = [v.metric_error for v in verdicts if not math.isnan(v.metric_error)]
    return (
        f"{right} of {len(verdicts)} right; median error {_number(_median(pixel), 1)} px, "
        f"{_number(_median(metric), 3)} m\n"
        "errors: to the middle of the object's visible surface; age: of the frame when the answer came"
    )


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else math.nan


def _milliseconds(duration: Any) -> float:
    """A builtin_interfaces/Duration [ms]."""
    return duration.sec * 1e3 + duration.nanosec * 1e-6


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "~"
