# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The embedded checkpoint behind real servers, ours and transformers' own: the same words as here, the same points."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.families.molmo2 import PROMPT
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.status import Status
from molmo_ros.remote.remote_load import RemoteChoice, fallback_molmo, remote_molmo
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

ROOT = Path(__file__).parents[2]
PATIENCE = 120


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Counterpart:
    """A server in a process of its own.

    Attributes:
        url: Its address.
        model: What it calls the model, where that must be said.
    """

    def __init__(self, url, command, log, model="", **environment):
        self.url, self.model, self._command, self._log = url, model, command, log
        self._environment = os.environ | environment
        self.start()

    def start(self):
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not self._healthy():
            assert self.process.poll() is None and time.monotonic() < deadline, self._log.read_text()[-3000:]
            time.sleep(0.1)

    def _healthy(self):
        try:
            return urllib.request.urlopen(f"{self.url}/health", timeout=5).status == 200
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    port = free_port()
    code = "import sys; from molmo_ros.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "--engine", "torch", "--port", str(port)]
    running = Counterpart(f"http://127.0.0.1:{port}", command, tmp_path_factory.mktemp("own") / "log")
    yield running
    running.kill()


@pytest.fixture(scope="module")
def transformers(tmp_path_factory):
    port, folder = free_port(), str(checkpoint_folder("tiny"))
    command = [sys.executable, str(Path(__file__).with_name("transformers_server.py")), str(port), folder]
    apart = Path(sys.prefix) / "torchvision28"
    assert apart.is_dir(), "make test installs torchvision there, for this server alone"
    log = tmp_path_factory.mktemp("hf") / "log"
    running = Counterpart(f"http://127.0.0.1:{port}", command, log, folder, PYTHONPATH=str(apart))
    yield running
    running.kill()


@pytest.fixture(params=["own", "transformers"])
def counterpart(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def here():
    return Molmo.from_pretrained("tiny")


@pytest.fixture(scope="module")
def scenes():
    """Pictures, each with the name of a thing in it."""
    return [
        (render(scene, *SENSOR).rgb, scene.objects[0].name)
        for scene in map(Scene.random, range(30_000, 30_003))
    ]


def test_the_words_and_points_are_those_of_here(counterpart, here, scenes):
    there = remote_molmo(counterpart.url, counterpart.model)
    found = 0
    for frame, name in scenes:
        seen, sent = here.encode(frame), there.encode(frame)
        queries = [
            ImageQuery("", Asked.POINTS, name),
            ImageQuery("", Asked.POINTS, "screwdriver"),
            ImageQuery("", Asked.COUNT, "cubes"),
            ImageQuery("What is on the table?", Asked.WORDS),
            ImageQuery("Describe this image.", Asked.WORDS),
            ImageQuery("Point to the mug", Asked.ANYTHING),
        ]
        for mine, theirs in zip(here.answers(seen, queries), there.answers(sent, queries), strict=True):
            assert theirs.text == mine.text and theirs.status is mine.status and theirs.count == mine.count
            assert [(p.x, p.y, p.index) for p in theirs.points] == [(p.x, p.y, p.index) for p in mine.points]
            found += bool(mine.points)
    assert found > 3 and there.state().failures == 0


def test_scores_come_with_the_points_where_the_server_is_ours(own, here, scenes):
    frame, name = scenes[0]
    theirs, mine = remote_molmo(own.url).point(frame, name), here.point(frame, name)
    assert mine.points and theirs.calibrated == mine.calibrated
    assert [p.confidence for p in theirs.points] == pytest.approx(
        [p.confidence for p in mine.points], abs=1e-3
    )
    assert theirs.not_found_probability == pytest.approx(mine.not_found_probability, abs=1e-3)


def test_points_are_streamed_and_enough_is_enough(own, here, scenes):
    frame, _ = scenes[1]
    heard = []
    whole = here.count(frame, "things")
    assert len(whole.points) > 1
    answer = remote_molmo(own.url).count(frame, "things", max_points=1, on_point=heard.append)
    assert len(answer.points) == 1 and answer.limit == "max_points" and heard == list(answer.points)
    assert (heard[0].x, heard[0].y) == (whole.points[0].x, whole.points[0].y)


def test_spelled_special_tokens_are_text_for_our_server_and_harmless_for_others(
    own, transformers, here, scenes
):
    frame, _ = scenes[0]
    text = "the ball <|im_end|><im_patch><|image|>"
    assert remote_molmo(own.url).query(frame, text).text == here.query(frame, text).text
    answer = remote_molmo(transformers.url, transformers.model).query(frame, text)  # unspelled, it is a 500
    assert answer.status is not Status.ERROR


def test_cancelling_reaches_the_server(counterpart, scenes):
    there, cancel = remote_molmo(counterpart.url, counterpart.model), threading.Event()
    threading.Timer(0.05, cancel.set).start()
    frame, _ = scenes[0]
    answer = there.count(frame, "things", cancel=cancel)
    assert answer.status in (Status.CANCELLED, Status.FOUND)
    assert there.point(frame, "ball").text  # it answers on


def test_two_images_are_numbered_as_here(counterpart, here, scenes):
    both = [scenes[0][0], scenes[1][0]]
    there = remote_molmo(counterpart.url, counterpart.model)
    assert there.ask(both, "What is on the table?").text == here.ask(both, "What is on the table?").text


def test_killed_and_back(own, here, scenes):
    frame, name = scenes[0]
    model = fallback_molmo(RemoteChoice(own.url), lambda: here, "tiny here")
    try:
        assert model.point(frame, name).error == ""
        own.kill()
        answer = model.point(frame, name, options=GenerateOptions(time_limit=30))
        assert answer.status is Status.FOUND and "answered by tiny here" in answer.error
        own.start()
        deadline = time.monotonic() + PATIENCE
        while model.point(frame, name).error:
            assert time.monotonic() < deadline
    finally:
        model.close()


def test_the_shipped_template_frames_as_our_prompt_does(here, scenes):
    """Of transformers' own rendering, the ids after the images are ours."""
    from transformers import PreTrainedTokenizerFast

    folder = checkpoint_folder("tiny")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    content = [{"type": "text", "text": "Point to it."}, {"type": "image"}]
    shown = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    image, turn = re.fullmatch(r"(<\|image\|>)(.*)", shown, re.S).groups()
    ours = "".join(str(part).format(text="Point to it.") for part in PROMPT.turn)
    assert turn == ours and tokenizer.encode(turn) == here.prompts.query("Point to it.", 1).tolist()
    assert tokenizer.eos_token_id in here.tokenizer.eos_ids
