# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The decoder's cache, masks and positions: every way to compute a token gives the same token."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.network.decoder import Decoder
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
VARIANTS = ["molmo-7b-d", "molmo-7b-o", "molmo-72b", "molmo2-4b", "molmo2-8b", "molmo2-o-7b"]
EXPERTS = ["molmoe-1b", "molmoe-deep"]


@pytest.fixture(params=VARIANTS + EXPERTS)
def decoder(request):
    return load_checkpoint(VECTORS / f"{request.param}-tiny").decoder


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def causal(length):
    return torch.ones(length, length, dtype=torch.bool).tril()[None, None]


def embeddings(decoder, length, batch=1, seed=0):
    ids = torch.randint(
        0, decoder.config.vocab, (batch, length), generator=torch.Generator().manual_seed(seed)
    )
    return decoder.embedding(ids)


def positions(length, start=0):
    return torch.arange(start, start + length)[None]


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("chunks", [[7] + [1] * 5, [1] * 12, [4, 5, 3]])
@pytest.mark.parametrize("kind", ["explicit", "sdpa"])
def test_cached_decoding_equals_full_recompute(decoder, chunks, kind):
    for block in decoder.blocks:
        block.attention.attention = kind
    decoder.attention = kind
    x = embeddings(decoder, 12, batch=2)
    full = decoder(x, positions(12), causal(12))
    cache, start, hidden = KVCache(decoder.config, 16, batch=2), 0, []
    for count in chunks:
        end = start + count
        mask = None if count == 1 else causal(12)[:, :, start:end, :end]
        hidden.append(decoder(x[:, start:end], positions(count, start), mask, cache).hidden)
        start = end
    assert cache.length == 12
    close(torch.cat(hidden, 1), full.hidden)


@pytest.mark.parametrize("variant", EXPERTS)
def test_greedy_decoding_with_experts_equals_full_recompute(variant):
    """A token alone goes through the experts in another grouping than among all the others."""
    decoder = load_checkpoint(VECTORS / f"{variant}-tiny").decoder
    start, new = embeddings(decoder, 20, seed=4), 12
    recomputed, x = [], start
    for length in range(20, 20 + new):
        recomputed.append(int(decoder(x, positions(length), causal(length)).logits[0, -1].argmax()))
        x = torch.cat([x, decoder.embedding(torch.tensor([recomputed[-1:]]))], 1)
    cache = KVCache(decoder.config, 20 + new)
    tokens = [int(decoder(start, positions(20), causal(20), cache).logits[0, -1].argmax())]
    for place in range(20, 19 + new):
        x = decoder.embedding(torch.tensor([tokens[-1:]]))
        tokens.append(int(decoder(x, positions(1, place), None, cache).logits[0, -1].argmax()))
    assert tokens == recomputed


def test_slots_after_the_filled_ones_are_never_read(decoder):
    x = embeddings(decoder, 6)
    cache = KVCache(decoder.config, 9)
    cache.keys.fill_(float("nan"))
    cache.values.fill_(float("nan"))
    decoder(x[:, :5], positions(5), causal(5), cache)
    close(
        decoder(x[:, 5:], positions(1, 5), None, cache).hidden,
        decoder(x, positions(6), causal(6)).hidden[:, 5:],
    )


def test_truncated_cache_answers_another_question_about_the_same_prefix(decoder):
    prefix, first, second = (
        embeddings(decoder, 5),
        embeddings(decoder, 4, seed=1),
        embeddings(decoder, 3, seed=2),
    )
    cache = KVCache(decoder.config, 12)
    decoder(prefix, positions(5), causal(5), cache)
    decoder(first, positions(4, 5), causal(9)[:, :, 5:], cache)
    cache.truncate(5)
    reused = decoder(second, positions(3, 5), causal(8)[:, :, 5:], cache).hidden
    close(reused, decoder(torch.cat([prefix, second], 1), positions(8), causal(8)).hidden[:, 5:])


@pytest.mark.parametrize("cached", [False, True])
def test_packed_queries_equal_separate_runs(decoder, cached):
    """Three queries behind one prefix, each with its own positions and blind to the others."""
    prefix = embeddings(decoder, 6)
    queries = [embeddings(decoder, length, seed=length) for length in (4, 1, 5)]
    packed = torch.cat([prefix, *queries], 1)
    total = packed.shape[1]
    places = torch.cat([positions(6)] + [positions(query.shape[1], 6) for query in queries], 1)
    owner = torch.tensor([-1] * 6 + [n for n, query in enumerate(queries) for _ in range(query.shape[1])])
    related = (owner[None, :] == -1) | (owner[None, :] == owner[:, None])
    mask = causal(total) & related[None, None]
    if cached:
        cache = KVCache(decoder.config, total)
        decoder(prefix, positions(6), causal(6), cache)
        tail = decoder(packed[:, 6:], places[:, 6:], mask[:, :, 6:], cache).hidden
    else:
        tail = decoder(packed, places, mask).hidden[:, 6:]
    start = 0
    for query in queries:
        count = query.shape[1]
        alone = decoder(torch.cat([prefix, query], 1), positions(6 + count), causal(6 + count)).hidden
        close(tail[:, start : start + count], alone[:, 6:])
        start += count


def test_mask_of_each_sequence_hides_its_own_padding(decoder):
    short, long = embeddings(decoder, 4, seed=1), embeddings(decoder, 7, seed=2)
    batch = torch.cat([torch.cat([short, embeddings(decoder, 3, seed=9)], 1), long])
    mask = causal(7).repeat(2, 1, 1, 1)
    mask[0, 0, 4:] = torch.eye(7, dtype=torch.bool)[4:]
    hidden = decoder(batch, positions(7), mask).hidden
    close(hidden[:1, :4], decoder(short, positions(4), causal(4)).hidden)
    close(hidden[1:], decoder(long, positions(7), causal(7)).hidden)


def test_logits_only_where_asked_for(decoder):
    x = embeddings(decoder, 5, batch=2)
    everything = decoder(x, positions(5), causal(5)).logits
    assert everything.shape == (2, 5, decoder.config.vocab)
    last = decoder(x, positions(5), causal(5), logits_for=slice(-1, None)).logits
    close(last, everything[:, -1:])
    some = decoder(x, positions(5), causal(5), logits_for=torch.tensor([0, 3])).logits
    close(some, everything[:, [0, 3]])
    chosen = torch.tensor([[True, False, False, True, False], [False, False, True, False, False]])
    close(decoder(x, positions(5), causal(5), logits_for=chosen).logits, everything[chosen])
    hidden = decoder.hidden(x, positions(5), causal(5))
    close(decoder.logits(hidden), everything)


def test_only_distances_between_positions_matter(decoder):
    x = embeddings(decoder, 6)
    near, far = decoder(x, positions(6), causal(6)).hidden, decoder(x, positions(6, 100), causal(6)).hidden
    torch.testing.assert_close(near, far, atol=1e-3, rtol=1e-3)
    stretched = decoder(x, 3 * positions(6), causal(6)).hidden
    assert (stretched - near).abs().max() > 1e-2


def test_full_cache_is_a_prompt_error(decoder):
    cache = KVCache(decoder.config, 4)
    with pytest.raises(PromptError, match="holds 4 positions"):
        decoder(embeddings(decoder, 5), positions(5), causal(5), cache)


def test_embedding_rows_are_the_base_then_the_extra_ones(decoder):
    table = torch.cat([decoder.embedding.base, decoder.embedding.extra])
    ids = torch.tensor([[0, decoder.config.vocab - 1, decoder.config.vocab, table.shape[0] - 1]])
    close(decoder.embedding(ids), table[ids])
    for token in ids.flatten().tolist():
        assert torch.equal(decoder.embedding.row(token), table[token][None, None])


def test_tied_head_scores_with_the_embedding():
    config = replace(read_config(VECTORS / "molmo2-4b-tiny").decoder, tied_head=True, extra_vocab=0)
    decoder = Decoder(config)
    hidden = torch.randn(1, 2, config.width)
    assert not any("head" in name for name, _ in decoder.named_parameters())
    close(decoder.logits(hidden), hidden @ decoder.embedding.base.T)
    close(decoder.embedding(torch.tensor([[3]])), decoder.embedding.base[None, 3:4])
