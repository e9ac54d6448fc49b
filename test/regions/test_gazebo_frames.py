# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Regions in pictures that Gazebo rendered (worlds of our own): depth and masks of another renderer."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from molmo_ros.geometry import PinholeCamera
from molmo_ros.regions.scene import find_regions

FRAMES = sorted((Path(__file__).parent / "gazebo").glob("*.npz"))


@pytest.mark.parametrize("file", FRAMES, ids=lambda file: file.stem)
def test_regions_are_gazebos_masks(file: Path) -> None:
    with np.load(file) as frame:
        truth, depth, (fx, fy, cx, cy) = frame["mask"], frame["depth_01mm"], frame["k"].tolist()
    camera = PinholeCamera(fx, fy, cx, cy, truth.shape[1], truth.shape[0])
    objects = [index for index in range(truth.max() + 1) if (truth == index).sum() > 150]
    points = []
    for index in objects:
        inside = cv2.distanceTransform((truth == index).astype(np.uint8), cv2.DIST_L2, 3)
        row, column = np.unravel_index(inside.argmax(), inside.shape)
        points.append((column, row))
    found = find_regions(depth.astype(np.float32) / 1e4, camera, np.array(points))
    assert len(objects) >= 2
    for index, region in zip(objects, found.regions, strict=True):
        mask = np.zeros(truth.shape, bool)
        mask[region.rows, region.columns] = True
        assert (mask & (truth == index)).sum() / (mask | (truth == index)).sum() > 0.85
