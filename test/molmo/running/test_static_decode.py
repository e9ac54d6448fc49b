# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Decoding over memory at fixed addresses against decoding over what is filled, as far as a CPU runs it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.network.model import prefill_mask
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.static_decode import WIDTH_STEP, StaticDecode, read_width
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import load_checkpoint
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

VECTORS = Path(__file__).parents[2] / "vectors"
DENSE = ["molmo-7b-d-tiny", "molmo-7b-o-tiny", "molmo2-4b-tiny", "molmo2-o-7b-tiny", "molmopoint-8b-tiny"]
CLOSE = 1e-5
QUERIES = ["Point to the red cube", "how many things are there?", "Point to the thing"]


def runtimes(name: str, attention: str = "sdpa", device: str = "cpu") -> tuple[TorchRuntime, TorchRuntime]:
    """The plain one, and the one over fixed memory."""
    model = load_checkpoint(VECTORS / name, device=device)
    model.set_attention(attention)
    return TorchRuntime(model, static=False), TorchRuntime(model, static=True)


class Both:
    """The same steps in both; every output is compared."""

    def __init__(self, name: str, attention: str = "sdpa", device: str = "cpu") -> None:
        self.plain, self.static = runtimes(name, attention, device)
        self.caches, self.close = [self.plain.cache(400), self.static.cache(400)], CLOSE
        self.width = self.plain.config.decoder.width
        self.generator = torch.Generator().manual_seed(0)

    @torch.inference_mode()
    def prefill(self, count: int) -> None:
        x = torch.randn(1, count, self.width, generator=self.generator).to(self.plain.device)
        start = self.caches[0].length
        no_image = torch.zeros(1, start + count, dtype=torch.bool, device=x.device)
        mask = prefill_mask(no_image, False, start)
        self.compare(*(one.prefill(x, mask, cache) for one, cache in self.pairs()))

    @torch.inference_mode()
    def decode(self, steps: int) -> None:
        for _ in range(steps):
            x = torch.randn(1, 1, self.width, generator=self.generator).to(self.plain.device)
            self.compare(*(one.decode(x, cache) for one, cache in self.pairs()))

    def truncate(self, length: int) -> None:
        for cache in self.caches:
            cache.truncate(length)

    def grow(self, room: int) -> None:
        self.caches = [one.cache(room, cache) for one, cache in self.pairs()]

    def pairs(self):
        return zip((self.plain, self.static), self.caches, strict=True)

    def compare(self, plain, static) -> None:
        assert (static.logits - plain.logits).abs().max() < self.close
        assert (static.states - plain.states).abs().max() < self.close
        assert self.caches[0].length == self.caches[1].length


@pytest.mark.parametrize("attention", ["sdpa", "explicit"])
@pytest.mark.parametrize("name", DENSE)
def test_steps_are_the_plain_ones(name, attention):
    """Across the width at which more of the cache is read, after a truncation, and in a larger cache."""
    go_through(Both(name, attention))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_recorded_steps_are_the_plain_ones():
    both = Both("molmo2-4b-tiny", device="cuda")
    both.close = 1e-4
    go_through(both)
    assert both.static.static.graphs.refused is None


def go_through(both: Both) -> None:
    both.prefill(WIDTH_STEP - 3)
    both.decode(5)
    both.truncate(100)
    both.decode(2)
    both.prefill(7)
    both.grow(2 * WIDTH_STEP + 1)
    assert both.caches[1].max_len >= 2 * WIDTH_STEP + 1
    both.decode(3)
    both.prefill(2 * WIDTH_STEP - both.caches[0].length - 1)
    both.decode(2)


@torch.inference_mode()
def test_outputs_outlive_the_next_step():
    _, static = runtimes("molmo2-4b-tiny")
    cache, x = static.cache(10), torch.randn(2, 1, 1, static.config.decoder.width)
    first = static.decode(x[0], cache)
    kept = first.logits.clone()
    static.decode(x[1], cache)
    assert torch.equal(first.logits, kept)


@torch.inference_mode()
def test_what_a_failed_answer_left_is_not_read():
    """In float16 it may be infinite, and the next answer reads the same memory behind a mask."""
    both = Both("molmo2-4b-tiny")
    both.prefill(20)
    both.decode(4)
    cache = both.caches[1]
    for part in (cache.keys, cache.values):
        part[..., 20:24, :] = torch.inf
    both.truncate(15)
    both.prefill(2)
    both.decode(3)


@torch.inference_mode()
def test_a_full_cache_is_refused():
    _, static = runtimes("molmo2-4b-tiny")
    cache, x = static.cache(1), torch.zeros(1, 1, static.config.decoder.width)
    for _ in range(cache.max_len):
        static.decode(x, cache)
    with pytest.raises(PromptError, match=f"holds {cache.max_len} positions"):
        static.decode(x, cache)
    assert cache.length == cache.max_len


@torch.inference_mode()
def test_one_cache_for_everybody():
    """Whoever asks last has it, and what the others held is gone."""
    _, static = runtimes("molmo2-4b-tiny")
    x = torch.randn(1, 1, static.config.decoder.width)
    first = static.cache(20)
    alone = static.decode(x, first).logits
    second = static.cache(20)
    assert (first.length, second.length) == (0, 0)
    assert torch.equal(static.decode(x, second).logits, alone)
    with pytest.raises(AssertionError, match="taken over"):
        static.decode(x, first)
    assert static.cache(20, second) is second and second.length == 1
    third = static.cache(1000, first)
    assert (second.length, third.length) == (0, 0) and third.max_len >= 1000


def test_whole_answers_are_the_plain_ones():
    """Two images take turns, each with several queries."""
    plain = Molmo.from_pretrained("tiny")
    assert plain.runtime.static is None  # what a CPU does by itself
    static = Molmo(
        TorchRuntime(plain.runtime.model, static=True),
        plain.tokenizer,
        plain.image_processor,
        plain.calibration,
    )
    pictures = [render(Scene.random(seed), *SENSOR).rgb for seed in (20_001, 20_002)]
    images = [static.encode(picture) for picture in pictures]
    points = 0
    for text in QUERIES:
        for picture, image in zip(pictures, images, strict=True):
            ours, theirs = static.query(image, text), plain.query(picture, text)
            assert (ours.status, ours.text, ours.tokens) == (theirs.status, theirs.text, theirs.tokens)
            assert [(p.x, p.y) for p in ours.points] == [(p.x, p.y) for p in theirs.points]
            assert ours.not_found_probability == pytest.approx(theirs.not_found_probability, abs=1e-5)
            points += len(ours.points)
    assert points > 3


def test_no_recording_without_cuda():
    _, static = runtimes("molmo2-4b-tiny")
    assert static.static.graphs.refused == "cpu has no CUDA graphs"


def test_widths():
    assert [read_width(filled, 600) for filled in (1, 256, 257, 512, 513, 600)] == [
        256, 256, 512, 512, 600, 600
    ]  # fmt: skip
    assert read_width(5, 100) == 100
    assert all(filled <= read_width(filled, 4096) < filled + WIDTH_STEP for filled in np.arange(1, 4096))


DEVICE = torch.device("cuda")


@torch.inference_mode()
def test_the_cache_grows_by_half_and_gives_its_memory_back(cuda):
    decoder = load_checkpoint(VECTORS / "molmo2-4b-tiny").decoder
    static = StaticDecode(decoder, torch.float32, DEVICE)
    slot = 2 * decoder.config.layers * decoder.config.kv_heads * decoder.config.head_dim * 4
    first = static.cache(WIDTH_STEP, None)
    kept = static.cache(WIDTH_STEP + 1, first)
    assert (first.max_len, first.length, kept.max_len) == (0, 0, 2 * WIDTH_STEP)
    assert static.cache(2 * WIDTH_STEP, kept) is kept
    grown = static.cache(2 * WIDTH_STEP + 1, kept)
    assert grown.max_len == 3 * WIDTH_STEP
    cuda.peak = held = cuda.allocated
    # For another prompt, the old memory goes back before the new is taken.
    other = static.cache(8 * WIDTH_STEP, None)
    assert cuda.peak < held + 6 * WIDTH_STEP * slot
    assert (grown.max_len, other.max_len) == (0, 8 * WIDTH_STEP)


@torch.inference_mode()
def test_a_prefill_into_a_cache_that_is_gone_is_refused():
    _, static = runtimes("molmo2-4b-tiny")
    old, x = static.cache(20), torch.randn(1, 2, static.config.decoder.width)
    static.cache(2 * WIDTH_STEP)
    with pytest.raises(AssertionError, match="taken over"):
        static.prefill(x, prefill_mask(torch.zeros(1, 2, dtype=torch.bool), False), old)


@pytest.mark.parametrize("name", ["molmo2-4b-tiny", "molmo-7b-o-tiny"])
@torch.inference_mode()
def test_replayed_steps_are_the_plain_ones(cuda, name):
    """Recorded on the stand-in, whose recordings compute nothing until they are replayed."""
    with cuda.left_out():
        plain = TorchRuntime(load_checkpoint(VECTORS / name), static=False)
    replayed = TorchRuntime(plain.model)
    assert replayed.static is not None
    x = torch.randn(6, 1, 1, plain.config.decoder.width, generator=torch.Generator().manual_seed(1))
    caches = plain.cache(WIDTH_STEP + 10), replayed.cache(WIDTH_STEP + 10)
    caches[0].length = caches[1].length = WIDTH_STEP - 3
    for step in x:
        with cuda.left_out():
            expected = plain.decode(step, caches[0])
        found = replayed.decode(step, caches[1])
        assert (found.logits - expected.logits).abs().max() < CLOSE
    assert (replayed.graphs_refused(), cuda.recordings) == ("", 3)  # one at the beginning, one for each width
