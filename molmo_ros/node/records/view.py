# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The picture that points are about, as it is handed on with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from molmo_ros.node.records.surroundings import Surroundings

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import PictureMessage


@dataclass(frozen=True)
class View:
    """The picture that points are about.

    Attributes:
        picture: Returns it, uint8 [h, w, 3] RGB.
        message: As it came; None where that is not kept.
        surroundings: What its pixels are in space; None where that is not known, or nothing was located.
    """

    picture: Callable[[], np.ndarray]
    message: PictureMessage | None = None
    surroundings: Surroundings | None = None
