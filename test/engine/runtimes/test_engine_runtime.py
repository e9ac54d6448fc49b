# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whole answers through an engine against the torch model's, and what an engine refuses."""

import re

import numpy as np
import pytest
import torch

from molmo_ros.engine.shapes import Shapes
from molmo_ros.molmo.catalog.model_parts import read_config, read_image_processing
from molmo_ros.molmo.errors import ImageError, MolmoError, PromptError
from molmo_ros.molmo.network.model import prefill_mask
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.running.runtime import ImageTensors
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

QUERIES = ["Point to the red cube", "how many things are there?", "Point to the mug", "Point to the thing"]


@pytest.fixture(scope="module")
def torch_molmo():
    return Molmo.from_pretrained("tiny")


@pytest.fixture(scope="module")
def tiny(exported):
    model = exported("tiny")
    return Molmo.from_runtime(model.runtime(max_context=1536), model.checkpoint)


@pytest.fixture(scope="module")
def pictures():
    return [render(Scene.random(seed), *SENSOR).rgb for seed in (20_001, 20_002, 20_003)]


def test_answers_are_the_torch_models(tiny, torch_molmo, pictures):
    found = 0
    for picture in pictures:
        for text in QUERIES:
            ours, theirs = tiny.query(picture, text), torch_molmo.query(picture, text)
            assert (ours.status, ours.text, ours.tokens) == (theirs.status, theirs.text, theirs.tokens)
            assert [(p.x, p.y) for p in ours.points] == [(p.x, p.y) for p in theirs.points]
            assert ours.not_found_probability == pytest.approx(theirs.not_found_probability, abs=1e-4)
            for one, other in zip(ours.points, theirs.points, strict=True):
                assert one.confidence == pytest.approx(other.confidence, abs=1e-3)
            found += len(ours.points)
    assert found > 5


def test_two_images_take_turns_with_the_one_cache(tiny, torch_molmo, pictures):
    """Whoever lost the cache begins again, and nobody reads the other's keys."""
    ours = [tiny.encode(picture) for picture in pictures[:2]]
    expected = [[torch_molmo.query(picture, text).text for text in QUERIES] for picture in pictures[:2]]
    found = [[tiny.query(ours[which], text).text for which in (0, 1)] for text in QUERIES]
    assert [list(column) for column in zip(*found, strict=True)] == expected
    again = [tiny.query(ours[0], text) for text in QUERIES]
    assert [answer.text for answer in again] == expected[0]
    assert len({text for texts in expected for text in texts}) > 2


def test_a_second_query_computes_its_own_words_only(tiny, pictures, monkeypatch):
    encoded, lengths = tiny.encode(pictures[0]), []
    prefill = tiny.runtime.prefill
    monkeypatch.setattr(
        tiny.runtime,
        "prefill",
        lambda x, *rest, **more: lengths.append(x.shape[1]) or prefill(x, *rest, **more),
    )
    tiny.query(encoded, QUERIES[0], options=GenerateOptions(max_new_tokens=1))
    tiny.query(encoded, QUERIES[1], options=GenerateOptions(max_new_tokens=1))
    assert lengths[0] > len(encoded.prefix)
    assert max(lengths[1:]) < 30


@torch.inference_mode()
def test_a_long_prompt_goes_in_passes(exported):
    """Cut where no token sees a later one; the image's block stays whole."""
    for name in ("molmo-7b-d-tiny", "molmo2-4b-tiny", "molmopoint-8b-tiny"):
        model = exported(name)
        whole, cut = model.runtime(), model.runtime(max_prompt=32, max_logits=3)
        torch.manual_seed(0)
        embeddings = torch.randn(1, 110, model.config.decoder.width)
        is_image = (torch.arange(110) >= 10) & (torch.arange(110) < 40)
        mask = prefill_mask(is_image.unsqueeze(0), model.config.image_block)
        wanted = torch.tensor([0, 9, 11, 12, 13, 14, 15, 39, 40, 75, 109])
        sizes = []
        run = cut.runner.decoder
        cut.runner.decoder = lambda x, *rest, run=run, sizes=sizes: sizes.append(x.shape[1]) or run(x, *rest)
        found = cut.prefill(embeddings, mask, cut.cache(120), logits_for=wanted)
        expected = whole.prefill(embeddings, mask, whole.cache(120), logits_for=wanted)
        assert torch.allclose(found.logits, expected.logits, atol=1e-4)
        if expected.states is not None:
            assert torch.allclose(found.states, expected.states, atol=1e-4)
        assert max(sizes) <= 32 and sum(sizes) >= 110


def test_an_image_block_that_is_too_large_is_refused(exported):
    model = exported("molmo2-4b-tiny")
    engine = model.runtime(max_prompt=32)
    embeddings = torch.randn(1, 60, model.config.decoder.width)
    mask = prefill_mask((torch.arange(60) < 33).unsqueeze(0), True)
    with pytest.raises(PromptError, match=r"33 tokens see each other.*takes 32.*molmo-ros build MODEL"):
        engine.prefill(embeddings, mask, engine.cache(60))


def test_what_does_not_fit_the_engine_is_refused(exported):
    model = exported("molmo2-4b-tiny")
    engine = model.runtime(max_crops=2, max_image_tokens=50, max_context=100)
    patches, values = model.config.vision.patches, model.config.vision.patch_values
    table = torch.zeros(50, 4, dtype=torch.long)

    def image(crops, pooling):
        return ImageTensors(torch.zeros(crops, patches, values), pooling=pooling)

    assert engine.encode_image(image(3, table)).tokens.shape[0] == 50
    with pytest.raises(ImageError, match=r"3 tiles.*built for 2.*--max-crops: molmo-ros build MODEL"):
        engine.encode_image(image(4, table))
    with pytest.raises(ImageError, match="51 image features.*built for 50"):
        engine.encode_image(image(3, torch.zeros(51, 4, dtype=torch.long)))
    with pytest.raises(ImageError, match="9 patches each.*--engine torch"):
        engine.encode_image(image(1, torch.zeros(5, 9, dtype=torch.long)))
    with pytest.raises(ImageError, match=re.escape(f"must be ({patches}, {values})")):
        engine.encode_image(ImageTensors(torch.zeros(2, 3, values), pooling=table))
    with pytest.raises(ImageError, match="pooling table"):
        engine.encode_image(image(1, None))
    with pytest.raises(PromptError, match=r"101 tokens.*built for 100.*--max-context 101"):
        engine.cache(101)
    cache = engine.cache(100)
    with pytest.raises(PromptError, match="0 are used, 101 more wanted"):
        engine.prefill(torch.zeros(1, 101, 48), torch.ones(1, 1, 101, 101, dtype=torch.bool), cache)


def test_a_small_context_ends_answers(exported, pictures):
    """Prompt and answer share the engine's context; nothing is written beyond it."""
    model = exported("tiny")
    small = Molmo.from_runtime(model.runtime(max_context=192), model.checkpoint)
    answer = small.query(pictures[0], "how many things are there?")
    assert answer.truncated and answer.tokens < 20
    with pytest.raises(PromptError):
        small.query(pictures[0], "what is this? " * 20)


def test_shapes_follow_the_images():
    """Every tiling's own prompt fits, and a limit that is lower needs less."""
    from molmo_ros.molmo.catalog.model_store import EMBEDDED
    from molmo_ros.molmo.images.image_processor import ImageProcessor

    config = read_config(EMBEDDED / "tiny")
    images = read_image_processing(EMBEDDED / "tiny")
    few, many = Shapes.of(config, images, 1, None), Shapes.of(config, images, 6, None)
    assert few.max_prompt < many.max_prompt <= many.max_context
    process = ImageProcessor(images.with_max_crops(6))
    for size in ((100, 900), (900, 100), (700, 700), (600, 900), (10, 10)):
        one = process(np.zeros((*size, 3), np.uint8))
        assert len(one.crops) - 1 <= many.max_crops
        assert len(one.pooling) <= many.max_image_tokens
        assert one.pooling.shape[1] == many.slots
    with pytest.raises(MolmoError, match="max_context 300 is too small.*need"):
        Shapes.of(config, images, 6, 300)
    with pytest.raises(MolmoError, match="context ends at 2048"):
        Shapes.of(config, images, 1, 4096)
    with pytest.raises(MolmoError, match="max_crops"):
        Shapes.of(config, images, 0, None)
