# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From pixels to features in a prompt: everything that depends on the images of a query alone."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from molmo_ros.molmo.answers.encoded_image import EncodedImage
from molmo_ros.molmo.answers.point_format import PointFormat
from molmo_ros.molmo.images.crop_budget import CropBudget
from molmo_ros.molmo.images.image_processor import ImageProcessor, ProcessedImage
from molmo_ros.molmo.images.video_config import VideoConfig
from molmo_ros.molmo.network.model import ImageFeatures
from molmo_ros.molmo.prompts.prompt import Prefix, PromptBuilder
from molmo_ros.molmo.running.runtime import ImageTensors, Runtime


class ImageEncoder:
    """Encodes the images of one prompt, or the frames of one video, for one model."""

    def __init__(
        self,
        runtime: Runtime,
        image_processor: ImageProcessor,
        video: VideoConfig,
        prompts: PromptBuilder,
        point_format: PointFormat,
        crop_budget: CropBudget,
    ) -> None:
        self._runtime, self._prompts, self._point_format = runtime, prompts, point_format
        self._image_processor, self._crop_budget = image_processor, crop_budget
        self._video, self._frame_processor = video, ImageProcessor(video.frame)

    def images(self, images: Sequence[np.ndarray], max_crops: int | None) -> EncodedImage:
        """See `Molmo.encode`."""
        started = time.perf_counter()
        self._prompts.check_count(len(images))
        crops = self._crop_budget.choose([_size(one) for one in images], max_crops)
        process = self._image_processor
        if crops.max_crops != process.config.max_crops:
            process = ImageProcessor(process.config.with_max_crops(crops.max_crops))
        # Before any pixel is touched: so many images may be more than memory holds.
        prefix = self._prompts.prefix([process.plan(one) for one in images])
        encoded = self._encoded(process, images, prefix, started)
        encoded.crops = crops
        return encoded

    def video(self, frames: Sequence[np.ndarray], times: Sequence[float]) -> EncodedImage:
        """See `Molmo.encode_video`."""
        started = time.perf_counter()
        moments = self._video.check_times(len(frames), times)
        process = self._frame_processor
        prefix = self._prompts.video_prefix([process.plan(one) for one in frames], moments, self._video)
        return self._encoded(process, frames, prefix, started)

    def _encoded(
        self, process: ImageProcessor, images: Sequence[np.ndarray], prefix: Prefix, started: float
    ) -> EncodedImage:
        processed = [process(one) for one in images]
        preprocessed = time.perf_counter()
        encoded = self._point_format.encoded(processed, prefix, self._features(processed))
        ended = time.perf_counter()
        encoded.timing_ms = milliseconds(preprocess=preprocessed - started, vision=ended - preprocessed)
        return encoded

    @torch.inference_mode()
    def _features(self, images: Sequence[ProcessedImage]) -> ImageFeatures:
        """Features of all images."""
        features = [self._runtime.encode_image(image_tensors(one)) for one in images]
        return ImageFeatures.join(features)


def image_tensors(image: ProcessedImage) -> ImageTensors:
    """A processed image as a runtime takes it: the same memory, as torch tensors."""
    masks, input_idx, pooling, colours = (
        None if table is None else torch.from_numpy(table)
        for table in (image.masks, image.input_idx, image.pooling, image.colours)
    )
    patches = torch.from_numpy(image.patches)
    return ImageTensors(patches, masks, input_idx, pooling, image.single_view, colours)


def milliseconds(**seconds: float) -> dict[str, float]:
    """Wall times of stages [ms]."""
    return {stage: value * 1e3 for stage, value in seconds.items()}


def _size(image: np.ndarray) -> tuple[int, int]:
    """(height, width) [px]; of one pixel for what is no image, and what the image processor then refuses."""
    known = isinstance(image, np.ndarray) and image.ndim == 3
    return (image.shape[0], image.shape[1]) if known else (1, 1)
