"""What is read of a model before its weights: its shape, tokenizer and processing; an adapter's from its base."""

from __future__ import annotations

from pathlib import Path

from molmo_ros.molmo.catalog.config_file import read_config_file, refuse_unreadable
from molmo_ros.molmo.catalog.model_folder import base_folder, holding
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.video_config import VideoConfig
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
    """How a model's images are processed.

    Raises:
        CheckpointError: See `ImageProcessorConfig.from_folder`.
    """
    return ImageProcessorConfig.from_folder(
        holding(folder, "preprocessor_config.json", "processor_config.json")
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
