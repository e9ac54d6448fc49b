# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Resize weights against the ones that torch applies, read off by resizing an identity matrix."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from molmo_ros.molmo.images.resize import (
    antialias_weights,
    bilinear_pixels,
    bilinear_weights,
    blocks,
    resize_columns,
    resize_rows,
)

SIZES = [
    (1, 1),
    (1, 7),
    (2, 3),
    (7, 1),
    (100, 336),
    (336, 336),
    (518, 370),
    (678, 562),
    (1280, 1008),
    (3840, 378),
]


def dense(weights):
    matrix = np.zeros((len(weights.first), weights.size), np.float32)
    for block in blocks(weights):
        matrix[block.out, block.read] = block.matrix
    return matrix


@pytest.mark.parametrize(("size", "out"), SIZES)
@pytest.mark.parametrize(("make", "antialias"), [(antialias_weights, True), (bilinear_weights, False)])
def test_weights_are_those_of_torch(size, out, make, antialias):
    identity = torch.eye(size)[None, None]
    for axis in (0, 1):
        target = (out, size) if axis == 0 else (size, out)
        expected = F.interpolate(identity, size=target, mode="bilinear", antialias=antialias)[0, 0].numpy()
        np.testing.assert_allclose(
            dense(make(size, out)), expected if axis == 0 else expected.T, rtol=0, atol=1e-7
        )


@pytest.mark.parametrize("make", [antialias_weights, bilinear_weights])
def test_padded_band_and_reading_keep_the_matrix(make):
    weights = make(300, 90)
    matrix = dense(weights)
    padded = dense(weights.padded(3, 5))
    np.testing.assert_array_equal(padded[3:-5], matrix)
    assert not padded[:3].any() and not padded[-5:].any()
    np.testing.assert_array_equal(dense(weights.band(10, 31)), matrix[10:31])
    lines = weights.lines_read()
    np.testing.assert_array_equal(lines, np.flatnonzero(matrix.any(axis=0)))
    np.testing.assert_array_equal(dense(weights.reading(lines)), matrix[:, lines])


def test_resize_rows_is_the_matrix_product():
    rng = np.random.default_rng(0)
    weights = antialias_weights(211, 57).padded(9, 20)
    source = rng.random((211, 33), dtype=np.float32)
    out = np.full((86, 33), np.nan, np.float32)
    resize_rows(source, blocks(weights), out)
    np.testing.assert_allclose(out, dense(weights) @ source, atol=1e-6)


@pytest.mark.parametrize(("size", "out"), [(211, 57), (57, 211), (1, 40), (40, 1), (7, 7)])
@pytest.mark.parametrize("make", [antialias_weights, bilinear_weights])
def test_interleaved_channels_are_resized_and_scaled_each_for_itself(make, size, out):
    weights = make(size, out).padded(3, 2)
    image = np.random.default_rng(0).random((5, size, 3), dtype=np.float32)
    scale = np.array([1.0, 0.5, 3.0])
    found = np.full((5, out + 5, 3), np.nan, np.float32)
    resize_columns(image.reshape(5, -1), blocks(weights.interleaved(scale), 32), found.reshape(5, -1))
    expected = np.einsum("ow,hwc->hoc", dense(weights), image) * scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("size", "out"), [((40, 30), (91, 77)), ((173, 260), (90, 61)), ((1, 5), (4, 4))])
def test_chosen_pixels_are_torch_values(size, out):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    rows, columns = bilinear_weights(size[0], out[0]), bilinear_weights(size[1], out[1])
    y, x, channel = (grid.ravel() for grid in np.indices((*out, 3)))
    found = bilinear_pixels(image, rows, columns, y, x, channel).reshape(*out, 3)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float().contiguous()
    expected = (
        F.interpolate(tensor, size=out, mode="bilinear", align_corners=False)[0].permute(1, 2, 0).numpy()
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5)


def test_positions_sample_like_the_weights():
    """To 1/32 px, the step of older OpenCV versions' remap."""
    weights = bilinear_weights(50, 37)
    ramp = np.arange(50, dtype=np.float32)[None].repeat(2, axis=0) * 3
    x = weights.positions[None]
    sampled = cv2.remap(ramp, x, np.zeros_like(x), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    np.testing.assert_allclose(sampled, dense(weights) @ ramp[0], atol=3 / 32)
