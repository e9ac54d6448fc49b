# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Answers decoded together and with guesses, against each decoded alone, one token a pass."""

import random
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.molmo.errors import GenerationError, PromptError
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.running.choosing import Greedy
from molmo_ros.molmo.running.drafting import Aside
from molmo_ros.molmo.running.generate import generate_together
from molmo_ros.molmo.running.generation import Limits, StopReason
from molmo_ros.molmo.running.pack import MOST_TOGETHER, Shared
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.running.turn import AnswerRequest
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
FAMILIES = ("molmo-7b-d-tiny", "molmo-7b-o-tiny", "molmo2-4b-tiny", "molmo2-o-7b-tiny", "molmoe-1b-tiny")
NEW = 14


class Image:
    """A vector's prompt, whose first tokens are what all answers share."""

    def __init__(self, name):
        self.model = load_checkpoint(VECTORS / name)
        # Random weights say the same token again and again; with these, what they say depends on all that was said.
        decoder, generator = self.model.decoder, torch.Generator().manual_seed(7)
        decoder.embedding.base.data.normal_(generator=generator)
        if decoder.head is not None:
            decoder.head.weight.data.normal_(generator=generator)
        for block in decoder.blocks:
            for weight in block.parameters():
                if weight.ndim > 1:
                    weight.data.normal_(std=2 * weight.shape[-1] ** -0.5, generator=generator)
        self.runtime = TorchRuntime(self.model)
        stored = {
            key: torch.from_numpy(value) for key, value in np.load(VECTORS / name / "input.npz").items()
        }
        ids = stored["input_ids"]
        with torch.inference_mode():
            if self.model.config.family == "molmo2":
                tables = {"pooling": stored["image_token_pooling"]}
                features = self.model.encode_image(stored["pixel_values"], **tables)
                is_image = stored["token_type_ids"] > 0
            else:
                tables = {"masks": stored["image_masks"][0], "input_idx": stored["image_input_idx"][0]}
                features = self.model.encode_image(stored["images"][0], **tables)
                is_image = torch.zeros_like(ids, dtype=torch.bool)
            self.embeddings = self.model.embed(ids, features)
            self.mask = self.model.prefill_mask(is_image)
        self.length, self.known = ids.shape[1], {}

    def words(self, seed):
        numbers = np.random.default_rng(seed).integers(10, 200, 4 + seed % 5)
        with torch.inference_mode():
            return self.model.embed(torch.from_numpy(numbers)[None])

    def request(self, seed, **given):
        given = {"max_new_tokens": NEW, "eos_ids": ()} | given
        return AnswerRequest(self.words(seed), Greedy(self.runtime), **given)

    def together(self, requests, room=2000, filled=False):
        cache = KVCache(self.model.config.decoder, room)
        if filled:
            with torch.inference_mode():
                self.runtime.prefill(self.embeddings, self.mask, cache)
            return generate_together(self.runtime, cache, Shared(), requests), cache
        return generate_together(self.runtime, cache, Shared(self.embeddings, self.mask), requests), cache

    def alone(self, seed, count=NEW):
        """Greedy tokens by the whole sequence anew for each, without any cache."""
        if seed not in self.known:
            self.known[seed] = self.recomputed(seed)
        return self.known[seed][:count]

    @torch.inference_mode()
    def recomputed(self, seed, count=NEW):
        embeddings, tokens = torch.cat([self.embeddings, self.words(seed)], dim=1), []
        mask = torch.ones(1, 1, embeddings.shape[1] + count, embeddings.shape[1] + count).tril().bool()
        mask[..., : self.length, : self.length] |= self.mask
        for _ in range(count):
            length = embeddings.shape[1]
            positions = torch.arange(length)[None]
            logits = self.model.decoder(embeddings, positions, mask[..., :length, :length]).logits
            tokens.append(int(logits[0, -1].argmax()))
            embeddings = torch.cat([embeddings, self.model.embed(torch.tensor([tokens[-1:]]))], dim=1)
        return tuple(tokens)


class Guesses:
    """A drafter that knows the answer, and is wrong now and then."""

    def __init__(self, truth, seed, length=6, wrong=0.3):
        self.truth, self.said, self.ended = list(truth), [], False
        self.random, self.length, self.wrong = random.Random(seed), length, wrong

    def draft(self, most, together):
        coming = self.truth[len(self.said) :][: min(most, self.length)]
        return [token if self.random.random() > self.wrong else token + 1 for token in coming]

    def took(self, token):
        self.said.append(token)

    def finish(self):
        self.ended = True


@pytest.fixture(scope="module", params=FAMILIES)
def image(request):
    return Image(request.param)


@pytest.fixture(scope="module")
def molmo2():
    return Image("molmo2-4b-tiny")


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_is_what_it_would_be_alone(image, count, filled):
    answers, _ = image.together([image.request(seed) for seed in range(count)], filled=filled)
    assert [answer.token_ids for answer in answers] == [image.alone(seed) for seed in range(count)]
    assert {answer.stop for answer in answers} == {StopReason.MAX_NEW_TOKENS}
    assert len({answer.token_ids for answer in answers}) >= min(count, 2)


@pytest.mark.parametrize("wrong", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("count", [1, 3])
def test_guesses_change_no_token(image, count, wrong):
    truth = [image.alone(seed) for seed in range(count)]
    drafters = [Guesses(truth[seed], seed, wrong=wrong) for seed in range(count)]
    requests = [image.request(seed, drafter=drafters[seed]) for seed in range(count)]
    answers, _ = image.together(requests)
    assert [answer.token_ids for answer in answers] == truth
    assert [tuple(one.said) for one in drafters] == truth and all(one.ended for one in drafters)
    if wrong == 0.0:
        assert all(answer.passes == 2 for answer in answers)  # 6 and 1, 6 and 1
    elif wrong == 1.0:
        assert all(answer.passes == NEW for answer in answers)
    else:
        assert all(2 <= answer.passes < NEW for answer in answers)


def test_the_end_within_a_guess(molmo2):
    truth = molmo2.alone(0)
    end = next(place for place in range(3, NEW) if truth[place] not in truth[:place])
    for drafter in (None, Guesses(truth, 0, wrong=0.0)):
        (answer,), _ = molmo2.together([molmo2.request(0, eos_ids={truth[end]}, drafter=drafter)])
        assert (answer.token_ids, answer.stop) == (truth[:end], StopReason.EOS)


@pytest.mark.parametrize("enough", [1, 2, 5, 8])
def test_tokens_are_handed_out_one_by_one_and_may_be_enough(molmo2, enough):
    """Also within a guess that is right: nothing that comes after is taken."""
    truth, seen = molmo2.alone(1), []

    def on_token(choice):
        assert int(choice.logits.argmax()) == choice.token
        seen.append(choice.token)
        return len(seen) == enough

    (answer,), _ = molmo2.together(
        [molmo2.request(1, drafter=Guesses(truth, 0, wrong=0.0), on_token=on_token)]
    )
    assert (answer.token_ids, answer.stop) == (truth[:enough], StopReason.SATISFIED)
    assert tuple(seen) == truth[:enough]


def test_cancelling_within_a_guess_leaves_the_others_alone(molmo2):
    truth, cancel, seen = [molmo2.alone(seed) for seed in range(3)], threading.Event(), []

    def on_token(choice):
        seen.append(choice.token)
        if len(seen) == 4:
            cancel.set()
        return False

    requests = [molmo2.request(seed, drafter=Guesses(truth[seed], 0, wrong=0.0)) for seed in (0, 2)]
    middle = molmo2.request(
        1, drafter=Guesses(truth[1], 0, wrong=0.0), on_token=on_token, limits=Limits(cancel=cancel)
    )
    requests.insert(1, middle)
    answers, _ = molmo2.together(requests)
    assert (answers[1].token_ids, answers[1].stop) == (truth[1][:4], StopReason.CANCELLED)
    assert [answers[0].token_ids, answers[2].token_ids] == [truth[0], truth[2]]


def test_one_that_is_cancelled_before_it_begins(molmo2):
    cancel = threading.Event()
    cancel.set()
    answers, _ = molmo2.together([molmo2.request(0, limits=Limits(cancel=cancel)), molmo2.request(1)])
    assert (answers[0].token_ids, answers[0].stop, answers[0].passes) == ((), StopReason.CANCELLED, 0)
    assert answers[1].token_ids == molmo2.alone(1)


def test_whoever_is_done_leaves_and_is_told_at_once(molmo2):
    ended = []
    requests = [
        molmo2.request(seed, max_new_tokens=length, on_end=lambda outcome, seed=seed: ended.append(seed))
        for seed, length in ((0, 9), (1, 2), (2, 5))
    ]
    answers, _ = molmo2.together(requests)
    assert ended == [1, 2, 0]
    assert [answer.passes for answer in answers] == [9, 2, 5]
    assert [answer.token_ids for answer in answers] == [
        molmo2.alone(seed)[:length] for seed, length in ((0, 9), (1, 2), (2, 5))
    ]


@pytest.mark.parametrize("spare", [0, 1, 7, 40])
@pytest.mark.parametrize("drafts", [False, True])
def test_a_cache_without_room_for_all(molmo2, spare, drafts):
    """There is room for the longest alone, and a little: the others wait, or begin anew, and say the same."""
    truth = [molmo2.alone(seed) for seed in range(4)]
    longest = max(molmo2.words(seed).shape[1] for seed in range(4)) + NEW - 1
    requests = [
        molmo2.request(seed, drafter=Guesses(truth[seed], seed) if drafts else None) for seed in range(4)
    ]
    answers, cache = molmo2.together(requests, room=molmo2.length + longest + spare)
    assert [answer.token_ids for answer in answers] == truth
    assert cache.length <= cache.max_len


def test_a_cache_that_is_too_small(molmo2):
    with pytest.raises(PromptError, match="more wanted"):
        molmo2.together([molmo2.request(0)], room=molmo2.length + molmo2.words(0).shape[1] + 3)


def test_more_than_go_together(molmo2):
    count = MOST_TOGETHER + 5
    answers, _ = molmo2.together([molmo2.request(seed % 7, max_new_tokens=3) for seed in range(count)], 5000)
    assert [answer.token_ids for answer in answers] == [molmo2.alone(seed % 7, 3) for seed in range(count)]


@pytest.mark.parametrize("drafts", [False, True])
def test_scores_that_are_no_numbers_end_one_answer_alone(molmo2, drafts):
    truth = [molmo2.alone(seed) for seed in range(4)]
    spoilt = molmo2.words(2).clone()
    spoilt[0, 1, 3] = torch.nan
    requests = [
        molmo2.request(seed, drafter=Guesses(truth[seed], seed) if drafts else None) for seed in range(4)
    ]
    requests[2].words = spoilt
    for filled in (False, True):
        requests = [
            AnswerRequest(
                one.words, Greedy(molmo2.runtime), NEW, (), drafter=one.drafter and Guesses(truth[n], n)
            )
            for n, one in enumerate(requests)
        ]
        answers, _ = molmo2.together(requests, filled=filled)
        assert isinstance(answers[2], GenerationError)
        assert [answers[number].token_ids for number in (0, 1, 3)] == [truth[number] for number in (0, 1, 3)]


def test_a_guess_that_makes_no_numbers_is_not_made(molmo2):
    """The embedding of a token that nobody says is damaged: only who guesses it meets it."""
    truth = molmo2.alone(0)
    poison = next(token for token in range(50, 200) if token not in truth)
    table = molmo2.model.decoder.embedding.base
    kept = table.data[poison].clone()
    table.data[poison] = torch.inf

    class Poisoned(Guesses):
        def draft(self, most, together):
            return [*super().draft(min(most, 2), together), poison]

    try:
        (answer,), _ = molmo2.together([molmo2.request(0, drafter=Poisoned(truth, 0, wrong=0.0))])
    finally:
        table.data[poison] = kept
    assert answer.token_ids == truth


def test_a_caller_that_raises_ends_its_own_answer(molmo2):
    def on_token(choice):
        raise ZeroDivisionError("the caller's own")

    answers, _ = molmo2.together([molmo2.request(0, on_token=on_token), molmo2.request(1)])
    assert isinstance(answers[0], ZeroDivisionError)
    assert answers[1].token_ids == molmo2.alone(1)


@pytest.mark.parametrize("room", [2000, None])
def test_asides_are_scored_beside_the_answers(molmo2, room):
    """Their scores are those of the words with the aside behind them, from one pass over all; no answer changes."""
    tokens = [31, 17, 99, 45]
    asides = [[Aside(tokens), Aside([8, 9])] for _ in range(3)]
    words = sum(molmo2.words(seed).shape[1] for seed in range(3))
    # Without room beside the words, they wait until there is.
    room = molmo2.length + words + 8 if room is None else room
    requests = [molmo2.request(seed, asides=asides[seed], max_new_tokens=4) for seed in range(3)]
    answers, _ = molmo2.together(requests, room=room)
    for seed, answer in enumerate(answers):
        assert answer.token_ids == molmo2.alone(seed, 4)
        assert answer.passes == 4
        if asides[seed][0].logits is None:
            assert room < 2000
            continue
        with torch.inference_mode():
            whole = [molmo2.embeddings, molmo2.words(seed), molmo2.model.embed(torch.tensor([tokens[:-1]]))]
            embeddings = torch.cat(whole, dim=1)
            length = embeddings.shape[1]
            mask = torch.ones(1, 1, length, length).tril().bool()
            mask[..., : molmo2.length, : molmo2.length] |= molmo2.mask
            logits = molmo2.model.decoder(embeddings, torch.arange(length)[None], mask).logits[0, -3:]
        assert torch.allclose(asides[seed][0].logits, logits, atol=1e-4, rtol=1e-4)


def test_a_token_of_a_long_answer_copies_nothing_of_the_others(molmo2, monkeypatch):
    """Else an answer of thousands of tokens takes its length squared."""
    joined, cat = [], torch.cat

    def counted(parts, *more, **named):
        joined.append(sum(part.numel() for part in parts))
        return cat(parts, *more, **named)

    monkeypatch.setattr(torch, "cat", counted)
    width = molmo2.words(0).shape[2]
    molmo2.together([molmo2.request(0, max_new_tokens=40)])
    assert len(joined) < 40 or max(joined[-30:]) <= 4 * width


def test_one_read_of_the_host_for_a_whole_guess(molmo2, monkeypatch):
    """A GPU stands still for each."""
    truth = molmo2.alone(0)
    reads = []
    monkeypatch.setattr(torch.Tensor, "tolist", counted(torch.Tensor.tolist, reads))
    molmo2.together([molmo2.request(0, drafter=Guesses(truth, 0, wrong=0.0))])
    assert len(reads) <= 2


def counted(method, calls):
    def call(self):
        calls.append(self.shape)
        return method(self)

    return call
