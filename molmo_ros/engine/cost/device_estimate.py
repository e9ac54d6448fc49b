# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a model takes on a device: memory, time to a first point, tokens per second. Computed, not measured.

The floor of a time is what no program can beat: bytes over the memory's bandwidth, or operations over the tensor cores'
rate, whichever is longer. The likely one takes the share of each that others' programs reached with models of the same
shapes on such devices, and its range the least and the most of these (`published_speed.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from molmo_ros.engine.cost.device import GB, Device
from molmo_ros.engine.cost.pass_cost import ITEM, PassCost, decoder_pass, stored_values, vision_pass
from molmo_ros.engine.shapes import Shapes, image_features
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.images.crop_budget import ImageCost
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig

WORDS = 24
"""Tokens of a prompt that are not the image's."""
FIRST_POINT = 16
"""Tokens of an answer up to the end of its first point, about."""
RUNTIME_MEMORY = 0.8 * GB
"""What CUDA, its libraries' kernels and torch take on a device by themselves [bytes]; as others report it."""
LIKELY, LEAST, MOST = (0.75, 0.40), (0.65, 0.09), (0.90, 0.70)
"""Shares of the bandwidth and of the rate of products: see `published_speed.py`, which a test holds them against."""
FLOOR = (1.0, 1.0)


@dataclass(frozen=True)
class Span:
    """A computed figure.

    Attributes:
        floor: At all that the device can do.
        likely: At `LIKELY` shares.
        best: At `MOST` shares.
        worst: At `LEAST` shares.
    """

    floor: float
    likely: float
    best: float
    worst: float


@dataclass(frozen=True)
class DeviceEstimate:
    """One model in one precision on one device, for pictures of one kind.

    Attributes:
        device: Where.
        precision: Of the decoder's weights, as builds have it.
        image: What a picture becomes.
        weights: All that the device holds, tables included; token embeddings stay in the checkpoint's files [bytes].
        cache: Keys and values at the engine's full context [bytes].
        scratch: Activations of its largest pass, about [bytes].
        vision: A pass of tower and connector.
        prefill: The pass of a prompt with that picture.
        decode: A pass of one token behind it.
    """

    device: Device
    precision: str
    image: ImageCost
    weights: float
    cache: float
    scratch: float
    vision: PassCost
    prefill: PassCost
    decode: PassCost

    @classmethod
    def of(
        cls,
        config: MolmoConfig,
        images: ImageProcessorConfig,
        image: ImageCost,
        precision: str,
        device: Device,
        context: int | None = None,
    ) -> DeviceEstimate:
        """Counts.

        Args:
            config: The model's shape.
            images: Its image processing; `max_crops` is what the engine is built for.
            image: What a picture becomes.
            precision: As of the build.
            device: Where.
            context: Slots of the KV cache; None for what a build takes.

        Raises:
            UnsupportedBuildError: The model has no such precision, or the context is too small or too large.
        """
        shapes = Shapes.of(config, images, None, context)
        decoder, item = config.decoder, ITEM.get(precision, 2)
        whole = decoder_pass(config, precision, decoder.experts or 1, shapes.max_context)
        tower = vision_pass(config, precision, image.passes, image_features(images, image.tiling))
        outside = sum(count for name, count in stored_values(config) if name == "point head")
        tables = 2 * 4 * shapes.max_context * decoder.head_dim // 2
        tables *= 1 if decoder.rope_scaling is None else 2
        slots = 2 * decoder.layers * decoder.kv_heads * decoder.head_dim * shapes.max_context
        prompt = image.tokens + WORDS
        return cls(
            device,
            precision,
            image,
            weights=whole.weights + tower.weights + outside * item + tables,
            cache=float(slots * item),
            scratch=float(max(_decoder_scratch(config, shapes, item), _vision_scratch(config, shapes, item))),
            vision=tower,
            prefill=decoder_pass(config, precision, prompt, prompt),
            decode=decoder_pass(config, precision, 1, prompt + FIRST_POINT),
        )

    @property
    def memory(self) -> float:
        """What it needs on the device [bytes]."""
        return self.weights + self.cache + self.scratch + RUNTIME_MEMORY

    @property
    def cache_copy(self) -> float:
        """What each token takes beside, at the floor, in an engine of TensorRT before 10.15, which makes a new cache of
        the old one: all of it read and written [s]."""
        return 2 * self.cache / self.device.bandwidth

    @property
    def fits(self) -> bool:
        """Whether the device has that, beside what others need there."""
        return self.memory <= self.device.usable

    @property
    def first_point(self) -> Span:
        """Time from the prepared picture to the end of the first point [s]."""

        def seconds(shares: tuple[float, float]) -> float:
            once = self.vision.seconds(self.device, *shares) + self.prefill.seconds(self.device, *shares)
            return once + FIRST_POINT * self.decode.seconds(self.device, *shares)

        return Span(*map(seconds, (FLOOR, LIKELY, MOST, LEAST)))

    @property
    def tokens_per_second(self) -> Span:
        """Decoded by one stream behind that picture."""
        return Span(*(1 / self.decode.seconds(self.device, *one) for one in (FLOOR, LIKELY, MOST, LEAST)))


def _decoder_scratch(config: MolmoConfig, shapes: Shapes, item: int) -> int:
    """The widest step of a block, its residual stream, the mask, and scores of all tokens that may have them."""
    decoder = config.decoder
    inner = decoder.mlp_width * (decoder.experts or 1)
    fused = (decoder.heads + 2 * decoder.kv_heads) * decoder.head_dim
    rows = shapes.max_prompt * (2 * decoder.width + max(3 * inner, 2 * fused)) * item
    mask = shapes.max_prompt * shapes.max_context
    scores = shapes.max_logits * (decoder.vocab + decoder.extra_vocab) * 4
    experts = 3 * decoder.width * decoder.mlp_width * decoder.experts * item  # gathered, once
    return rows + mask + scores + experts


def _vision_scratch(config: MolmoConfig, shapes: Shapes, item: int) -> int:
    """The widest step of a block and what is kept for later: features, and the residual stream."""
    vision, connector = config.vision, config.connector
    rows = (shapes.max_crops + 1) * vision.patches
    inner = 3 * vision.heads * vision.head_dim
    kept = vision.width + vision.feature_width
    step = rows * (kept + max(2 * vision.mlp_width, inner + vision.width))
    slots, inner = connector.pool[0] * connector.pool[1], connector.heads * connector.head_dim
    members = slots * (connector.feature_width + 2 * inner)
    pooled = shapes.max_image_tokens * (members + 3 * connector.hidden_width) + rows * vision.feature_width
    return max(step, pooled) * item
