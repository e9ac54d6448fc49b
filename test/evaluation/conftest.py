# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Benchmarks made here: plain pictures with masks whose pixels are known."""

import json

import cv2
import numpy as np
import pytest


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture
def save():
    """Writes bytes, pixels or JSON to a path, making its folders."""

    def write(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            content = png(content)
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def mask_of():
    """uint8 [40, 60]: white in a rectangle of rows and columns."""

    def make(rows=slice(10, 20), columns=slice(30, 40), size=(40, 60)):
        mask = np.zeros(size, np.uint8)
        mask[rows, columns] = 255
        return mask

    return make


@pytest.fixture
def point_bench(tmp_path, save, mask_of):
    """Writes a Point-Bench of entries, each with a picture of 60 x 40 and a mask."""

    def make(*entries, picture=None, mask=None):
        root = tmp_path / "bench"
        for entry in entries:
            category = entry["category"]
            pixels = np.full((40, 60, 3), 200, np.uint8) if picture is None else picture
            save(root / "selected_images" / category / entry["image_filename"], pixels)
            if "mask_filename" in entry:
                white = mask_of() if mask is None else mask
                save(root / "selected_masks" / category / entry["mask_filename"], white)
        save(root / "data.json", list(entries))
        return root

    return make


@pytest.fixture
def entry():
    """An entry of Point-Bench."""

    def make(name="a.png", category="spatial", words="Point to the cup.", count=1):
        return {
            "image_filename": name,
            "mask_filename": name,
            "category": category,
            "user_input": words,
            "count": count,
        }

    return make
