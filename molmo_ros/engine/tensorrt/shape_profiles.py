# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The range of every dynamic input of the two graphs.

Kernels are chosen for the usual shape: a tower mostly sees as many crops as it may, a decoder mostly takes one token.
Where they are chosen when an engine is built, a second profile of the same ranges chooses others for prompts, which
are most of the time to the first point; TensorRT for RTX compiles for the lengths that come. Passes over a few tokens
(`Shapes.fixed_widths`, all of them in the range) take the kernels for single ones: both wait for the weights.
"""

from __future__ import annotations

from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt.builder import Range
from molmo_ros.molmo.config import MolmoConfig


def vision_profile(config: MolmoConfig, shapes: Shapes) -> dict[str, Range]:
    """For `graphs/vision_graph.py`."""
    vision, most = config.vision, shapes.max_crops + 1

    def crops(*rest: int) -> Range:
        return (1, *rest), (most, *rest), (most, *rest)

    tokens, slots = shapes.max_image_tokens, config.connector.pool[0] * config.connector.pool[1]
    profile = {
        "crops": crops(vision.patches, vision.patch_values),
        "pooling": ((1, slots), (tokens, slots), (tokens, slots)),
    }
    return profile | ({"coverage": crops(vision.patches)} if config.connector.pad_embed else {})


def decoder_profile(config: MolmoConfig, shapes: Shapes) -> dict[str, Range]:
    """For `graphs/decoder_graph.py`."""
    width, most, context = config.decoder.width, shapes.max_prompt, shapes.max_context
    return {
        "embeddings": ((1, 1, width), (1, 1, width), (1, most, width)),
        "positions": ((1, 1), (1, 1), (1, most)),
        "mask": ((1, 1, 1, 1), (1, 1, 1, most), (1, 1, most, context)),
        "logits_for": ((1,), (1,), (shapes.max_logits,)),
    }


def prompt_profile(config: MolmoConfig, shapes: Shapes) -> dict[str, Range]:
    """For `graphs/decoder_graph.py`: as `decoder_profile`, with kernels for the prompt of the largest image."""
    width, most, context = config.decoder.width, shapes.max_prompt, shapes.max_context
    return {
        "embeddings": ((1, 1, width), (1, most, width), (1, most, width)),
        "positions": ((1, 1), (1, most), (1, most)),
        "mask": ((1, 1, 1, 1), (1, 1, most, most), (1, 1, most, context)),
        "logits_for": ((1,), (1,), (shapes.max_logits,)),
    }
