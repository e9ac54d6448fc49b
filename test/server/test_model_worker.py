# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The thread that owns the model: every family and engine, questions taken together, and what goes wrong in it."""

import queue
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from family_checkpoint import write_byte_tokenizer, write_family_checkpoint
from running_server import coded, data_url

from molmo_ros.engine.load import load_molmo
from molmo_ros.molmo.answer import Point
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.server import model_worker
from molmo_ros.server.asking import Asking, AskingKind
from molmo_ros.server.job_queue import JobQueue
from molmo_ros.server.model_job import FinishedJob, ModelJob
from molmo_ros.server.model_worker import ModelWorker
from molmo_ros.server.request_error import RequestError
from molmo_ros.server.sent_picture import read_data_url
from molmo_ros.server.server_metrics import ServerMetrics

sys.path.insert(0, str(Path(__file__).parents[1] / "molmo" / "answers"))
PATIENCE = 60
PIXELS = 1 << 20
PICTURES = [np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8) for seed in (0, 1)]
WORDS = ("cup", "the red cube", "mug")


class Asker:
    """A worker with its queue; `ask` returns what collects a question's events."""

    def __init__(self, load, most=64, together=32, image_memory=1 << 30):
        self.queue, self.metrics, self.ended = JobQueue(most, together), ServerMetrics(), queue.Queue()
        self.ready = threading.Event()
        self.worker = ModelWorker(
            load,
            self.queue,
            self.metrics,
            pixels=PIXELS,
            image_memory=image_memory,
            on_ready=self.ready.set,
            on_end=self.ended.put,
        )

    def job(self, picture, words, kind=AskingKind.POINT, seconds=PATIENCE, stream=False, **asking):
        sent = read_data_url(data_url(picture), PIXELS, "url")
        events = queue.Queue()
        job = ModelJob(
            (sent,), Asking(kind, words, **asking), time.monotonic() + seconds, events.put, 24, stream
        )
        return job, events

    def ask(self, *arguments, **settings):
        job, events = self.job(*arguments, **settings)
        self.queue.put(job)
        return events

    def start(self):
        self.worker.start()
        return self

    def metric(self, name):
        for line in self.metrics.text().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return 0.0


def end(events):
    """The last event, and those before it."""
    seen = []
    while not seen or not isinstance(seen[-1], (FinishedJob, RequestError)):
        seen.append(events.get(timeout=PATIENCE))
    return seen[-1], seen[:-1]


@pytest.fixture
def asker():
    started = []

    def make(load, **settings):
        started.append(Asker(load, **settings))
        return started[-1]

    yield make
    for one in started:
        assert one.worker.stop(PATIENCE)


BOTH = ("molmo-7b-d-tiny", "molmo2-4b-tiny", "molmopoint-8b-tiny")
FAMILIES = [
    *[(vector, engine) for vector in BOTH for engine in ("torch", "onnx")],
    *[("molmo-7b-o-tiny", "torch"), ("molmoe-1b-tiny", "torch"), ("molmo2-o-7b-tiny", "onnx")],
    *[("molmo2-4b-tiny", "parsed"), ("molmopoint-8b-tiny", "parsed")],
]


@pytest.mark.parametrize("vector, engine", FAMILIES)
def test_every_family_and_engine_says_what_it_says_directly(asker, tmp_path, vector, engine):
    """Six questions about two pictures, which wait when the model is loaded: two packs of three."""
    folder = write_family_checkpoint(tmp_path / vector, vector)
    direct = load_molmo(folder, engine=engine)
    one = asker(lambda: load_molmo(folder, engine=engine))
    events = [one.ask(picture, words) for words in WORDS for picture in PICTURES]
    one.start()
    answers = [
        direct.point(picture, words, options=GenerateOptions(24)) for words in WORDS for picture in PICTURES
    ]
    for got, expected in zip(events, answers, strict=True):
        done, _ = end(got)
        assert isinstance(done, FinishedJob), done
        assert (done.answer.text, done.answer.tokens, done.answer.status) == (
            expected.text,
            expected.tokens,
            expected.status,
        )
        assert done.sizes == ((60, 80),)
    assert one.metric("molmo_pack_questions_count") == 2 and one.metric("molmo_pack_questions_sum") == 6
    assert one.metric('molmo_images_total{from="encoded"}') == 2
    assert (
        one.worker.card["engine"] == direct.runtime.name and one.worker.card["family"] == direct.family.name
    )


def test_points_of_a_point_head_come_as_they_are_complete(asker, tmp_path):
    """MolmoPoint: a checkpoint that recites points."""
    from test_point_format import reciting_folder

    folder = reciting_folder(tmp_path / "point", write_byte_tokenizer, distance=3)
    direct = Molmo.from_pretrained(folder)
    expected = direct.point(PICTURES[0], "cups", options=GenerateOptions(24))
    assert len(expected.points) > 2
    one = asker(lambda: Molmo.from_pretrained(folder)).start()
    done, before = end(one.ask(PICTURES[0], "cups", stream=True))
    assert [(p.x, p.y, p.index) for p in done.answer.points] == [(p.x, p.y, p.index) for p in expected.points]
    early = [event for event in before if isinstance(event, Point)]
    assert [(p.x, p.y) for p in early] == [(p.x, p.y) for p in expected.points]
    assert "".join(event for event in before if isinstance(event, str)).strip() == done.answer.text


def test_the_limit_of_what_is_answered_together(asker, direct):
    one = asker(lambda: direct, together=2)
    events = [one.ask(PICTURES[0], f"cup {number}") for number in range(5)]
    one.start()
    assert all(isinstance(end(got)[0], FinishedJob) for got in events)
    assert one.metric("molmo_pack_questions_count") == 3
    assert one.metric('molmo_images_total{from="encoded"}') == 1


def test_encoded_pictures_are_bounded_by_memory(asker, direct):
    """One fits: the picture that was asked about longest ago is encoded again."""
    one = asker(lambda: direct, image_memory=1).start()
    for number in (0, 0, 1, 0):
        end(one.ask(PICTURES[number], "cup"))
    until(lambda: one.metric("molmo_kept_images") == 1)
    assert one.metric('molmo_images_total{from="encoded"}') == 3
    assert one.metric('molmo_images_total{from="kept"}') == 1
    assert one.metric("molmo_kept_image_bytes") > 0


def test_tiles_make_another_encoding(asker, direct):
    one = asker(lambda: direct).start()
    for crops in (None, 1, 1):
        end(one.ask(PICTURES[0], "cup", max_crops=crops))
    assert one.metric('molmo_images_total{from="encoded"}') == 2


def test_one_question_that_is_wrong_leaves_the_others_alone(asker, direct):
    one = asker(lambda: direct)
    events = [one.ask(PICTURES[0], words, AskingKind.ASK) for words in ("what?", "word " * 3000, "where?")]
    one.start()
    first, wrong, last = (end(got)[0] for got in events)
    assert isinstance(first, FinishedJob) and isinstance(last, FinishedJob)
    assert isinstance(wrong, RequestError) and wrong.code == "context_length_exceeded"


def test_a_picture_that_cannot_be_decoded_is_told_to_all_who_ask_about_it(asker, direct):
    png = bytearray(coded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    png[60:90] = bytes(30)
    one = asker(lambda: direct)
    events = [one.ask(bytes(png), words) for words in WORDS]
    one.start()
    for got in events:
        error = end(got)[0]
        assert error.status == 400 and "cannot be decoded" in error.message
    assert isinstance(end(one.ask(PICTURES[0], "cup"))[0], FinishedJob)


class Failing:
    """A model whose answers fail as often as is said, and else are those of another."""

    def __init__(self, model, failures, error):
        self._model, self._left, self._error = model, failures, error

    def __getattr__(self, name):
        return getattr(self._model, name)

    def answers(self, *arguments):
        if self._left:
            self._left -= 1
            raise self._error
        return self._model.answers(*arguments)


def test_a_failure_of_the_model_is_500_and_it_goes_on_with_new_encodings(asker, direct):
    one = asker(lambda: Failing(direct, 1, RuntimeError("out of memory")))
    events = [one.ask(PICTURES[0], words) for words in WORDS]
    one.start()
    errors = [end(got)[0] for got in events]
    assert [(error.status, error.code) for error in errors] == [(500, "model_failed")] * 3
    assert isinstance(end(one.ask(PICTURES[0], "cup"))[0], FinishedJob)
    assert one.metric('molmo_images_total{from="encoded"}') == 2
    assert one.worker.health == "ok" and one.ended.empty()


def test_a_lost_gpu_is_the_end(asker, direct, monkeypatch):
    monkeypatch.setattr(model_worker, "gpu_is_lost", lambda: True)
    fault = RuntimeError("CUDA error: an illegal memory access was encountered")
    one = asker(lambda: Failing(direct, 9, fault))
    events = [one.ask(PICTURES[number], "cup") for number in (0, 1)]
    one.start()
    asked, waiting = (end(got)[0] for got in events)
    assert (asked.status, asked.code) == (503, "gpu_lost")
    assert (waiting.status, waiting.code) == (503, "shutting_down")
    assert one.ended.get(timeout=PATIENCE) is fault and one.worker.health == "failed"
    with pytest.raises(RequestError):
        one.ask(PICTURES[0], "cup")


def test_a_model_that_cannot_be_loaded_is_told(asker):
    def load():
        raise CheckpointError("no such model")

    one = asker(load)
    assert one.worker.health == "loading"
    events = one.ask(PICTURES[0], "cup")
    one.start()
    assert end(events)[0].status == 503
    assert str(one.ended.get(timeout=PATIENCE)) == "no such model"


def test_a_stage_that_does_not_end_is_seen(asker, direct, monkeypatch):
    entered, leave = threading.Event(), threading.Event()

    class Stuck(Failing):
        def answers(self, *arguments):
            entered.set()
            leave.wait(PATIENCE)
            return self._model.answers(*arguments)

    one = asker(lambda: Stuck(direct, 0, None)).start()
    one.ready.wait(PATIENCE)
    assert one.worker.health == "ok"
    one.ask(PICTURES[0], "cup", seconds=0.5)
    assert entered.wait(PATIENCE)
    monkeypatch.setattr(model_worker, "GRACE", -1.0)
    assert one.worker.health == "stuck"
    leave.set()
    until(lambda: one.worker.health == "ok")


def until(condition):
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)
