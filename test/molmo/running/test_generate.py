# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Greedy decoding against recomputing the whole sequence for every token, and every way to stop."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.molmo.errors import GenerationError, MolmoError, PromptError
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.running.choosing import Choice, likeliest
from molmo_ros.molmo.running.generate import generate
from molmo_ros.molmo.running.generation import GenerateOptions, Limits, StopReason
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
NEW = 12


class Prompt:
    """A vector's image and text ids, ready for `generate`."""

    def __init__(self, name: str) -> None:
        self.model = load_checkpoint(VECTORS / name)
        inputs = {
            key: torch.from_numpy(value) for key, value in np.load(VECTORS / name / "input.npz").items()
        }
        self.ids = inputs["input_ids"]
        with torch.inference_mode():
            if self.model.config.family == "molmo2":
                features = self.model.encode_image(
                    inputs["pixel_values"], pooling=inputs["image_token_pooling"]
                )
                self.is_image = inputs["token_type_ids"] > 0
            else:
                features = self.model.encode_image(
                    inputs["images"][0],
                    masks=inputs["image_masks"][0],
                    input_idx=inputs["image_input_idx"][0],
                )
                self.is_image = torch.zeros_like(self.ids, dtype=torch.bool)
            self.embeddings = self.model.embed(self.ids, features)
            self.mask = self.model.prefill_mask(self.is_image)

    def cache(self, new: int = NEW) -> KVCache:
        return KVCache(self.model.config.decoder, self.ids.shape[1] + new)

    def run(self, cache: KVCache | None = None, new: int = NEW, eos_ids=(), **options):
        return generate(
            TorchRuntime(self.model),
            cache or self.cache(new),
            self.embeddings,
            self.mask,
            max_new_tokens=new,
            eos_ids=eos_ids,
            **options,
        )

    @torch.inference_mode()
    def recomputed(self, count: int) -> list[int]:
        """The same tokens without any cache: every token from the whole sequence."""
        embeddings, is_image, tokens = self.embeddings, self.is_image, []
        for _ in range(count):
            positions = torch.arange(embeddings.shape[1]).unsqueeze(0)
            logits = self.model.decoder(embeddings, positions, self.model.prefill_mask(is_image)).logits
            tokens.append(int(logits[0, -1].argmax()))
            embeddings = torch.cat([embeddings, self.model.embed(torch.tensor([[tokens[-1]]]))], dim=1)
            is_image = torch.nn.functional.pad(is_image, (0, 1))
        return tokens


@pytest.fixture(scope="module")
def prompt():
    return Prompt("molmo2-4b-tiny")


@pytest.mark.parametrize("name", ["molmo-7b-d-tiny", "molmo-7b-o-tiny", "molmo2-4b-tiny", "molmo2-o-7b-tiny"])
def test_equal_to_recomputing_everything_and_to_the_reference(name):
    prompt = Prompt(name)
    found = prompt.run()
    assert list(found.token_ids) == prompt.recomputed(NEW)
    stored = np.load(VECTORS / name / "logits.npz")["greedy_tokens"]
    assert list(found.token_ids[: len(stored)]) == stored.tolist()
    assert found.stop is StopReason.MAX_NEW_TOKENS
    assert found.prefill_ms > 0 and found.decode_ms > 0


def test_a_cached_prefix_changes_nothing(prompt):
    whole = prompt.run()
    cache, cut = prompt.cache(), prompt.ids.shape[1] - 9
    generate(
        TorchRuntime(prompt.model),
        cache,
        prompt.embeddings[:, :cut],
        prompt.mask[:, :, :cut, :cut],
        max_new_tokens=1,
        eos_ids=(),
    )
    for _ in range(2):
        cache.truncate(cut)
        rest = generate(
            TorchRuntime(prompt.model),
            cache,
            prompt.embeddings[:, cut:],
            prompt.mask[:, :, cut:],
            max_new_tokens=NEW,
            eos_ids=(),
        )
        assert rest.token_ids == whole.token_ids


def test_any_eos_stops_and_is_left_out():
    prompt = Prompt("molmo-7b-d-tiny")
    tokens = prompt.recomputed(NEW)
    at = next(i for i in range(2, NEW) if tokens[i] not in tokens[:i])
    found = prompt.run(eos_ids={9_999, tokens[at]})
    assert found.stop is StopReason.EOS
    assert list(found.token_ids) == tokens[:at]


def test_eos_as_the_first_token(prompt):
    assert prompt.run(eos_ids={prompt.recomputed(1)[0]}).token_ids == ()


def test_the_caller_can_be_satisfied(prompt):
    seen = []

    def third(choice: Choice) -> bool:
        seen.append(choice.token)
        return len(seen) == 3

    found = prompt.run(on_token=third)
    assert found.stop is StopReason.SATISFIED
    assert list(found.token_ids) == seen == prompt.recomputed(3)


def test_cancelled_before_the_prefill(prompt):
    cancel, cache = threading.Event(), prompt.cache()
    cancel.set()
    found = prompt.run(cache, limits=Limits(cancel=cancel))
    assert found.stop is StopReason.CANCELLED and found.token_ids == () and cache.length == 0


def test_cancelled_during_the_prefill(prompt):
    cancel, cache = threading.Event(), prompt.cache()
    hook = prompt.model.decoder.norm.register_forward_hook(lambda *_: cancel.set())
    found = prompt.run(cache, limits=Limits(cancel=cancel))
    hook.remove()
    assert found.stop is StopReason.CANCELLED and found.token_ids == ()
    assert cache.length == prompt.ids.shape[1]


def test_cancelled_between_tokens(prompt):
    cancel, seen = threading.Event(), []

    def on_token(choice: Choice) -> bool:
        seen.append(choice.token)
        if len(seen) == 4:
            cancel.set()
        return False

    found = prompt.run(limits=Limits(cancel=cancel), on_token=on_token)
    assert found.stop is StopReason.CANCELLED
    assert list(found.token_ids) == seen == prompt.recomputed(4)


def test_time_limit(prompt):
    cache = prompt.cache()
    found = prompt.run(cache, limits=Limits(deadline=time.monotonic()))
    assert found.stop is StopReason.TIME_LIMIT and found.token_ids == () and cache.length == 0
    assert prompt.run(limits=Limits(deadline=time.monotonic() + 3600)).stop is StopReason.MAX_NEW_TOKENS
    both = Limits(deadline=0.0, cancel=threading.Event())
    both.cancel.set()
    assert both.reached() is StopReason.CANCELLED


def test_ids_beyond_the_vocabulary_cannot_come_out(prompt):
    vocab = prompt.model.config.decoder.vocab
    assert json.loads((VECTORS / "molmo2-4b-tiny" / "config.json").read_text())["image_patch_id"] >= vocab
    assert (
        prompt.model.decoder(prompt.embeddings, torch.arange(546)[None], prompt.mask).logits.shape[-1]
        == vocab
    )
    assert max(prompt.run().token_ids) < vocab


def test_a_cache_that_is_too_small(prompt):
    with pytest.raises(PromptError, match="KV cache holds 546"):
        prompt.run(prompt.cache(0))


def test_scores_that_are_no_numbers():
    prompt = Prompt("molmo2-4b-tiny")
    with torch.no_grad():
        prompt.model.decoder.norm.weight[0] = float("nan")
    with pytest.raises(GenerationError, match="nan"):
        prompt.run()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_of_equal_scores_the_lowest_id_comes(dtype):
    scores = torch.tensor([-1.0, 0.5, 3, -torch.inf, 3, 3], dtype=dtype)
    for _ in range(3):
        assert likeliest(scores).token == 2
        scores = scores.repeat(100)


@pytest.mark.parametrize(
    "scores", [[1.0, float("nan"), 2], [1.0, torch.inf], [-torch.inf, -torch.inf]], ids=str
)
def test_no_token_is_chosen_by_scores_that_are_not_finite(scores):
    with pytest.raises(GenerationError, match="scores hold"):
        likeliest(torch.tensor(scores))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_another_dtype_is_advised_only_where_it_may_help(dtype):
    scores = torch.tensor([float("nan")], dtype=getattr(torch, dtype))
    for arguments in ((scores,), (scores.float(), scores.dtype)):
        with pytest.raises(GenerationError, match=f"hold nan, computed as {dtype}") as error:
            likeliest(*arguments)
        assert ("try bfloat16 or float32" in str(error.value)) == (dtype == "float16")


def test_options_are_checked():
    assert GenerateOptions().time_limit is None
    assert GenerateOptions(max_new_tokens=np.int64(3), time_limit=1).max_new_tokens == 3
    for wrong in (
        {"max_new_tokens": 0},
        {"max_new_tokens": 1.5},
        {"max_new_tokens": None},
        {"max_new_tokens": "all"},
        {"time_limit": 0.0},
        {"time_limit": float("nan")},
        {"time_limit": "x"},
    ):
        with pytest.raises(MolmoError, match=next(iter(wrong))):
            GenerateOptions(**wrong)
