# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Scores to probabilities that are right as often as they say, for weights on which that was measured.

`calibration.json` lies beside a checkpoint's weights and holds the few numbers that
`python -m molmo_ros.train.calibrate_confidence` fitted, with what they were fitted on. A checkpoint without it has raw
scores: larger is surer, but 0.9 need not mean nine in ten.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from molmo_ros.molmo.errors import CheckpointError

CALIBRATION = "calibration.json"
FORMAT = 1
SAMPLES, SAMPLE_BYTES = 16, 1 << 16
EXTREME = 1e-6
"""Scores nearer to 0 or 1 count as this far from them."""


@dataclass(frozen=True)
class Curve:
    """Platt scaling: sigmoid(slope * log(p / (1 - p)) + offset); slope 1 and offset 0 change nothing.

    Source: J. Platt, Probabilistic outputs for support vector machines, 1999.
    """

    slope: float
    offset: float

    def __call__(self, score: float) -> float:
        """The calibrated probability, in [0, 1]."""
        # The logistic function by its hyperbolic tangent, which does not overflow.
        return 0.5 + 0.5 * math.tanh((self.slope * logit(score) + self.offset) / 2)


@dataclass(frozen=True)
class ConfidenceCalibration:
    """What was fitted to one set of weights.

    Attributes:
        point: From a point's score to the probability that it lies on a thing that was asked for.
        not_found: From the not-found sentence's probability to that of there being no such thing.
        weights: `weights_fingerprint` of the folder it was fitted to.
        fitted_on: What it was fitted on, for people.
    """

    point: Curve
    not_found: Curve
    weights: str
    fitted_on: Mapping[str, Any]


def logit(score: float) -> float:
    """log(p / (1 - p)), with p at least `EXTREME` from 0 and 1."""
    score = min(max(score, EXTREME), 1 - EXTREME)
    return math.log(score / (1 - score))


def read_calibration(folder: str | Path) -> ConfidenceCalibration | None:
    """Reads `calibration.json`.

    Returns:
        None where there is none, or where it was fitted to other weights; the latter is logged as a warning,
        since the model itself is sound.

    Raises:
        CheckpointError: The file is damaged, or of another format.
    """
    folder = Path(folder)
    path = folder / CALIBRATION
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    calibration = _calibration(document, path)
    found = weights_fingerprint(folder)
    if calibration.weights != found:
        logging.getLogger(__name__).warning(
            "%s was fitted to other weights (%s; these are %s): confidences are uncalibrated",
            *(path, calibration.weights[:12], found[:12]),
        )
        return None
    return calibration


def write_calibration(folder: str | Path, calibration: ConfidenceCalibration) -> None:
    """Writes `calibration.json`, as `read_calibration` reads it.

    Raises:
        CheckpointError: It could not be read again: a curve that falls, for example. Nothing is written.
    """
    document, path = {"format": FORMAT, **asdict(calibration)}, Path(folder) / CALIBRATION
    _calibration(document, path)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def weights_fingerprint(folder: str | Path) -> str:
    """SHA-256 over names, sizes and samples of the folder's safetensors files.

    64 KiB from each of 16 places of a file, its first and last bytes among them: enough to tell a model from one
    that was trained on, without reading gigabytes at each start. It is no proof against tampering.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            for i in range(SAMPLES):
                file.seek(max(0, size - SAMPLE_BYTES) * i // (SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def _calibration(document: Any, path: Path) -> ConfidenceCalibration:
    """The parsed file, checked.

    Raises:
        CheckpointError: Names the entry at fault and what it should be.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise CheckpointError(f"{path}: format is {found!r:.40}, not {FORMAT}")
    expected = {"format", "point", "not_found", "weights", "fitted_on"}
    if set(document) != expected:
        raise CheckpointError(f"{path} has the keys {sorted(document)}, not {sorted(expected)}")
    if not isinstance(document["weights"], str) or not isinstance(document["fitted_on"], dict):
        raise CheckpointError(f"{path}: weights is not a text, or fitted_on not an object")
    point, not_found = (_curve(document[name], f"{path}: {name}") for name in ("point", "not_found"))
    return ConfidenceCalibration(point, not_found, document["weights"], document["fitted_on"])


def _curve(document: Any, where: str) -> Curve:
    if not isinstance(document, dict) or set(document) != {"slope", "offset"}:
        raise CheckpointError(f"{where} is {document!r:.80}, not an object with slope and offset")
    numbers = [document["slope"], document["offset"]]
    sound = all(type(one) in (int, float) and abs(one) <= sys.float_info.max for one in numbers)
    if not sound or numbers[0] <= 0:
        raise CheckpointError(f"{where} is {document!r:.80}; both must be finite numbers, the slope positive")
    return Curve(*map(float, numbers))
