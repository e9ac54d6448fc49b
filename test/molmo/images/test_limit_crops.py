# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The crop budget in whole queries: what limits and targets do to prompts, features and answers."""

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.molmo.errors import ImageError, MolmoError, PromptError
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.status import Status

VECTORS = Path(__file__).parents[2] / "vectors"
SOURCE = {"molmo2": "molmo2-4b-tiny", "molmo": "molmo-7b-d-tiny"}
IMAGE = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
SHORT = GenerateOptions(max_new_tokens=2)


@pytest.fixture(scope="module")
def folder(write_tokenizer, tmp_path_factory):
    """A random checkpoint of a family, with the trained limit that is asked for."""

    def make(family: str = "molmo2", trained: int | None = None) -> Path:
        path = write_tokenizer(tmp_path_factory.mktemp("random"), family)
        for name in ("config.json", "model.safetensors"):
            shutil.copy(VECTORS / SOURCE[family] / name, path)
        kind = "Molmo2ImageProcessor" if family == "molmo2" else "MolmoImageProcessor"
        settings = {"image_processor_type": kind, "max_crops": trained}
        (path / "preprocessor_config.json").write_text(json.dumps(settings))
        return path

    return make


@pytest.fixture(scope="module")
def free(folder):
    """A model of each family that nobody has limited."""
    return {family: Molmo.from_pretrained(folder(family)) for family in SOURCE}


@pytest.mark.parametrize("family", ["molmo2", "molmo"])
@pytest.mark.parametrize("limit", [1, 3, 6, 9])
def test_a_limit_is_the_same_as_a_checkpoint_with_that_limit(folder, free, family, limit):
    expected = Molmo.from_pretrained(folder(family, limit)).encode(IMAGE)
    limited = Molmo.from_pretrained(folder(family), max_crops=limit)
    for found in (free[family].encode(IMAGE, max_crops=limit), limited.encode(IMAGE)):
        np.testing.assert_array_equal(found.prefix.ids, expected.prefix.ids)
        torch.testing.assert_close(found.features, expected.features, rtol=0, atol=0)
        assert found.crops.max_crops == limit
        assert len(found.prefix) == 1 + found.crops.tokens
    limited.limit_crops()
    assert len(limited.encode(IMAGE).prefix) == len(free[family].encode(IMAGE).prefix)


def test_answers_say_what_the_image_cost(folder):
    molmo = Molmo.from_pretrained(folder(), max_crops=2)
    answer = molmo.query(IMAGE, "Which?", options=SHORT)
    assert [cost.tiling for cost in answer.crops.costs] == [(1, 2)]
    assert answer.crops.predicted is None
    encoded = molmo.encode(IMAGE)
    molmo.limit_crops(1)
    assert molmo.query(encoded, "Which?", options=SHORT).crops == encoded.crops  # cut before
    cancel = threading.Event()
    cancel.set()
    cancelled = molmo.query(IMAGE, "Which?", cancel=cancel)
    assert (cancelled.status, cancelled.crops) == (Status.CANCELLED, None)


def test_a_generous_target_takes_every_tile_and_an_impossible_one_says_so(folder):
    molmo = Molmo.from_pretrained(folder(), latency_target=3600.0)
    answer = molmo.query(IMAGE, "Which?", options=SHORT)
    assert [cost.tiling for cost in answer.crops.costs] == [(2, 2)]
    assert 0 < answer.crops.predicted < 3600 and answer.crops.note == ""
    molmo.limit_crops(latency_target=1e-6)
    answer = molmo.query(IMAGE, "Which?", options=SHORT)
    assert [cost.tiling for cost in answer.crops.costs] == [(1, 1)]
    assert answer.crops.predicted > 1e-6
    assert "1e-06 s cannot be met" in answer.crops.note


def test_only_whole_queries_correct_the_prediction(folder, monkeypatch):
    molmo = Molmo.from_pretrained(folder(), latency_target=3600.0)
    seen = []
    monkeypatch.setattr(molmo.crop_budget, "measured", seen.append)
    answer = molmo.query(IMAGE, "Which?", options=SHORT)
    (timing,) = seen
    assert (timing.passes, timing.tokens, timing.answer_tokens) == (5, 752, answer.tokens)
    stages = [answer.timing_ms[name] for name in ("preprocess", "vision", "prefill", "decode")]
    assert timing.total == pytest.approx(sum(stages) / 1e3)
    encoded = molmo.encode(IMAGE)
    first = molmo.query(encoded, "Which?", options=SHORT)
    spent = encoded.timing_ms | {name: first.timing_ms[name] for name in ("prefill", "decode")}
    assert seen.pop().total == pytest.approx(sum(spent.values()) / 1e3)
    molmo.query(encoded, "Which?", options=SHORT)  # its image took no time
    cancel = threading.Event()
    molmo.query(IMAGE, "Which?", options=SHORT, cancel=cancel, on_text=lambda _: cancel.set())
    assert len(seen) == 1


def test_what_is_refused(folder):
    path = folder()
    with pytest.raises(MolmoError, match="max_crops is 0"):
        Molmo.from_pretrained(path, max_crops=0)
    with pytest.raises(MolmoError, match="latency_target is 'x' s; it must be positive"):
        Molmo.from_pretrained(path).limit_crops(latency_target="x")
    with pytest.raises(MolmoError, match="latency_target is -1"):
        Molmo.from_pretrained(path, latency_target=-1)
    molmo = Molmo.from_pretrained(path, latency_target=3600.0)
    with pytest.raises(MolmoError, match="max_crops is 2.5"):
        molmo.encode(IMAGE, max_crops=2.5)
    for image in ("picture.png", None, IMAGE[:, :, 0], IMAGE[:0], IMAGE.astype(float)):
        with pytest.raises(ImageError):
            molmo.encode(image)
    with pytest.raises(PromptError):
        molmo.encode([])
