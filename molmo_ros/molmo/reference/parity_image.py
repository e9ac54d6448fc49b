# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Comparing image preprocessing with the crops and tables of a reference vector."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families.table import family
from molmo_ros.molmo.images.image_processor import ImageProcessor, ProcessedImage
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.json_file import read_json

PIXEL_TOLERANCE = 1e-5


def compare_preprocessing(
    folder: Path, config: MolmoConfig, inputs: dict[str, np.ndarray]
) -> dict[str, float] | None:
    """Processes the stored images (image_u8, image_u8_2, ...) and compares what comes out with what is stored.

    Args:
        folder: The vector folder; its image processing files are obeyed, else the family's constants hold, with
            max_crops of config.json where it is there (MolmoE's has it).
        config: The model's shape, for the sizes of crops and patches.
        inputs: The arrays of input.npz.

    Returns:
        Maximum absolute difference by name ("pixels", "masks", "input_idx", "pooling", "grids", "mosaic"),
        infinite where the shapes differ. None where no image is stored.
    """
    images = stored_images(inputs)
    if not images:
        return None
    vision = config.vision
    if any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        settings = read_image_processing(folder)
    else:
        style = family(config.family).image_style
        crop_size = vision.grid[0] * vision.patch_size
        settings = ImageProcessorConfig.released(
            style, crop_size=crop_size, patch_size=vision.patch_size, pool=config.connector.pool
        )
        most = read_json(folder / "config.json").get("max_crops")
        settings = settings if most is None else settings.with_max_crops(most)
    process = ImageProcessor(settings)
    made, stored = _joined([_made(process(image)) for image in images]), _stored(inputs)
    if "pooling" in stored and len(images) > 1:
        counts = np.asarray(inputs["image_num_crops"]) * inputs["pixel_values"].shape[1]
        stored["pooling"] = np.concatenate(
            pooling_by_image(stored["pooling"], inputs["image_grids"], counts.tolist())
        )
    return {name: _difference(made.get(name), array) for name, array in stored.items()}


def stored_images(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The images of a vector folder in their order: image_u8, image_u8_2, image_u8_3, ...

    Raises:
        CheckpointError: The numbers leave one out.
    """
    names = {name for name in inputs if re.fullmatch(r"image_u8(_\d+)?", name)}
    order = ["image_u8", *(f"image_u8_{number}" for number in range(2, len(names) + 1))]
    if names and names != set(order):
        raise CheckpointError(
            f"the stored images are {', '.join(sorted(names))}; expected {', '.join(order)}"
        )
    return [inputs[name] for name in order if name in names]


def pooling_by_image(pooling: np.ndarray, grids: np.ndarray, patches: list[int]) -> list[np.ndarray]:
    """The pooling tables of several images, each with its own patches numbered from 0.

    The hub's processor numbers them so; transformers' own goes on counting from one image to the next.

    Args:
        pooling: int [tokens, slots]: the tables one after another; -1 is no patch.
        grids: int [images, 4]: rows and columns of the global view's tokens and of the tiles'.
        patches: How many patches each image has.
    """
    tokens = grids[:, 0] * grids[:, 1] + grids[:, 2] * grids[:, 3]
    tables = np.split(pooling, np.cumsum(tokens)[:-1])
    firsts = np.cumsum([0, *patches[:-1]])
    return [
        np.where(table >= first, table - first, table)
        if table[table >= 0].min(initial=first) >= first
        else table
        for table, first in zip(tables, firsts.tolist(), strict=True)
    ]


def _joined(images: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Of several images what the hub's processor makes: crops and tables one after another, the grids as rows."""
    if len(images) == 1:
        return images[0]
    rows = {name: [image[name] for image in images] for name in images[0]}
    return {
        name: np.stack(parts) if name == "grids" else np.concatenate(parts) for name, parts in rows.items()
    }


def _made(result: ProcessedImage) -> dict[str, np.ndarray]:
    made = {"pixels": result.crops, "grids": np.array([*result.low_res_grid, *result.high_res_grid])}
    if result.masks is not None:
        made["masks"] = result.masks
    if result.input_idx is not None:
        # Stored positions count the BOS token in front of the image.
        made["input_idx"] = np.where(result.input_idx < 0, -1, result.input_idx + 1)
    if result.pooling is not None:
        made["pooling"] = result.pooling
    if result.mosaic is not None:
        made["mosaic"] = result.mosaic
    return made


def _stored(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    stored = {}
    if "images" in inputs:
        stored["pixels"] = inputs["images"][0]
        stored["masks"] = inputs["image_masks"][0]
        cells = inputs["image_input_idx"][0]
        stored["input_idx"] = np.where(cells < 0, -1, cells)
    if "pixel_values" in inputs:
        stored["pixels"] = inputs["pixel_values"]
        stored["pooling"] = inputs["image_token_pooling"]
    if "subpatch_mapping" in inputs:
        stored["mosaic"] = inputs["subpatch_mapping"]
    if "image_grids" in inputs:
        grids = inputs["image_grids"]
        stored["grids"] = grids[0] if len(grids) == 1 else grids
    return stored


def _difference(made: np.ndarray | None, stored: np.ndarray) -> float:
    if made is None or made.shape != stored.shape:
        return float("inf")
    return float(np.abs(made.astype(np.float64) - stored).max(initial=0.0))
