# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Parts of different checkpoints, put into one folder by mistake."""

from dataclasses import replace
from pathlib import Path

import pytest

from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.padded_style import PADDED
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.images.video_config import VideoConfig
from molmo_ros.molmo.part_check import check_parts
from molmo_ros.molmo.prompts.tokenizer import Tokenizer

VECTORS = Path(__file__).parents[1] / "vectors"
TINY = {
    "molmo": "molmo-7b-d-tiny",
    "molmoe": "molmoe-1b-tiny",
    "molmo2": "molmo2-4b-tiny",
    "molmo_point": "molmopoint-8b-tiny",
}
# Base vocabulary and rows beyond it of the released models.
VOCABULARY = {
    "molmo": (152064, 128),
    "molmoe": (50304, 128),
    "molmo2": (151936, 128),
    "molmo_point": (151936, 128),
}


def parts(family: str, tokenizer: Tokenizer):
    """A config with the released vocabulary, and what belongs to it; the ids as config.json has them there."""
    config = read_config(VECTORS / TINY[family])
    vocab, extra = VOCABULARY[family]
    ids = {name: tokenizer.special_id(f"<{name}>") for name in config.token_ids if tokenizer.has(f"<{name}>")}
    head = config.point_head
    if head is not None:
        names = {"patch_id": "<|token_index|>", "subpatch_id": "<|vit_index|>", "location_id": "<|vit_loc|>"}
        head = replace(head, **{key: tokenizer.special_id(name) for key, name in names.items()})
    decoder = replace(config.decoder, vocab=vocab, extra_vocab=extra)
    known = ids if family.startswith("molmo2") or head else {}
    config = replace(config, decoder=decoder, token_ids=known, point_head=head)
    images = ImageProcessorConfig.released(PADDED if family in ("molmo", "molmoe") else STRETCHED)
    return config, images, VideoConfig.of_images(images)


@pytest.fixture(scope="module")
def tokenizers(write_released_tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    return {
        family: Tokenizer.from_folder(write_released_tokenizer(folder / family, family)) for family in TINY
    }


@pytest.mark.parametrize("family", TINY)
def test_what_belongs_together_passes(tokenizers, family):
    config, images, video = parts(family, tokenizers[family])
    check_parts(config, tokenizers[family], images, video)


@pytest.mark.parametrize(
    ("family", "other", "message"),
    [
        ("molmoe", "molmo", "<im_start> is 152064, .*in the tokenizer; the model has 50432 embeddings"),
        ("molmo", "molmoe", "the tokenizer has 50285 ids; the model's vocabulary has 152064"),
        ("molmo2", "molmo", "lacks the special tokens <low_res_im_start>, which prompts of Molmo2-4B"),
        (
            "molmo_point",
            "molmoe",
            r"lacks .*<low_res_im_start>, <im_low>, <\|im_start\|>.* prompts of MolmoPoint-8B",
        ),
    ],
)
def test_tokenizers_of_other_families(tokenizers, family, other, message):
    config, images, video = parts(family, tokenizers[family])
    with pytest.raises(CheckpointError, match=message):
        check_parts(config, tokenizers[other], images, video)


def test_ids_at_odds_with_the_config(tokenizers):
    config, images, video = parts("molmo2", tokenizers["molmo2"])
    ids = config.token_ids | {"im_col": 151940}
    with pytest.raises(
        CheckpointError, match="<im_col> is 151939 in the tokenizer and 151940 in config.json"
    ):
        check_parts(replace(config, token_ids=ids), tokenizers["molmo2"], images, video)
    config, images, video = parts("molmo_point", tokenizers["molmo_point"])
    head = replace(config.point_head, subpatch_id=5)
    with pytest.raises(
        CheckpointError, match=r"<\|vit_index\|> is 151948 in the tokenizer and 5 in config.json"
    ):
        check_parts(replace(config, point_head=head), tokenizers["molmo_point"], images, video)


def test_an_id_that_is_text_looks_like_one(tokenizers):
    config, images, video = parts("molmo2", tokenizers["molmo2"])
    ids = config.token_ids | {"im_col": "151939"}
    with pytest.raises(
        CheckpointError, match="<im_col> is 151939 in the tokenizer and '151939' in config.json"
    ):
        check_parts(replace(config, token_ids=ids), tokenizers["molmo2"], images, video)


def test_ids_without_an_embedding_and_answers_without_an_end(tokenizers):
    config, images, video = parts("molmo2", tokenizers["molmo2"])
    few = replace(config, decoder=replace(config.decoder, extra_vocab=3))
    with pytest.raises(
        CheckpointError, match=r"<im_col> is 151939, <low_res_im_start> is 151940 in .* 151939 emb"
    ):
        check_parts(few, tokenizers["molmo2"], images, video)
    tiny = replace(config, decoder=replace(config.decoder, vocab=151000, extra_vocab=950))
    with pytest.raises(CheckpointError, match=r"end an answer are \[151643, 151645\]; .* below 151000"):
        check_parts(tiny, tokenizers["molmo2"], images, video)
    text = replace(config, decoder=replace(config.decoder, vocab=1000, extra_vocab=0), token_ids={})
    with pytest.raises(CheckpointError, match="the model has 1000 embeddings"):
        check_parts(text, tokenizers["molmo2"], images, video)


def test_text_beyond_the_embeddings(write_tokenizer, tmp_path):
    """The special tokens fit, the words do not."""
    config = read_config(VECTORS / "molmo2-4b-tiny")
    tokenizer = Tokenizer.from_folder(write_tokenizer(tmp_path))
    check_parts(
        config,
        tokenizer,
        ImageProcessorConfig.released(STRETCHED),
        VideoConfig.of_images(ImageProcessorConfig.released(STRETCHED)),
    )
    assert tokenizer.highest_text_id == 329  # a row of blanks, added last
    few = replace(config, decoder=replace(config.decoder, vocab=329, extra_vocab=0))
    with pytest.raises(CheckpointError, match="text with ids up to 329; the model has 329 embeddings"):
        check_parts(
            few,
            tokenizer,
            ImageProcessorConfig.released(STRETCHED),
            VideoConfig.of_images(ImageProcessorConfig.released(STRETCHED)),
        )


def test_image_and_video_processing_of_another_family(tokenizers):
    config, images, video = parts("molmo2", tokenizers["molmo2"])
    old = ImageProcessorConfig.released(PADDED)
    with pytest.raises(CheckpointError, match="makes padded crops; a molmo2 model takes stretched ones"):
        check_parts(config, tokenizers["molmo2"], old, video)
    small = replace(images, crop_size=196)
    with pytest.raises(CheckpointError, match=r"image processor makes crops of \(14, 14\) patches"):
        check_parts(config, tokenizers["molmo2"], small, video)
    with pytest.raises(CheckpointError, match=r"video processor makes crops of \(14, 14\) patches"):
        check_parts(config, tokenizers["molmo2"], images, VideoConfig.of_images(small))
