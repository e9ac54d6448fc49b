"""The range of every dynamic input of the two graphs: one profile each.

One, because a second one stores four-bit weights twice. Kernels are chosen for the usual shape: a decoder mostly takes
one token, so that is its usual one; a tower mostly sees as many crops as it may.
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
