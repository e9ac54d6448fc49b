# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which frame a request is answered about: interrupted rounds go on with theirs; none outlives a jump of the clock."""

import array
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from molmo_ros.engine.errors import EngineError  # noqa: E402
from molmo_ros.molmo.answer import Answer, Point  # noqa: E402
from molmo_ros.molmo.status import Status  # noqa: E402
from molmo_ros.node.answers.answering import Answerer  # noqa: E402
from molmo_ros.node.answers.fatal_error import FatalModelError  # noqa: E402
from molmo_ros.node.cameras.camera_input import camera_inputs  # noqa: E402
from molmo_ros.node.parameters.declaration import Settings  # noqa: E402
from molmo_ros.node.records.query import parse_query, structured_query  # noqa: E402
from molmo_ros.node.records.request import Request, Source  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
from one_after_another import OneAfterAnother  # noqa: E402


class Model(OneAfterAnother):
    """Finds a point at once; `during` is called while it answers."""

    def __init__(self):
        self.encoded, self.during = 0, lambda label: None

    def encode(self, image, view=""):
        self.encoded += 1
        return image

    def limit_crops(self, *_):
        pass

    def point(self, image, label, *, cancel, **_):
        self.during(label)
        if cancel.is_set():
            return Answer(Status.CANCELLED)
        return Answer(Status.FOUND, "", (Point(1.0, 1.0, label),))


class Desk:
    """An answerer with one camera, a clock, and what was delivered."""

    def __init__(self):
        self.now, self.delivered, self.model = 100.0, [], Model()
        self.parameters = {"use_depth": False}
        self.cameras = camera_inputs(["camera"], lambda *_: None)
        self.cameras["camera"].now = lambda: round(self.now * 1e9)
        self.answerer = Answerer(
            self.model,
            dict,
            cameras=self.cameras,
            settings=lambda: Settings.of(self.parameters),
            now=lambda: round(self.now * 1e9),
            transforms=None,
            log=SimpleNamespace(error=lambda text, **_: print(text), warning=print),
        )

    def show(self):
        image = Image(height=2, width=2, encoding="rgb8", step=6, data=array.array("B", bytes(12)))
        image.header.stamp = Time(sec=int(self.now), nanosec=round(self.now % 1 * 1e9))
        self.cameras["camera"].on_image(image)

    def ask(
        self, *texts, source=Source.CONTINUOUS, read=lambda text: parse_query(f"@camera {text}"), **request
    ):
        """What came of each: status and stamp [s]; and the first texts that are to be asked again."""
        batch = [Request(read(text), source, **request) for text in texts]
        self.batch, self.delivered = batch, []
        left = self.answerer.answer(batch, lambda _: True, lambda outcome, _: self.delivered.append(outcome))
        return (
            [(one.status.value, one.stamp * 1e-9) for one in self.delivered],
            [one.query.texts[0] for one in left],
        )

    def preempt(self):
        for request in self.batch:
            request.preempted = True
            request.cancel.set()


@pytest.fixture
def desk():
    one = Desk()
    one.show()
    return one


def test_an_interrupted_round_goes_on_with_its_frame(desk):
    desk.model.during = lambda label: desk.preempt() if label == "b" else None
    outcomes, _ = desk.ask("a", "b", "c")
    assert [status for status, _ in outcomes] == ["FOUND", "CANCELLED", "CANCELLED"] and desk.answerer.resumes
    desk.now += 0.5
    desk.show()
    assert desk.ask("d", source=Source.SERVICE)[0] == [("FOUND", 100.5)]
    desk.model.during = lambda label: None
    assert desk.ask("b", "c")[0] == [("FOUND", 100.0)] * 2
    assert desk.model.encoded == 2 and not desk.answerer.resumes
    assert desk.ask("a")[0] == [("FOUND", 100.5)]


def test_a_round_that_was_interrupted_too_late_is_over(desk):
    """A more urgent request came when the last answer was done: the next round has a frame of its own."""
    desk.model.during = lambda label: [setattr(one, "preempted", True) for one in desk.batch]
    assert [status for status, _ in desk.ask("a", "b")[0]] == ["FOUND", "FOUND"]
    assert not desk.answerer.resumes


@pytest.mark.parametrize("what", ["age", "jump"])
def test_an_interrupted_round_goes_on_with_no_frame_from_another_time(desk, what):
    desk.model.during = lambda label: desk.preempt()
    desk.ask("a")
    desk.model.during = lambda label: None
    if what == "age":
        desk.now += Settings.of(desk.parameters).max_frame_age + 0.1
    else:
        desk.now = 50.0
        desk.cameras["camera"].jumped(50 * 10**9)
        desk.answerer.forget("the clock jumped")
    desk.show()
    assert desk.ask("a")[0] == [("FOUND", pytest.approx(desk.now))]


@pytest.mark.parametrize("source", list(Source))
def test_the_clock_jumps_while_an_answer_is_made(desk, source):
    desk.model.during = lambda label: desk.answerer.forget("the clock jumped")
    outcomes, left = desk.ask("a", "b", source=source)
    assert [status for status, _ in outcomes] == ["STALE", "STALE"] and not left
    assert desk.delivered[0].points == () and desk.delivered[0].reason == "the clock jumped"


@pytest.mark.parametrize("jump", [False, True])
def test_what_waits_until_its_frame_is_too_old_is_handed_back(desk, jump):
    """Each of three requests with 40 labels: more than two are not asked together."""
    texts = [", ".join(f"{name}{number}" for number in range(40)) for name in "abc"]

    def slow(label):
        if label == "a39" and jump:
            desk.answerer.forget("the clock jumped")
        elif label == "a39":
            desk.now += Settings.of(desk.parameters).max_frame_age + 0.2

    desk.model.during = slow
    outcomes, left = desk.ask(*texts, read=lambda text: structured_query("", "", text.split(", "), "camera"))
    assert [status for status, _ in outcomes] == (["STALE"] if jump else ["FOUND"])
    assert left == ["b0", "c0"] and not desk.answerer.resumes


def test_where_nothing_is_found_the_reason_says_what_was_assumed_about_the_picture(desk):
    """A camera of 10 bits, one that sends nearly black pictures, and one that is as it should be."""
    warned = []
    desk.answerer._log = SimpleNamespace(error=print, warning=warned.append)
    desk.model.point = lambda *_, **__: Answer(Status.NOT_FOUND)

    def reason(encoding, values):
        samples = array.array("H", values)
        image = Image(height=2, width=2, encoding=encoding, step=4, data=array.array("B", samples.tobytes()))
        desk.now += 1.0
        image.header.stamp = Time(sec=int(desk.now))
        desk.cameras["camera"].on_image(image)
        desk.ask("cup")
        return desk.delivered[0].reason

    assert "nearly black: its largest value is 4 of 255" in reason("mono16", [0, 1, 2, 4])
    assert "read as 10 bits" in reason("mono16", [0, 300, 600, 1023]) and "image_bits" in warned[-1]
    count = len(warned)
    assert "read as 10 bits" in reason("mono16", [0, 300, 600, 900]) and len(warned) == count
    desk.parameters["image_bits"] = 16
    assert "is image_bits = 16 right?" in reason("mono16", [0, 300, 600, 1023])
    desk.parameters["image_bits"] = 10
    assert reason("mono16", [0, 300, 600, 1023]) == ""
    desk.model.point = lambda *_, **__: Answer(Status.FOUND, "", (Point(1.0, 1.0, "cup"),))
    assert "bits" not in reason("mono16", [0, 300, 600, 1023])


FAULTS = {
    "torch's words": RuntimeError("CUDA error: an illegal memory access was encountered"),
    "TensorRT's words": EngineError(
        "the decoder engine does not run: Cuda Runtime (an illegal memory access)"
    ),
    "no words": RuntimeError("7"),
}
PASSING = {
    "memory": MemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "memory of cuBLAS": RuntimeError(
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    ),
    "a recording": RuntimeError("CUDA error: operation not permitted when stream is capturing"),
    "an engine": EngineError("the decoder engine does not take embeddings of shape (1, 9, 8)"),
}


@pytest.mark.parametrize("error", FAULTS.values(), ids=FAULTS)
def test_a_lost_gpu_ends_the_model_whatever_the_error_says(desk, cuda, error):
    def fail(label):
        cuda.break_down()
        raise error

    desk.model.during = fail
    with pytest.raises(FatalModelError):
        desk.ask("a", "b")
    assert [outcome.status for outcome in desk.delivered] == [Status.ERROR]


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING)
def test_an_error_that_the_gpu_outlives_is_that_of_one_query(desk, cuda, error):
    def fail(label):
        if label == "a":
            raise error

    desk.model.during = fail
    assert [status for status, _ in desk.ask("a", "b")[0]] == ["ERROR", "FOUND"]


def test_what_the_gpu_tells_once_is_no_loss(desk, cuda, monkeypatch):
    """An error of a launch from before is reported by whoever waits next."""
    import torch

    untold = [RuntimeError("CUDA error: invalid configuration argument")]

    def synchronize(device=None):
        if untold:
            raise untold.pop()

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    desk.model.during = lambda label: [][0] if label == "a" else None
    assert [status for status, _ in desk.ask("a", "b")[0]] == ["ERROR", "FOUND"]
