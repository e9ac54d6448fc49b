# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A frame that is being looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.records.frame import Frame

if TYPE_CHECKING:  # it imports torch
    from molmo_ros.molmo.answers.encoded_image import EncodedImage
    from molmo_ros.node.records.frame import DepthMessage


@dataclass
class Sight:
    """A frame that is being looked at.

    Attributes:
        camera: Where it came from; None for one that came with a request.
        frame: The message, and when it came.
        picture: uint8 [h, w, 3] RGB.
        encoded: What the model made of it.
        timing_ms: What that took; of the first request alone.
        depth: Its depth image, once it was found.
        epoch: When it was taken, see `Answerer.forget`.
        note: What was assumed about the picture, and whether it is black; mostly empty.
    """

    camera: CameraInput | None
    frame: Frame
    picture: np.ndarray
    encoded: EncodedImage
    timing_ms: dict[str, float]
    epoch: int = 0
    depth: DepthMessage | None = None
    note: str = ""

    @property
    def name(self) -> str:
        return self.camera.name if self.camera else ""

    @property
    def size(self) -> tuple[int, int]:
        return self.picture.shape[1], self.picture.shape[0]
