# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is left to the first query of a GPU, on the stand-in for one."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from molmo_ros.engine.runtimes.engine_runtime import EngineCache
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.running.static_decode import WIDTH_STEP, read_width
from molmo_ros.molmo.running.verify_widths import VERIFY_WIDTHS, verify_kinds, verify_slots
from molmo_ros.molmo.warm_up import warm_decoding, warm_up, warm_verifying


@pytest.fixture(scope="module")
def folder(random_folder, tmp_path_factory):
    return random_folder(tmp_path_factory.mktemp("warm"))


@pytest.fixture(scope="module")
def plain(folder):
    return Molmo.from_pretrained(folder)


PICTURE = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)


def ask(molmo):
    answer = molmo.point(PICTURE, "red cube", options=GenerateOptions(max_new_tokens=6))
    return answer.status, answer.text, answer.tokens


def test_nothing_is_recorded_and_nothing_grows_in_the_first_query(plain, folder, cuda):
    with cuda.left_out():
        expected = ask(plain)
    molmo, said = Molmo.from_pretrained(folder, device="cuda"), []
    static = molmo.runtime.static
    warm_up(molmo, said.append)
    cache, recorded, replayed = static._cache.keys.data_ptr(), cuda.recordings, cuda.replays
    tokens, few = static._cache.max_len // WIDTH_STEP, len(verify_kinds(static._cache.max_len))
    assert said[-2] == f"verifying guesses, width {few} of {few}"
    assert said[-2 - few] == f"decoding, width {tokens} of {tokens}" and len(said) == tokens + few + 3
    assert recorded == 1 + tokens + few  # one finds out whether the device records
    assert ask(molmo) == expected
    assert (static._cache.keys.data_ptr(), cuda.recordings) == (cache, recorded)
    assert cuda.replays > replayed and molmo.runtime.graphs_refused() == ""


def test_what_the_largest_image_took_is_there_for_an_engine(folder, cuda, monkeypatch):
    """Contexts of TensorRT come from another allocator, which gets nothing of torch's reserve."""
    molmo, room, slots = Molmo.from_pretrained(folder, device="cuda"), [], []
    decode, prefill = molmo.runtime.decode, molmo.runtime.prefill

    def noting(embedding, cache):
        room.append(cuda.native(cuda.capacity - cuda.allocated - 100_000))
        return decode(embedding, cache)

    def filling(embeddings, mask, cache, **which):
        slots.append(cache.max_len)
        return prefill(embeddings, mask, cache, **which)

    monkeypatch.setattr(molmo.runtime, "decode", noting)
    monkeypatch.setattr(molmo.runtime, "prefill", filling)
    warm_up(molmo)
    assert room[0]
    assert slots[0] == molmo.runtime.static._cache.max_len  # the prompt was met beside the whole cache


def test_each_width_of_an_engine_is_met_in_both_turns_of_its_caches():
    """An engine that does not update in place has two caches, and a context for each width and turn."""
    met = []

    class Runtime:
        config = SimpleNamespace(decoder=SimpleNamespace(width=8))
        dtype, device = torch.float32, torch.device("cpu")

        def cache(self, max_len):
            return EngineCache(600)

        def decode(self, embedding, cache):
            met.append((read_width(cache.length + 1, cache.max_len), len(met) % 2))
            cache.length += 1

    warm_decoding(Runtime(), 400, lambda text: None)
    assert sorted(met) == [(width, turn) for width in (256, 512, 600) for turn in (0, 1)]


def test_each_pass_over_a_few_tokens_is_met_in_both_turns():
    met = []

    class Runtime:
        config = SimpleNamespace(decoder=SimpleNamespace(width=8))
        dtype, device = torch.float32, torch.device("cpu")

        def cache(self, max_len):
            return EngineCache(1500)

        def prefill(self, embeddings, mask, cache):
            count = embeddings.shape[1]
            assert mask.shape == (1, 1, count, cache.length + count) and mask.any(-1).all()
            met.append((count, verify_slots(cache.length + count, cache.max_len), len(met) % 2))

    warm_verifying(Runtime(), 400, lambda text: None)
    expected = [(width, read, turn) for width in VERIFY_WIDTHS for read in (1024, 1500) for turn in (0, 1)]
    assert sorted(met) == expected


def test_a_cpu_is_not_kept_busy(plain, monkeypatch):
    monkeypatch.setattr(plain, "encode", None)
    warm_up(plain)
