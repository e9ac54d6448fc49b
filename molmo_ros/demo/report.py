"""The demo's table and pictures."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from molmo_ros.demo.judge import Verdict
from molmo_ros.demo.plan import Case
from molmo_ros.drawing import annotate
from molmo_ros.molmo.answer import Answer, Point, Status

HEADER = (
    f"{'':>2}  {'query':<34} {'expected':<10} {'status':<11} {'answer':<14} {'inside':>6} "
    f"{'error px':>8} {'error m':>8} {'age ms':>7} {'time ms':>7}  right"
)


def row(number: int, case: Case, result: dict[str, Any] | None, verdict: Verdict) -> str:
    """One line of the table; a dash where a column has no meaning."""
    result = result or {}
    inside = "-" if verdict.inside is None else f"{verdict.inside}/{len(case.members)}"
    status = result.get("status", "-")
    cells = (
        f"{number:>2}  {_cut(case.text, 34):<34} {_cut(case.expected, 10):<10} {status:<11}",
        f"{_cut(verdict.got, 14):<14} {inside:>6} {_number(verdict.pixel_error, 1):>8}",
        f"{_number(verdict.metric_error, 3):>8} {_number(result.get('age_ms'), 0):>7}",
        f"{_number(result.get('timing_ms', {}).get('node_total'), 0):>7}  {'yes' if verdict.right else 'NO'}",
    )
    return " ".join(cells)


def draw(case: Case, result: dict[str, Any] | None, verdict: Verdict, frame: np.ndarray | None) -> np.ndarray:
    """uint8 [h, w, 3] RGB: the frame that was answered about, the points, the text and the verdict."""
    picture = case.frame.rgb if frame is None else frame
    if result is None:
        answer = Answer(Status.ERROR, error="no result came")
    else:
        points = tuple(
            Point(p["x"], p["y"], p.get("label", ""), i) for i, p in enumerate(result["points"], 1)
        )
        answer = Answer(
            Status(result["status"]), _plain(result["text"]), points, error=result.get("reason") or ""
        )
    return annotate(picture, answer, f"{case.text}  [{'right' if verdict.right else 'WRONG'}]")


def save(folder: Path, number: int, case: Case, picture: np.ndarray) -> Path:
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


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "~"


def _plain(text: str) -> str:
    """The text for people: what the tags say is drawn already."""
    return re.sub(r"<points?[^>]*>(.*?)</points?>", r"\1", text, flags=re.DOTALL)


def stamp_of(result: dict[str, Any] | None) -> int:
    """The stamp [ns] of the frame that was answered about; 0 where there was none."""
    stamp = (result or {}).get("stamp")
    return stamp["sec"] * 10**9 + stamp["nanosec"] if stamp else 0
