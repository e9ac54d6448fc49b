# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether the parts of a checkpoint belong together: network, tokenizer, image and video processing."""

from __future__ import annotations

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families.family import Family
from molmo_ros.molmo.families.table import family
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.video_config import VideoConfig
from molmo_ros.molmo.prompts.tokenizer import Tokenizer

POINT_TOKENS = {"<|token_index|>": "patch_id", "<|vit_index|>": "subpatch_id", "<|vit_loc|>": "location_id"}
SMALLEST_SHARE = 0.9
"""Share of the network's vocabulary that its own tokenizer fills at least; the rest is padding."""


def check_parts(
    config: MolmoConfig, tokenizer: Tokenizer, images: ImageProcessorConfig, video: VideoConfig
) -> None:
    """Refuses parts that do not fit each other.

    Raises:
        CheckpointError: Names what was found and what would fit.
    """
    own = family(config.family)
    if images.style != own.image_style:
        raise CheckpointError(
            f"the image processor makes {images.style} crops; a {config.family} model takes "
            f"{own.image_style} ones"
        )
    _check_crops("image", images, config)
    if own.prompt.many_images:
        _check_crops("video", video.frame, config)
    _check_tokens(config, tokenizer, own)
    _check_vocabulary(config, tokenizer)


def _check_crops(what: str, crops: ImageProcessorConfig, config: MolmoConfig) -> None:
    patches = (crops.grid.patches, crops.grid.patches)
    if patches != config.vision.grid or crops.patch_size != config.vision.patch_size:
        raise CheckpointError(
            f"the {what} processor makes crops of {patches} patches of {crops.patch_size} px; the vision "
            f"tower takes {config.vision.grid} of {config.vision.patch_size} px"
        )


def _check_tokens(config: MolmoConfig, tokenizer: Tokenizer, own: Family) -> None:
    """The special tokens: all there, with the ids that config.json says, and with an embedding."""
    needed = own.prompt.special_tokens
    missing = [name for name in needed if not tokenizer.has(name)]
    if missing:
        raise CheckpointError(
            f"the tokenizer lacks the special tokens {', '.join(missing)}, which prompts of {own.members} need"
        )
    named = {f"<{name}>": number for name, number in config.token_ids.items()}
    if config.point_head is not None:
        named |= {name: getattr(config.point_head, key) for name, key in POINT_TOKENS.items()}
    for name, expected in named.items():
        if tokenizer.has(name) and tokenizer.special_id(name) != expected:
            found = tokenizer.special_id(name)
            raise CheckpointError(
                f"{name} is {found!r:.200} in the tokenizer and {expected!r} in config.json"
            )
    rows = config.decoder.vocab + config.decoder.extra_vocab
    ids = {name: tokenizer.special_id(name) for name in needed} | {"BOS": tokenizer.bos_id}
    outside = [f"{name} is {number}" for name, number in ids.items() if number >= rows]
    if outside:
        raise CheckpointError(f"{', '.join(outside)} in the tokenizer; the model has {rows} embeddings")


def _check_vocabulary(config: MolmoConfig, tokenizer: Tokenizer) -> None:
    """Whether the tokenizer is as large as the network's vocabulary, and can end an answer."""
    decoder = config.decoder
    rows = decoder.vocab + decoder.extra_vocab
    if tokenizer.highest_text_id >= rows:
        raise CheckpointError(
            f"the tokenizer writes text with ids up to {tokenizer.highest_text_id}; the model has {rows} "
            "embeddings: it is another model's tokenizer"
        )
    if tokenizer.highest_id + 1 < SMALLEST_SHARE * decoder.vocab:
        raise CheckpointError(
            f"the tokenizer has {tokenizer.highest_id + 1} ids; the model's vocabulary has {decoder.vocab}: it is "
            "another model's tokenizer"
        )
    scored = rows if decoder.extra_head else decoder.vocab
    if min(tokenizer.eos_ids) >= scored:
        raise CheckpointError(
            f"the tokens that end an answer are {sorted(tokenizer.eos_ids)}; the model can only write ids below "
            f"{scored}"
        )
