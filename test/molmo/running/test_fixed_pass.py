# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Passes over a few tokens at fixed widths, recorded on the stand-in for CUDA, against those of exact widths."""

from pathlib import Path

import pytest
import torch

from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.network.model import prefill_mask
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.running.static_decode import WIDTH_STEP
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.running.verify_widths import VERIFY_STEP, verify_kinds, verify_slots, verify_width
from molmo_ros.molmo.weights.checkpoint import load_checkpoint
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

VECTORS = Path(__file__).parents[2] / "vectors"
CLOSE = 1e-5
QUERIES = ["Point to the red cube", "how many things are there?", "Point to the thing"]


def test_verify_widths():
    """The least that holds them, behind something and where there is room; a prompt, or one token, is none of them."""
    assert [verify_width(count, 5, 500) for count in (1, 2, 4, 5, 8, 9, 17, 33, 64, 65)] == [
        None, 4, 4, 8, 8, 16, 32, 64, 64, None
    ]  # fmt: skip
    assert verify_width(3, 0, 500) is None
    assert (verify_width(3, 496, 500), verify_width(3, 497, 500)) == (4, None)
    assert [verify_slots(end, 3000) for end in (1, 1024, 1025, 2900)] == [1024, 1024, 2048, 3000]
    for slots in (3, 40, 256, 1024, 1100, 5000):
        kinds = {(width, verify_slots(start + width, slots)) for width, start in verify_kinds(slots)}
        needed = {
            (width, verify_slots(start + width, slots))
            for start in range(1, slots)
            for count in range(2, 66)
            if (width := verify_width(count, start, slots)) is not None
        }
        assert kinds >= needed or slots == 1024, slots


class Passes:
    """Passes over a few tokens in a plain runtime and, on the stand-in, in one that records them."""

    def __init__(self, cuda, name: str, slots: int) -> None:
        self.cuda = cuda
        with cuda.left_out():
            self.plain = TorchRuntime(load_checkpoint(VECTORS / name), static=False)
        self.recorded = TorchRuntime(self.plain.model)
        self.caches = self.plain.cache(slots), self.recorded.cache(slots)
        self.width = self.plain.config.decoder.width
        self.generator = torch.Generator().manual_seed(0)

    def compare(self, step) -> None:
        with self.cuda.left_out():
            expected = step(self.plain, self.caches[0])
        found = step(self.recorded, self.caches[1])
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape and (one - other).abs().max() < CLOSE
        assert self.caches[0].length == self.caches[1].length

    def fill(self, count: int) -> None:
        with self.cuda.left_out():
            x = torch.randn(1, count, self.width, generator=self.generator)
            mask = prefill_mask(torch.zeros(1, count, dtype=torch.bool), False, 0)
        self.compare(lambda runtime, cache: runtime.prefill(x, mask, cache))

    def verify(self, count: int, scored: list[int] | None = None) -> None:
        """Each sees some of what is there, and itself; positions are anybody's."""
        start = self.caches[0].length
        with self.cuda.left_out():
            x = torch.randn(1, count, self.width, generator=self.generator)
            sees = torch.rand(1, 1, count, start + count, generator=self.generator) < 0.5
            sees[..., start:] = sees[..., start:].tril() | torch.eye(count, dtype=torch.bool)
            positions = torch.randint(0, 300, (1, count), generator=self.generator)
            chosen = None if scored is None else torch.tensor(scored)
        self.compare(
            lambda runtime, cache: runtime.prefill(x, sees, cache, positions=positions, logits_for=chosen)
        )

    def decode(self) -> None:
        with self.cuda.left_out():
            x = torch.randn(1, 1, self.width, generator=self.generator)
        self.compare(lambda runtime, cache: runtime.decode(x, cache))

    def truncate(self, length: int) -> None:
        for cache in self.caches:
            cache.truncate(length)


@pytest.mark.parametrize("name", ["molmo2-4b-tiny", "molmo-7b-o-tiny", "molmopoint-8b-tiny"])
@torch.inference_mode()
def test_replayed_passes_are_the_plain_ones(cuda, name):
    passes = Passes(cuda, name, VERIFY_STEP + 300)
    before = cuda.recordings
    passes.fill(20)
    assert cuda.recordings == before
    for count, scored in (
        (3, [0, 2]),
        (4, None),
        (2, [1]),
        (5, [4, 0, 1]),
        (16, [*range(16)]),
        (33, [7, 32]),
    ):
        passes.verify(count, scored)
        passes.truncate(passes.caches[0].length - 1)
        passes.decode()
    # Four widths, and one for tokens; what is used again is not recorded again.
    assert cuda.recordings == before + 5
    replayed = cuda.replays
    passes.verify(4)
    passes.verify(30, [29])
    assert (cuda.recordings, cuda.replays) == (before + 6, replayed + 2)
    passes.verify(65)  # more than there is a width for
    assert (cuda.recordings, cuda.replays) == (before + 6, replayed + 2)
    passes.truncate(20)
    for _ in range(16):
        passes.verify(63)
    passes.verify(8)  # reads more of the cache
    assert cuda.recordings == before + 8
    assert passes.recorded.graphs_refused() == ""


@torch.inference_mode()
def test_a_pass_at_the_end_of_the_cache_is_not_padded(cuda):
    """There is no room for copies: it runs kernel by kernel, as before."""
    passes = Passes(cuda, "molmo2-4b-tiny", WIDTH_STEP)
    assert passes.caches[1].max_len == WIDTH_STEP
    passes.fill(WIDTH_STEP - 5)
    replays = cuda.replays
    passes.verify(5)
    assert cuda.replays == replays
    passes.truncate(WIDTH_STEP - 8)
    passes.verify(6)
    assert cuda.replays == replays + 1


@pytest.mark.parametrize("token", [False, True], ids=["another pass", "a token"])
@torch.inference_mode()
def test_what_a_pass_that_failed_left_is_not_read(cuda, token):
    """Also where copies of its last token lie."""
    passes = Passes(cuda, "molmo2-4b-tiny", WIDTH_STEP)
    passes.fill(20)
    passes.verify(7)
    passes.truncate(20)
    with cuda.left_out():
        x = torch.full((1, 5, passes.width), torch.nan)
        sees = torch.ones(1, 1, 5, 25, dtype=torch.bool)
    assert not passes.recorded.prefill(x, sees, passes.caches[1]).logits.isfinite().any()
    passes.caches[1].truncate(20)
    if token:
        passes.decode()
    passes.verify(2)
    passes.decode()


@torch.inference_mode()
def test_outputs_of_a_pass_outlive_the_next(cuda):
    passes = Passes(cuda, "molmo2-4b-tiny", WIDTH_STEP)
    passes.fill(20)
    x, sees = torch.randn(1, 3, passes.width), torch.ones(1, 1, 3, 23, dtype=torch.bool)
    first = passes.recorded.prefill(x, sees, passes.caches[1])
    kept = first.logits.clone(), first.states.clone()
    passes.caches[1].truncate(20)
    passes.recorded.prefill(x * 2, sees, passes.caches[1])
    assert torch.equal(first.logits, kept[0]) and torch.equal(first.states, kept[1])


@torch.inference_mode()
def test_a_pass_without_memory_for_its_recording_runs_kernel_by_kernel(cuda):
    """And no other tries until the cache is another."""
    passes = Passes(cuda, "molmo2-4b-tiny", WIDTH_STEP)
    passes.fill(20)
    x, sees = torch.randn(1, 5, passes.width), torch.ones(1, 1, 5, 25, dtype=torch.bool)
    cuda.left = 40
    assert passes.recorded.prefill(x, sees, passes.caches[1]).logits.isfinite().all()
    assert cuda.left is None
    passes.truncate(20)
    replays = cuda.replays
    passes.verify(5)
    assert cuda.replays == replays and passes.recorded.graphs_refused() == ""
    passes.caches = passes.plain.cache(800, passes.caches[0]), passes.recorded.cache(800, passes.caches[1])
    passes.verify(5)
    assert cuda.replays == replays + 1


@torch.inference_mode()
def test_passes_that_cannot_be_recorded_leave_tokens_alone(cuda, caplog):
    passes = Passes(cuda, "molmo2-4b-tiny", WIDTH_STEP)
    passes.fill(20)
    passes.decode()
    cuda.cannot_record = "this driver records nothing so long"
    passes.verify(5)
    cuda.cannot_record = ""
    passes.verify(5)
    assert "passes over a few tokens run kernel by kernel" in caplog.text
    assert "records nothing so long" in passes.recorded.graphs_refused()
    replays = cuda.replays
    passes.decode()
    assert cuda.replays == replays + 1


def test_answers_with_guesses_are_the_plain_ones(cuda):
    """Whole answers, together and alone, asked again with what was said last as the guess."""
    with cuda.left_out():
        plain = Molmo.from_pretrained("tiny")
        picture = render(Scene.random(20_001), *SENSOR).rgb
        expected = [plain.query(picture, text, options=GenerateOptions(drafts=False)) for text in QUERIES]
    runtime = TorchRuntime(plain.runtime.model)
    recorded = Molmo(runtime, plain.tokenizer, plain.image_processor, plain.calibration)
    queries = [ImageQuery(text) for text in QUERIES]
    rounds = [recorded.answers(recorded.encode(picture, view="camera"), queries)]
    image = recorded.encode(picture, view="camera")
    rounds.append([recorded.query(image, text) for text in QUERIES])
    recordings, replays = cuda.recordings, cuda.replays
    rounds.append(recorded.answers(recorded.encode(picture, view="camera"), queries))
    for answers in rounds:
        for one, other in zip(answers, expected, strict=True):
            assert (one.status, one.text, one.tokens) == (other.status, other.text, other.tokens)
            assert [(p.x, p.y) for p in one.points] == [(p.x, p.y) for p in other.points]
            assert one.not_found_probability == pytest.approx(other.not_found_probability, abs=1e-5)
    assert sum(len(one.points) for one in expected) > 1
    assert max(one.tokens / one.passes for one in rounds[1]) > 2
    assert runtime.static.graphs._recorded and len(runtime.static.passes._recorded) > 1
    assert cuda.replays > replays and cuda.recordings <= recordings + 1 and runtime.graphs_refused() == ""
