# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures whose motion is known."""

import cv2
import numpy as np
import pytest


def make_texture(height, width, seed=0, coarse=8):
    """uint8 [h, w] of soft random blobs."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(40, 215, (height // coarse + 3, width // coarse + 3)).astype(np.float32)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def texture():
    """Makes a picture of a height and a width."""
    return make_texture


@pytest.fixture(scope="session")
def wide_texture():
    """uint8 [480, 640], to cut shifted views from."""
    return make_texture(480, 640)
