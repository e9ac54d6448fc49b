# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What ends an answer before its time: points enough, tokens, time, the context, the caller."""

import json
import threading
import time

import numpy as np
import pytest

from molmo_ros.molmo.answer import Point
from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.status import Status

SMALL = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


STAGES = {"preprocess", "vision", "prefill", "decode", "total"}


def positions(answer):
    return [(point.x, point.y) for point in answer.points]


ALL_CUPS = [(20.0, 30.0), (40.0, 15.0), (60.0, 7.5)]  # of 80x60 pixels


@pytest.mark.parametrize("count", [1, 2])
def test_stops_as_soon_as_there_are_points_enough(cups, count):
    given_out = []
    answer = cups.point(SMALL, "mug", max_points=count, on_point=given_out.append)
    assert answer.status is Status.FOUND
    assert answer.points == tuple(given_out)
    assert positions(answer) == ALL_CUPS[:count]
    assert (answer.points[0].label, answer.points[0].index) == ("mug", 1)  # the model's own was not reached
    assert answer.tokens == count + 2 and not answer.truncated


def test_max_points_within_one_token(recite):
    whole = recite(['<points coords="1 1 250 500 2 500 250">cups</points>'])
    answer = whole.point(SMALL, "cup", max_points=1)
    assert positions(answer) == ALL_CUPS[:1]
    with pytest.raises(PromptError, match="max_points is 0"):
        whole.point(SMALL, "cup", max_points=0)


def test_a_count_has_room_for_hundreds_of_points(recite):
    """As tokens come, three hundred points of Molmo2 take over 3,000; forty other answers take 448."""
    molmo = recite(["la", "li"], loop=True)
    assert [GenerateOptions().tokens(counting) for counting in (False, True)] == [448, 3584]
    for ask, longest in ((molmo.point, 448), (molmo.ask, 448), (molmo.count, 3584)):
        room = molmo.prompts.max_tokens - len(molmo.encode(SMALL).prefix) - 40
        answer = ask(SMALL, "cups")
        assert answer.truncated and answer.limit == ("max_new_tokens" if longest < room else "context")
        assert answer.tokens == longest or (longest > room and answer.tokens > 448)
        assert f"{answer.limit} ended the answer after {answer.tokens} tokens" in answer.error
        assert ask(SMALL, "cups", options=GenerateOptions(max_new_tokens=5)).tokens == 5


def test_the_limit_that_ended_an_answer_is_named(cups):
    whole = cups.point(SMALL, "mug")
    assert (whole.limit, whole.truncated, whole.error) == ("", False, "")
    some = cups.point(SMALL, "mug", max_points=2)
    assert (some.limit, some.truncated, some.error) == (
        "max_points", False, "max_points ended the answer after 4 tokens"
    )  # fmt: skip
    cut = cups.point(SMALL, "mug", options=GenerateOptions(max_new_tokens=2))
    assert (cut.limit, cut.truncated, cut.error) == (
        "max_new_tokens", True, "max_new_tokens ended the answer after 2 tokens"
    )  # fmt: skip


@pytest.mark.parametrize("family", ["molmo2", "molmo"])
def test_the_end_of_the_turn_ends_an_answer_whatever_the_eos_token_is(reciting_folder, tmp_path, family):
    """As in a fine-tune whose tokenizer_config.json names another; the weights still say the family's own."""
    reciting_folder(tmp_path, ["la", "li"], family)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    for eos in ("<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|image|>"):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"eos_token": eos}))
        answer = Molmo.from_pretrained(tmp_path).ask(SMALL, "Sing.")
        assert (answer.text, answer.tokens, answer.truncated) == ("lali", 2, False), eos


def test_cancelled_at_once_touches_nothing(cups):
    cancel, calls = threading.Event(), []
    cancel.set()
    hook = cups.runtime.model.vision.register_forward_hook(lambda *_: calls.append(1))
    answer = cups.point(SMALL, "cup", cancel=cancel)
    hook.remove()
    assert answer.status is Status.CANCELLED and answer.points == () and answer.truncated
    assert calls == [] and set(answer.timing_ms) == STAGES


def test_cancelled_during_the_vision_tower(cups):
    cancel, decoded = threading.Event(), []
    hooks = [
        cups.runtime.model.vision.register_forward_hook(lambda *_: cancel.set()),
        cups.runtime.model.decoder.norm.register_forward_hook(lambda *_: decoded.append(1)),
    ]
    answer = cups.point(SMALL, "cup", cancel=cancel)
    for hook in hooks:
        hook.remove()
    assert answer.status is Status.CANCELLED and answer.tokens == 0 and decoded == []


def test_cancelled_keeps_complete_points(cups):
    cancel = threading.Event()
    answer = cups.point(SMALL, "mug", cancel=cancel, on_point=lambda _: cancel.set())
    assert answer.status is Status.CANCELLED and answer.truncated
    assert positions(answer)[:1] == ALL_CUPS[:1] and len(answer.points) < 3


def test_time_limit_keeps_complete_points(cups, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def late(point: Point) -> None:
        now[0] += 10

    options = GenerateOptions(time_limit=15)
    answer = cups.point(SMALL, "mug", options=options, on_point=late)
    assert answer.status is Status.TIMEOUT and answer.truncated
    assert answer.limit == "time_limit" and "time_limit ended the answer after" in answer.error
    assert positions(answer)[:2] == ALL_CUPS[:2]
    assert cups.point(SMALL, "mug", options=options).status is Status.FOUND


def test_token_limit(cups):
    answer = cups.point(SMALL, "mug", options=GenerateOptions(max_new_tokens=3))
    assert answer.tokens == 3 and answer.truncated
    assert answer.status is Status.FOUND and len(answer.points) == 2


def test_a_full_context_ends_the_answer(reciting_folder, tmp_path):
    reciting_folder(tmp_path, ["la", "li"], loop=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 500
    (tmp_path / "config.json").write_text(json.dumps(config))
    molmo = Molmo.from_pretrained(tmp_path)
    answer = molmo.ask(SMALL, "Sing.")
    assert answer.truncated and answer.text.startswith("lalili") and answer.limit == "context"
    prompt = len(molmo.encode(SMALL).prefix) + len(molmo.prompts.query("Sing.", 0))
    assert answer.tokens == 500 - prompt
    with pytest.raises(PromptError, match="context of 500"):
        molmo.ask(np.zeros((480, 640, 3), np.uint8), "Sing.")


def test_after_cancelling_the_rest_is_cancelled(cups):
    cancel = threading.Event()
    cancel.set()
    assert [a.status for a in cups.query_many(SMALL, ["a", "b"], cancel=cancel)] == [Status.CANCELLED] * 2
