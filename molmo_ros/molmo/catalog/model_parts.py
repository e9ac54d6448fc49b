# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is read of a model before its weights: its shape, tokenizer and processing; an adapter's from its base."""

from __future__ import annotations

from pathlib import Path

from molmo_ros.molmo.catalog.config_file import read_config_file, refuse_unreadable
from molmo_ros.molmo.catalog.model_folder import base_folder, holding
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families.table import FAMILIES, image_style
from molmo_ros.molmo.images.hub_settings import read_part
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.padded_style import PADDED
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.images.video_config import VideoConfig
from molmo_ros.molmo.json_file import read_json
from molmo_ros.molmo.prompts.tokenizer import Tokenizer


def read_config(folder: str | Path) -> MolmoConfig:
    """The shape of a model.

    Raises:
        CheckpointError: No such folder or file, not JSON, or a model that is not supported.
    """
    folder = Path(folder)
    refuse_unreadable(folder)
    # An adapter's trainer may leave a config.json beside it, which has no more to say than its base's.
    return read_config_file(base_folder(folder) or folder)


def read_tokenizer(folder: str | Path) -> Tokenizer:
    """A model's tokenizer.

    Raises:
        CheckpointError: See `Tokenizer.from_folder`.
    """
    return Tokenizer.from_folder(holding(folder, "tokenizer.json", "vocab.json"))


def read_image_processing(folder: str | Path) -> ImageProcessorConfig:
    """How a model's images are processed: preprocessor_config.json, or a part of processor_config.json.

    Absent keys take the family's released value. The style is that of `image_processor_type`, else of `model_type` in
    config.json.

    Raises:
        CheckpointError: No such files, or settings that are not implemented.
    """
    folder = holding(folder, "preprocessor_config.json", "processor_config.json")
    processor = read_json(folder / "processor_config.json")
    settings = read_json(folder / "preprocessor_config.json") or read_part(processor, "image_processor")
    model = read_json(folder / "config.json")
    kind = str(settings.get("image_processor_type") or model.get("model_type") or "").lower()
    style = image_style(kind)
    if style is not None:
        return ImageProcessorConfig.from_settings(style, settings, processor, folder)
    if not kind and not settings:
        raise CheckpointError(f"{folder} holds neither preprocessor_config.json nor config.json.")
    known = (STRETCHED.processor, PADDED.processor, *FAMILIES)
    raise CheckpointError(
        f"{folder} is for {kind or 'an unnamed model'!r:.200}; image_processor_type or model_type must be one of "
        f"{', '.join(known)}."
    )


def read_video_processing(folder: str | Path, images: ImageProcessorConfig) -> VideoConfig:
    """How a model's videos are processed.

    Args:
        folder: The model's.
        images: How it processes images.

    Raises:
        CheckpointError: See `VideoConfig.from_folder`.
    """
    return VideoConfig.from_folder(
        holding(folder, "video_preprocessor_config.json", "processor_config.json"), images
    )
