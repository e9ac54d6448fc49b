# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the benchmark of GPUs measures: the same work for every runtime, and what the device can do at best."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.loading import MODELS
from molmo_ros.molmo.answers.image_encoder import image_tensors
from molmo_ros.molmo.catalog.model_parts import read_config, read_image_processing
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.families.table import family, parse_config
from molmo_ros.molmo.images.crop_budget import tiling_cost
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.network.model import MolmoModel, prefill_mask
from molmo_ros.molmo.running.runtime import Cache, ImageTensors, Runtime

NAMES = (*MODELS, "tiny")
PICTURES = (((378, 378), 1), ((720, 1280), 4), ((720, 1280), 8))
"""(height, width) [px] of a picture, and the most tiles it is cut into."""
WORDS = 24
"""Tokens of a prompt that are not the image's."""
FIRST_POINT = 16
"""Tokens of an answer up to the end of its first point, about."""
PASSES = (8, 16, 32)
"""Tokens of a pass that verifies guesses."""
GB = 1e9


class Measured(Protocol):
    """As much of a `Runtime` as is measured."""

    def encode_image(self, image: ImageTensors) -> Any:
        """Image features."""

    def cache(self, max_len: int, old: Any = None) -> Any:
        """A KV cache."""

    def prefill(self, embeddings: Tensor, mask: Tensor, cache: Any) -> Any:
        """Scores of the last token, as `.logits`."""

    def decode(self, embedding: Tensor, cache: Any) -> Any:
        """Scores of one token, as `.logits`."""


@dataclass(frozen=True)
class Effort:
    """How often things are measured.

    Attributes:
        warm: Runs before the first that counts.
        repeats: Runs that count; their median is the result.
        tokens: Decoded in one run.
    """

    warm: int
    repeats: int
    tokens: int


FULL, QUICK = Effort(3, 10, 64), Effort(1, 1, 2)


@dataclass(frozen=True)
class PromptCase:
    """A picture and its prompt.

    Attributes:
        image: What the image processor makes of random pixels.
        embeddings: float32 [1, tokens, width], random.
        is_image: bool [1, tokens].
    """

    image: ImageTensors
    embeddings: Tensor
    is_image: Tensor

    @property
    def crops(self) -> int:
        """What the tower sees."""
        return 1 if self.image.single_view else len(self.image.crops)

    @property
    def tokens(self) -> int:
        """Of the prompt."""
        return self.embeddings.shape[1]


def load_config(name: str) -> tuple[MolmoConfig, ImageProcessorConfig]:
    """A model's shape and image processing."""
    if name == "tiny":
        folder = EMBEDDED / "tiny"
        images = read_image_processing(folder).with_max_crops(8)
        return read_config(folder), images
    config = parse_config(MODELS[name])
    return config, ImageProcessorConfig.released(family(config.family).image_style)


def random_model(config: MolmoConfig, dtype: torch.dtype, device: torch.device) -> MolmoModel:
    """A model of random weights, made where it is to be."""
    with torch.device("meta"):
        model = MolmoModel(config)
    model = model.to(dtype).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.fill_(1)
            else:
                parameter.normal_(0, 0.02, generator=generator)
    return model.eval()


def cases(config: MolmoConfig, images: ImageProcessorConfig) -> list[PromptCase]:
    """The pictures, each with the prompt that it makes."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    made = []
    for size, tiles in PICTURES:
        processed = ImageProcessor(images.with_max_crops(tiles))(rng.integers(0, 256, (*size, 3), np.uint8))
        image = image_tensors(processed)
        of_image = tiling_cost(images, processed.tiling).tokens
        embeddings = torch.randn(1, of_image + WORDS, config.decoder.width, generator=generator)
        is_image = (torch.arange(of_image + WORDS) < of_image).unsqueeze(0)
        made.append(PromptCase(image, embeddings, is_image))
    return made


@torch.inference_mode()
def measure(
    runtime: Measured,
    config: MolmoConfig,
    work: list[PromptCase],
    effort: Effort,
    dtype: torch.dtype,
    device: torch.device,
) -> dict[str, Any]:
    """Medians of wall time, the device's work included.

    Returns:
        vision_ms: By crops. prefill_ms: By tokens. decode_ms: Of one token after the middle prompt, chosen on the host.
        first_point_ms: Vision, prefill and `FIRST_POINT` tokens of the middle picture.
        pass_ms: By tokens, of a pass over so many behind the middle prompt, which verifies guesses or decodes so many
            answers together; only of our own runtimes.
    """
    clock = DeviceClock(device, effort)
    vision, prefill = {}, {}
    for case in work:
        vision[str(case.crops)] = clock.median(lambda case=case: runtime.encode_image(case.image))
    for case in work:
        embeddings = case.embeddings.to(device, dtype)
        mask = prefill_mask(case.is_image, config.image_block).to(device)
        room = case.tokens + effort.tokens

        def fill(embeddings: Tensor = embeddings, mask: Tensor = mask, room: int = room) -> Any:
            cache = runtime.cache(room)
            return runtime.prefill(embeddings, mask, cache), cache

        prefill[str(case.tokens)] = clock.median(fill)
    case = work[len(work) // 2]
    embeddings = case.embeddings.to(device, dtype)
    mask = prefill_mask(case.is_image, config.image_block).to(device)

    def decode(cache: Any, tokens: int) -> None:
        for number in range(tokens):
            int(runtime.decode(embeddings[:, number : number + 1], cache).logits[0, -1].argmax())

    def first_point() -> None:
        runtime.encode_image(case.image)
        cache = runtime.cache(case.tokens + FIRST_POINT)
        runtime.prefill(embeddings, mask, cache)
        decode(cache, FIRST_POINT)

    times = []
    for run in range(effort.warm + effort.repeats):
        cache = runtime.cache(case.tokens + effort.tokens)
        runtime.prefill(embeddings, mask, cache)
        seconds = clock.seconds(lambda cache=cache: decode(cache, effort.tokens))
        times += [seconds] if run >= effort.warm else []
    figures = {
        "vision_ms": vision,
        "prefill_ms": prefill,
        "decode_ms": statistics.median(times) / effort.tokens * 1e3,
        "first_point_ms": clock.median(first_point),
    }
    if hasattr(runtime, "max_scores"):  # a `Runtime`
        cache = runtime.cache(case.tokens + max(PASSES))
        runtime.prefill(embeddings, mask, cache)
        figures["pass_ms"] = {
            str(count): clock.median(
                partial(_verify, cast(Runtime, runtime), cache, case.tokens, embeddings[:, :count])
            )
            for count in PASSES
        }
    return figures


def _verify(runtime: Runtime, cache: Cache, before: int, embeddings: Tensor) -> None:
    """A pass over tokens behind those that the cache holds, each scored; the next tokens are chosen on the host."""
    count, device = embeddings.shape[1], embeddings.device
    cache.truncate(before)
    own = torch.ones(count, count, dtype=torch.bool, device=device).tril()
    mask = torch.cat([own.new_ones(count, before), own], dim=1)[None, None]
    places = torch.arange(count, device=device)
    output = runtime.prefill(
        embeddings, mask, cache, positions=(before + places).unsqueeze(0), logits_for=places
    )
    output.logits[0].argmax(dim=-1).tolist()


class DeviceClock:
    """Times calls on a device."""

    def __init__(self, device: torch.device, effort: Effort) -> None:
        self._device, self._effort = device, effort

    def seconds(self, call: Callable[[], object]) -> float:
        """Wall time of one call, from an idle device to an idle device."""
        self._wait()
        started = time.perf_counter()
        call()
        self._wait()
        return time.perf_counter() - started

    def median(self, call: Callable[[], object]) -> float:
        """The median of several calls [ms]."""
        times = [self.seconds(call) for _ in range(self._effort.warm + self._effort.repeats)]
        return statistics.median(times[self._effort.warm :]) * 1e3

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def floors(device: torch.device, dtype: torch.dtype, effort: Effort) -> dict[str, float]:
    """What the device does at best, with torch's kernels.

    Returns:
        copy_gb_s, read_gb_s: Memory bandwidth of copying (read and written bytes), and of a matrix times a vector
            (the read bytes), which is what a decoded token is made of. matmul_tflops: Of square matrices.
    """
    large = device.type == "cuda"
    clock = DeviceClock(device, effort)
    values, side = (1 << 30, 8192) if large else (1 << 22, 512)
    source = torch.ones(values, dtype=dtype, device=device)
    target = torch.empty_like(source)
    copied = clock.median(lambda: target.copy_(source))
    matrix, vector = source.view(-1, 4096), torch.ones(4096, dtype=dtype, device=device)
    read = clock.median(lambda: matrix @ vector)
    one = torch.randn(side, side, dtype=dtype, device=device)
    product = clock.median(lambda: one @ one)
    size = source.nbytes
    return {
        "copy_gb_s": 2 * size / GB / (copied / 1e3),
        "read_gb_s": size / GB / (read / 1e3),
        "matmul_tflops": 2 * side**3 / 1e12 / (product / 1e3),
    }


def decoded_bytes(config: MolmoConfig, dtype: torch.dtype) -> int:
    """Weights that one token reads; its keys and values are not counted."""
    return sum(numel for _, numel in _decoder_matrices(config)) * dtype.itemsize


def prefill_flops(config: MolmoConfig, tokens: int) -> float:
    """Of the decoder's matrices; attention and the head, which sees one token, are not counted."""
    return 2.0 * tokens * sum(numel for name, numel in _decoder_matrices(config) if "head" not in name)


def vision_flops(config: MolmoConfig, crops: int) -> float:
    """Of the tower's matrices; attention and the connector are not counted."""
    with torch.device("meta"):
        tower = MolmoModel(config).vision
    numel = sum(
        one.numel() for name, one in tower.named_parameters() if one.ndim == 2 and "position" not in name
    )
    return 2.0 * crops * config.vision.patches * numel


def _decoder_matrices(config: MolmoConfig) -> Iterator[tuple[str, int]]:
    """Those that every token goes through: the embedding only where it is the head."""
    with torch.device("meta"):
        decoder = MolmoModel(config).decoder
    for name, parameter in decoder.named_parameters():
        if parameter.ndim == 2 and not name.startswith("embedding"):
            yield name, parameter.numel()
    if config.decoder.tied_head:
        yield "head, the embedding", decoder.embedding.base.numel()
