# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Requests about one frame, answered together by the embedded model: each as it would be alone, in a pass for all."""

import array
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from molmo_ros.molmo.pipeline import Molmo  # noqa: E402
from molmo_ros.molmo.prompts.prompt_text import place_label  # noqa: E402
from molmo_ros.molmo.running.generation import GenerateOptions  # noqa: E402
from molmo_ros.node.answers.answering import Answerer  # noqa: E402
from molmo_ros.node.cameras.camera_input import camera_inputs  # noqa: E402
from molmo_ros.node.parameters.declaration import Settings  # noqa: E402
from molmo_ros.node.records.query import Kind, structured_query  # noqa: E402
from molmo_ros.node.records.request import QueryLimits, Request, Source  # noqa: E402
from molmo_ros.sim.renderer import render  # noqa: E402
from molmo_ros.sim.scene import SENSOR, Scene  # noqa: E402

LABELS = ["green cube", "purple cone", "orange bottle", "red cube", "unicorn"]
EVERYTHING = [
    ("point", LABELS[:3], Source.ACTION),
    ("count", ["cube"], Source.SERVICE),
    ("ask", "How many objects are on the table?", Source.SERVICE),
    ("place", ["left of the red cube"], Source.TOPIC),
    ("point", LABELS[3:], Source.TOPIC),
]


@pytest.fixture(scope="module")
def picture():
    return render(Scene.random(np.random.default_rng(83_011)), *SENSOR).rgb


@pytest.fixture
def molmo():
    """One that remembers no answers."""
    return Molmo.from_pretrained("tiny")


class Together:
    """An answerer with one camera that shows one picture."""

    def __init__(self, molmo, picture, moves=()):
        self.molmo, self.delivered, self.said, self.passes = molmo, [], [], 0
        self.cameras = cameras = camera_inputs(["camera"], lambda *_: None)
        self.answerer = Answerer(
            molmo,
            GenerateOptions,
            cameras=cameras,
            settings=lambda: Settings.of({"use_depth": False}),
            now=lambda: 100 * 10**9,
            transforms=None,
            log=SimpleNamespace(error=self._log, warning=self._log),
            moves=lambda camera, written: moves if (camera, written) == ("camera", LABELS[0]) else (),
        )
        self.show(picture)
        self._count("prefill")
        self._count("decode")

    def show(self, picture):
        height, width = picture.shape[:2]
        data = array.array("B", picture.tobytes())
        image = Image(height=height, width=width, encoding="rgb8", step=width * 3, data=data)
        image.header.stamp = Time(sec=100)
        self.cameras["camera"].on_image(image)

    def _log(self, text, **_):
        self.said.append(text)

    def _count(self, name):
        run = getattr(self.molmo.runtime, name)

        def counted(*arguments, **options):
            self.passes += 1
            return run(*arguments, **options)

        setattr(self.molmo.runtime, name, counted)

    def ask(self, requests):
        """The outcomes, in the order of the requests."""
        left = self.answerer.answer(
            requests, lambda _: True, lambda outcome, _: self.delivered.append(outcome)
        )
        assert not left and len(self.delivered) == len(requests)
        return [next(one for one in self.delivered if one.request is request) for request in requests]


def request(kind, texts, source=Source.SERVICE, **more):
    prompt, labels = (texts, []) if isinstance(texts, str) else ("", texts)
    return Request(structured_query(kind, prompt, labels, "camera"), source, **more)


def alone(molmo, picture, kind, texts):
    """What the model says to each text by itself."""
    encoded = molmo.encode(picture)
    options = GenerateOptions(drafts=False)
    way = {Kind.COUNT: molmo.count, Kind.ASK: molmo.ask}.get(Kind(kind), molmo.point)
    for text in [texts] if isinstance(texts, str) else texts:
        yield way(encoded, place_label(text) if kind == "place" else text, options=options)


def places(points):
    return [(point.x, point.y) for point in points]


def test_each_answer_is_what_it_would_be_alone_and_they_share_their_passes(molmo, picture):
    expected = [list(alone(molmo, picture, kind, texts)) for kind, texts, _ in EVERYTHING]
    tokens = [answer.tokens for answers in expected for answer in answers]
    together = Together(molmo, picture)
    outcomes = together.ask([request(*one) for one in EVERYTHING])
    for outcome, answers in zip(outcomes, expected, strict=True):
        assert outcome.answer.text == "\n".join(answer.text for answer in answers if answer.text)
        assert places(outcome.answer.points) == [
            place for answer in answers for place in places(answer.points)
        ]
        assert len(answers) > 1 or outcome.answer.count == answers[0].count
        assert outcome.timing_ms["total"] >= outcome.timing_ms["model"] > 0
    assert any(outcome.answer.points for outcome in outcomes)
    # A pass for each token of the longest, and a few to fill the cache anew; one after the other took one each.
    assert together.passes <= max(tokens) + 6 < sum(tokens) / 2


def test_the_first_that_is_answered_is_delivered_first(molmo, picture):
    short, long = (
        request("point", ["unicorn"], Source.TOPIC),
        request("ask", "Describe this image.", Source.ACTION),
    )
    texts = []
    long.on_progress = lambda progress: texts.append((len(together.delivered), progress.text))
    together = Together(molmo, picture)
    together.ask([long, short])
    assert [one.request for one in together.delivered] == [short, long]
    assert texts[0][0] == 0 and texts[-1][0] == 1  # the long one was being written before and after


def test_cancelling_or_limiting_one_leaves_the_others_alone(molmo, picture):
    expected = [answer.text for answer in alone(molmo, picture, "point", LABELS)]
    stopped, limited = request("ask", "Describe this image."), request("point", LABELS[:1])
    limited.limits = QueryLimits(max_new_tokens=2)
    stopped.on_progress = lambda progress: stopped.cancel.set()
    outcomes = Together(molmo, picture).ask([stopped, limited, *(request("point", [one]) for one in LABELS)])
    assert [one.status.value for one in outcomes[:2]] == ["CANCELLED", "UNPARSEABLE"]
    assert outcomes[1].answer.truncated and outcomes[1].answer.tokens == 2
    assert [one.answer.text for one in outcomes[2:]] == expected


def test_pieces_of_several_labels_come_with_their_own_label(molmo, picture):
    seen = []
    one = request("point", LABELS[:4], on_progress=seen.append)
    (outcome,) = Together(molmo, picture).ask([one])
    last = seen[-1]
    assert last.text == outcome.answer.text
    assert {(point.pixel.x, point.pixel.label) for point in last.points} == {
        (point.x, point.label) for point in outcome.answer.points
    }
    assert {point.label for point in outcome.answer.points} <= set(LABELS[:4]) and len(
        outcome.answer.points
    ) > 1


def test_where_so_many_at_once_fail_each_is_asked_by_itself(molmo, picture):
    """Memory that is too short for the pack; and one request that cannot be asked at all."""
    expected = [answer.text for answer in alone(molmo, picture, "point", LABELS)]
    together = Together(molmo, picture)
    answers = molmo.answers

    def short_of_memory(image, queries, on_answer):
        if len(queries) > 1 or queries[0].label == LABELS[2]:
            raise MemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return answers(image, queries, on_answer)

    molmo.answers = short_of_memory
    outcomes = together.ask([request("point", [label]) for label in LABELS])
    told = [(one.status.value, one.reason) for one in outcomes]
    assert told[2] == ("ERROR", "MemoryError: CUDA out of memory. Tried to allocate 2 GiB")
    assert [one.answer.text for one in outcomes if one.answer] == expected[:2] + expected[3:]
    assert any("asked one after the other" in line for line in together.said)


def test_a_text_that_is_too_long_is_the_error_of_its_request(molmo, picture):
    outcomes = Together(molmo, picture).ask([request("ask", "why " * 1000), request("point", LABELS[:1])])
    assert outcomes[0].status.value == "ERROR" and "tokens" in outcomes[0].reason
    assert outcomes[1].answer is not None


MOVED = np.array([40.0, -24.0])


def test_a_continuous_query_is_guessed_from_where_its_points_are_followed_to(picture):
    """The picture has moved; whatever is said of the points, the answer is what the model says to the new picture."""
    shifted = np.roll(picture, MOVED[::-1].astype(int), axis=(0, 1))
    molmo, label = Molmo.from_pretrained("tiny"), LABELS[:1]
    before, after = (places(next(alone(molmo, one, "point", label)).points) for one in (picture, shifted))
    assert np.array(after) == pytest.approx(np.array(before) + MOVED, abs=2)
    passes = {}
    for known, now in {"followed": after, "lost": [], "elsewhere": [(3.0, 3.0), (np.nan, -1e9)]}.items():
        together = Together(Molmo.from_pretrained("tiny"), picture, list(zip(before, now, strict=False)))
        for shown, expected in ((picture, before), (shifted, after)):
            together.show(shown)
            together.delivered.clear()
            (outcome,) = together.ask([request("point", label, Source.CONTINUOUS)])
            assert places(outcome.answer.points) == expected
        passes[known] = outcome.answer.passes
    assert passes["followed"] < min(passes["lost"], passes["elsewhere"])
