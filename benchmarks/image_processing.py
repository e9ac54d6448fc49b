# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Times the image processor against a plain torch/numpy one that does the same steps on whole images.

    python benchmarks/image_processing.py [--repeats 15]

One thread each, the two paths in turn, medians of wall time and of CPU time. The ratio is plain CPU time to our
CPU time, since other processes may share the core; each path finds the caches as the other left them. Neither
path keeps anything of a frame for the next. The plain path follows the published
processing step by step: the whole image to float, `F.interpolate`, normalise, pad, crops by slicing, patches
by reshape, concatenate, and the token tables built for every frame. Both outputs are compared before anything
is timed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when numpy and torch are first imported

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from molmo_ros.molmo.images.image_processor import ImageProcessor  # noqa: E402
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig  # noqa: E402
from molmo_ros.molmo.images.padded_style import PADDED, fit_inside  # noqa: E402
from molmo_ros.molmo.images.stretched_style import STRETCHED  # noqa: E402
from molmo_ros.molmo.images.tiling import pooling_table, select_tiling, token_positions  # noqa: E402

SIZES = ((480, 640), (720, 1280), (1080, 1920), (2160, 3840))


def plain_patches(crops: np.ndarray, patch: int) -> np.ndarray:
    """Crops `[n, s, s, 3]` to patches `[n, (s / patch) ** 2, patch * patch * 3]`."""
    n, side = crops.shape[0], crops.shape[1] // patch
    return (
        crops.reshape(n, side, patch, side, patch, 3).transpose(0, 1, 3, 2, 4, 5).reshape(n, side * side, -1)
    )


def plain_crops(canvas: np.ndarray, tiling: tuple[int, int], config: ImageProcessorConfig) -> np.ndarray:
    """Overlapping crops of a canvas `[h, w, ...]`, by slicing and stacking."""
    step, size = config.grid.window * config.patch_size, config.crop_size
    return np.stack(
        [
            canvas[i * step : i * step + size, j * step : j * step + size]
            for i in range(tiling[0])
            for j in range(tiling[1])
        ]
    )


def plain_molmo(image: np.ndarray, config: ImageProcessorConfig) -> tuple[np.ndarray, ...]:
    """0924: aspect kept, antialiased, padded. Returns crops, masks and token positions."""

    def resize_and_pad(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = fit_inside(image.shape[:2], size)
        tensor = torch.from_numpy(image).permute(2, 0, 1).to(torch.float32) / 255
        new = [rows.stop - rows.start, columns.stop - columns.start]
        tensor = F.interpolate(tensor[None], size=new, mode="bilinear", align_corners=False, antialias=True)[
            0
        ]
        resized = tensor.clip(0, 1).permute(1, 2, 0).numpy()
        padding = ((rows.start, size[0] - rows.stop), (columns.start, size[1] - columns.stop))
        mask = np.pad(np.ones_like(resized[:, :, 0], dtype=bool), padding)
        padded = np.pad(resized, (*padding, (0, 0)))
        return (padded - np.array(config.mean, np.float32)) / np.array(config.std, np.float32), mask

    grid = config.grid
    tiling = select_tiling(*image.shape[:2], grid)
    rows, columns = grid.mosaic(tiling)
    canvas, mask = resize_and_pad((rows * config.patch_size, columns * config.patch_size))
    tiles = plain_crops(canvas, tiling, config)
    tile_masks = plain_crops(np.repeat(mask[:, :, None], 3, axis=2), tiling, config)
    masks = plain_patches(tile_masks.astype(np.float32), config.patch_size).mean(axis=2)
    overview, _ = resize_and_pad((config.crop_size, config.crop_size))
    crops = plain_patches(np.concatenate([overview[None], tiles]), config.patch_size)
    masks = np.concatenate([masks, np.full((1, masks.shape[1]), -1, np.float32)])
    return crops, masks, token_positions(tiling, grid)


def plain_molmo2(image: np.ndarray, config: ImageProcessorConfig) -> tuple[np.ndarray, ...]:
    """Molmo2: stretched, not antialiased, rounded to 8 bits. Returns crops and the pooling table."""

    def resize(size: tuple[int, int]) -> np.ndarray:
        tensor = torch.from_numpy(image).permute(2, 0, 1).contiguous().to(torch.float32)
        tensor = F.interpolate(
            tensor[None], size=size, mode="bilinear", align_corners=False, antialias=False
        )[0]
        tensor = tensor.round().clamp(0, 255).to(torch.uint8).to(torch.float32) / 255
        mean, std = (torch.tensor(values)[:, None, None] for values in (config.mean, config.std))
        return ((tensor - mean) / std).permute(1, 2, 0).numpy()

    grid = config.grid
    tiling = select_tiling(*image.shape[:2], grid)
    rows, columns = grid.mosaic(tiling)
    tiles = plain_crops(resize((rows * config.patch_size, columns * config.patch_size)), tiling, config)
    crops = np.concatenate([resize((config.crop_size, config.crop_size))[None], tiles])
    return plain_patches(crops, config.patch_size), pooling_table(tiling, grid)


def milliseconds(function, *arguments) -> tuple[float, float]:
    """Wall time and CPU time of one call in this thread [ms]; both paths have no other."""
    wall, cpu = time.perf_counter(), time.thread_time()
    function(*arguments)
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.thread_time() - cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    print(
        f"{'':28} {'wall, median [ms]':>18} {'CPU, median [ms]':>18} {'CPU plain':>10}\n"
        f"{'resize':9} {'frame':>11} {'crops':>6} {'plain':>9} {'ours':>8} {'plain':>9} {'ours':>8} {'/ ours':>10}"
    )
    paths = ((PADDED, plain_molmo), (STRETCHED, plain_molmo2))
    for style, plain in paths:
        config = ImageProcessorConfig.released(style)
        processor = ImageProcessor(config)
        for height, width in SIZES:
            image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
            image = cv2.GaussianBlur(image, (0, 0), 3)
            expected, found = plain(image, config), processor(image)
            worst = float(np.abs(expected[0] - found.crops).max())
            assert worst < 1e-5, f"{style} {height}x{width}: outputs differ by {worst}"
            times = [
                (*milliseconds(plain, image, config), *milliseconds(processor, image)) for _ in range(repeats)
            ]
            plain_wall, plain_cpu, wall, cpu = (
                statistics.median(column) for column in zip(*times, strict=True)
            )
            print(
                f"{style!s:9} {f'{width}x{height}':>11} {len(found.crops):6} "
                f"{plain_wall:9.1f} {wall:8.1f} {plain_cpu:9.1f} {cpu:8.1f} {plain_cpu / cpu:10.1f}"
            )


if __name__ == "__main__":
    main()
