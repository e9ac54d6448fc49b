"""Comparing image preprocessing with the crops and tables of a reference vector."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.families import family
from molmo_ros.molmo.images.image_processor import ImageProcessor, ImageProcessorConfig, ProcessedImage
from molmo_ros.molmo.json_file import read_json

PIXEL_TOLERANCE = 1e-5


def compare_preprocessing(
    folder: Path, config: MolmoConfig, inputs: dict[str, np.ndarray]
) -> dict[str, float] | None:
    """Processes the stored image and compares what comes out with what is stored.

    Args:
        folder: The vector folder; its image processing files are obeyed, else the family's constants hold, with
            max_crops of config.json where it is there (MolmoE's has it).
        config: The model's shape, for the sizes of crops and patches.
        inputs: The arrays of input.npz.

    Returns:
        Maximum absolute difference by name ("pixels", "masks", "input_idx", "pooling", "grids", "mosaic"),
        infinite where the shapes differ. None where no image is stored.
    """
    if "image_u8" not in inputs:
        return None
    vision = config.vision
    if any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        settings = ImageProcessorConfig.from_folder(folder)
    else:
        style = family(config.family).image_style
        make = {"padded": ImageProcessorConfig.molmo, "stretched": ImageProcessorConfig.molmo2}[style]
        crop_size = vision.grid[0] * vision.patch_size
        settings = make(crop_size=crop_size, patch_size=vision.patch_size, pool=config.connector.pool)
        most = read_json(folder / "config.json").get("max_crops")
        settings = settings if most is None else settings.with_max_crops(most)
    result = ImageProcessor(settings)(inputs["image_u8"])
    made, stored = _made(result), _stored(inputs)
    return {name: _difference(made.get(name), array) for name, array in stored.items()}


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
        stored["grids"] = inputs["image_grids"][0]
    return stored


def _difference(made: np.ndarray | None, stored: np.ndarray) -> float:
    if made is None or made.shape != stored.shape:
        return float("inf")
    return float(np.abs(made.astype(np.float64) - stored).max(initial=0.0))
