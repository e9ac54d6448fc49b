# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The decoder's graph in onnxruntime against the torch model, in every way in which it is used."""

from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.engine.graphs.export import export_graphs
from molmo_ros.engine.runtimes.onnx_runner import OnnxRunner
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.network.model import prefill_mask
from molmo_ros.molmo.reference.tolerance import agree
from molmo_ros.molmo.running.runtime import ImageTensors
from molmo_ros.molmo.running.torch_runtime import TorchRuntime

VECTORS = Path(__file__).parents[2] / "vectors"
MODELS = sorted(path.name for path in VECTORS.glob("*-tiny"))


def tensors(path):
    """The numbers of a stored file."""
    return {key: torch.from_numpy(value) for key, value in np.load(path).items() if value.dtype.kind != "U"}


def difference(one, other):
    return float((one - other).abs().max())


@pytest.fixture(params=MODELS)
def model(request, exported):
    return exported(request.param)


@pytest.fixture
def prompt(model):
    """Embeddings of a prompt with 40 image tokens and 12 words, and its mask."""
    torch.manual_seed(1)
    embeddings = torch.randn(1, 52, model.config.decoder.width)
    is_image = torch.arange(52).unsqueeze(0) < 40
    return embeddings, prefill_mask(is_image, model.config.image_block)


@torch.inference_mode()
def test_prefill_and_decode(model, prompt):
    engine, torch_runtime = model.runtime(), TorchRuntime(model.model)
    embeddings, mask = prompt
    ours, theirs = engine.cache(80), torch_runtime.cache(80)
    every = torch.arange(52)
    found = engine.prefill(embeddings, mask, ours, logits_for=every)
    expected = torch_runtime.prefill(embeddings, mask, theirs, logits_for=every)
    assert agree(found.logits, expected.logits)
    if model.config.point_head is not None:
        assert agree(found.states, expected.states)
    for step in range(6):
        token = torch.randn(1, 1, model.config.decoder.width)
        found, expected = engine.decode(token, ours), torch_runtime.decode(token, theirs)
        assert agree(found.logits, expected.logits), step
    assert ours.length == theirs.length == 58


@torch.inference_mode()
def test_verification_of_several_tokens_and_going_back(model, prompt):
    """Tokens that were guessed go through in one pass; those that were wrong are forgotten."""
    engine, torch_runtime = model.runtime(), TorchRuntime(model.model)
    embeddings, mask = prompt
    ours, theirs = engine.cache(80), torch_runtime.cache(80)
    engine.prefill(embeddings, mask, ours)
    torch_runtime.prefill(embeddings, mask, theirs)
    guesses = torch.randn(1, 5, model.config.decoder.width)
    past = torch.ones(5, 52, dtype=torch.bool)
    causal = torch.cat([past, torch.ones(5, 5, dtype=torch.bool).tril()], dim=1)[None, None]
    found = engine.prefill(guesses, causal, ours, logits_for=torch.arange(5))
    one_by_one = [torch_runtime.decode(guesses[:, [number]], theirs).logits for number in range(5)]
    assert agree(found.logits, torch.cat(one_by_one, dim=1))
    ours.truncate(54)
    theirs.truncate(54)
    other = torch.randn(1, 1, model.config.decoder.width)
    found, expected = engine.decode(other, ours), torch_runtime.decode(other, theirs)
    assert agree(found.logits, expected.logits)


@torch.inference_mode()
def test_several_prompts_packed_behind_one_image(model, prompt):
    """Three prompts of different lengths in one cache row say what each says alone, through prefill and decode."""
    engine, torch_runtime = model.runtime(), TorchRuntime(model.model)
    embeddings, mask = prompt
    image, width = 40, model.config.decoder.width
    lengths, steps = (5, 9, 3), 3
    words = [torch.randn(1, length, width) for length in lengths]
    tokens = [torch.randn(1, steps, width) for _ in lengths]

    expected = []
    for own, more in zip(words, tokens, strict=True):
        cache = torch_runtime.cache(80)
        torch_runtime.prefill(embeddings[:, :image], mask[..., :image, :image], cache)
        past = torch.ones(own.shape[1], image, dtype=torch.bool)
        causal = torch.cat([past, torch.ones(own.shape[1], own.shape[1], dtype=torch.bool).tril()], dim=1)
        logits = [torch_runtime.prefill(own, causal[None, None], cache).logits]
        logits += [torch_runtime.decode(more[:, [step]], cache).logits for step in range(steps)]
        expected.append(torch.cat(logits, dim=1)[0])

    owner = torch.cat([torch.full((length,), which) for which, length in enumerate(lengths)])
    position = torch.cat([image + torch.arange(length) for length in lengths])
    cache = engine.cache(image + len(owner) + steps * len(lengths))
    engine.prefill(embeddings[:, :image], mask[..., :image, :image], cache)

    def packed(new, new_owner, new_position, all_owner):
        """One pass: each token sees the image, and the tokens of its own prompt up to itself."""
        own = new_owner[:, None] == all_owner
        first = len(all_owner) - len(new_owner)
        before = torch.arange(len(all_owner)) <= torch.arange(first, len(all_owner))[:, None]
        rows = torch.cat([torch.ones(len(new_owner), image, dtype=torch.bool), own & before], dim=1)
        last = torch.tensor([int((new_owner == which).nonzero()[-1]) for which in range(len(lengths))])
        return engine.prefill(
            new, rows[None, None], cache, positions=new_position[None], logits_for=last
        ).logits[0]

    found = [packed(torch.cat(words, dim=1), owner, position, owner)]
    each = torch.arange(len(lengths))
    for step in range(steps):
        owner = torch.cat([owner, each])
        new = torch.cat([more[:, [step]] for more in tokens], dim=1)
        found.append(packed(new, each, image + torch.tensor(lengths) + step, owner))
    assert agree(torch.stack(found, dim=1), torch.stack(expected))


@torch.inference_mode()
def test_image_tokens_see_later_ones_where_the_model_wants_it(model, prompt):
    """The first image token's state depends on the last one exactly in models with an image block."""
    embeddings, mask = prompt
    other = embeddings.clone()
    other[:, 39] += 1
    engine = model.runtime()

    def first(values):
        return engine.prefill(values, mask, engine.cache(60), logits_for=torch.tensor([0])).logits

    assert (difference(first(embeddings), first(other)) > 0) == model.config.image_block


@torch.inference_mode()
@pytest.mark.parametrize("name", ["molmo2-4b-tiny", "molmo-7b-d-tiny"])
def test_half_precision_is_near(name, exported, tmp_path, prompt_of):
    """The same graph in float16, within what rounding to it makes."""
    model = exported(name)
    read = model.model.state_dict().__getitem__
    export_graphs(tmp_path, model.config, 128, torch.float16, read)
    runner = OnnxRunner(tmp_path, model.config.decoder, 128, torch.float16)
    embeddings, mask = prompt_of(model.config)
    positions = torch.arange(embeddings.shape[1])[None]
    found = runner.decoder(embeddings.half(), positions, mask, 0, torch.tensor([embeddings.shape[1] - 1]))
    cache = KVCache(model.config.decoder, 128)
    expected = model.model.decoder(embeddings, positions, mask, cache, slice(-1, None)).logits
    assert found.logits.dtype == torch.float32
    assert difference(found.logits, expected) < 0.02 * float(expected.abs().max())


@pytest.fixture
def prompt_of():
    def make(config):
        torch.manual_seed(2)
        is_image = torch.arange(30).unsqueeze(0) < 20
        return torch.randn(1, 30, config.decoder.width), prefill_mask(is_image, config.image_block)

    return make


@torch.inference_mode()
def test_experts_work_only_on_their_tokens(exported):
    """A token's answer does not depend on which other tokens go through the experts with it."""
    model = exported("molmoe-1b-tiny")
    engine = model.runtime()
    torch.manual_seed(3)
    embeddings = torch.randn(1, 9, model.config.decoder.width)
    mask = torch.eye(9, dtype=torch.bool)[None, None]
    zero = torch.zeros(1, 9, dtype=torch.long)
    every = torch.arange(9)
    together = engine.prefill(embeddings, mask, engine.cache(9), positions=zero, logits_for=every).logits
    for token in range(9):
        alone = engine.prefill(embeddings[:, [token]], mask[..., :1, :1], engine.cache(9)).logits
        assert agree(together[:, [token]], alone)


@torch.inference_mode()
@pytest.mark.parametrize("name", MODELS)
def test_the_reference_vectors(name, exported):
    """The stored logits of the reference code, image and all, through both graphs."""
    model = exported(name)
    inputs = tensors(VECTORS / name / "input.npz")
    expected = tensors(VECTORS / name / "logits.npz")
    engine = model.runtime()
    if "images" in inputs:
        image = ImageTensors(inputs["images"][0], inputs["image_masks"][0], inputs["image_input_idx"][0])
        is_image = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    else:
        image = ImageTensors(inputs["pixel_values"], pooling=inputs["image_token_pooling"])
        is_image = inputs["token_type_ids"] > 0
    ids = inputs["input_ids"]
    embeddings = model.model.embed(ids, engine.encode_image(image).tokens)
    mask = prefill_mask(is_image, model.config.image_block)
    head = model.config.point_head
    if head is None:
        positions, logits, words = expected["positions"], expected["logits"], slice(None)
    else:  # stored with the scores of points; the ids that stand for parts of points are never written
        logits = expected["prefill_logits"]
        positions = torch.arange(ids.shape[1])[-logits.shape[1] :]
        scored = model.config.decoder.vocab + model.config.decoder.extra_vocab
        words = sorted(set(range(scored)) - {head.patch_id, head.subpatch_id, head.location_id})
    found = engine.prefill(embeddings, mask, engine.cache(ids.shape[1]), logits_for=positions).logits
    assert agree(found[..., words], logits[..., words])
