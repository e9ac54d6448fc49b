# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which continuous queries are due, about which camera."""

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from molmo_ros.node.cameras.camera_input import camera_inputs  # noqa: E402
from molmo_ros.node.parameters.declaration import Settings  # noqa: E402
from molmo_ros.node.records.frame import Frame, stamp_ns  # noqa: E402
from molmo_ros.node.scheduling import continuous  # noqa: E402
from molmo_ros.node.scheduling.continuous import ContinuousQueries  # noqa: E402


@pytest.fixture
def asking():
    """Cameras wrist and head, parameters to change, and the queries about them."""

    class Asking:
        cameras = camera_inputs(["wrist", "head"], lambda *_: None)
        parameters = {"queries": ["cube"], "rate": 0.5}
        stale = ""

        def settings(self):
            return Settings.of(self.parameters)

        def see(self, *names):
            for name in names:
                self.cameras[name].frames.put(Frame(Image()))

        def due(self):
            """Camera and queries that are due; they count as asked, and the frame as seen."""
            batch, wait = self.queries.due()
            if not batch:
                assert wait > 0
                return None
            camera = batch[0].query.camera
            assert {one.query.camera for one in batch} == {camera} and all(one.continuous for one in batch)
            self.cameras[camera].frames.newest()
            self.queries.asked(camera)
            return camera, [one.query.written for one in batch]

    one = Asking()
    one.queries = ContinuousQueries(one.cameras, one.settings, lambda _: one.stale)
    return one


def test_every_camera_in_turn_with_all_its_queries(asking):
    asking.parameters["queries"] = ["cube", "", "@head mug", "@wrist plug"]
    asking.see("wrist", "head")
    assert asking.due() == ("wrist", ["cube", "@wrist plug"])
    assert asking.due() == ("head", ["cube", "@head mug"])
    assert asking.due() is None


def test_nothing_is_asked_without_queries(asking):
    asking.parameters["queries"] = [""]
    asking.see("wrist")
    assert asking.due() is None


def test_no_faster_than_the_rate(asking):
    asking.see("wrist")
    asking.parameters["queries"] = ["@wrist cube"]
    assert asking.due()
    asking.see("wrist")
    batch, wait = asking.queries.due()
    assert batch == [] and 0 < wait <= 2.0
    asking.parameters["rate"] = 1e6  # changed while running
    assert asking.due()


def test_frame_is_asked_about_once(asking):
    asking.parameters |= {"queries": ["@wrist cube"], "rate": 1e6}
    asking.see("wrist")
    assert asking.due() and asking.due() is None
    asking.see("wrist")
    assert asking.due()


def test_due_changes_nothing_until_it_is_asked(asking):
    asking.see("wrist", "head")
    assert asking.queries.due()[0] and asking.due() == ("wrist", ["cube"])


def test_hurry_asks_about_the_same_frame_again(asking):
    asking.parameters["queries"] = ["@wrist cube"]
    asking.see("wrist")
    assert asking.due() and asking.due() is None
    asking.queries.hurry("wrist")
    assert asking.due() == ("wrist", ["@wrist cube"])
    asking.queries.hurry("")  # of a request that brought its image


def test_frozen_camera_is_reported_slowly_and_blocks_no_other(asking):
    asking.parameters["rate"] = 1e6
    asking.see("wrist", "head")
    assert {asking.due()[0], asking.due()[0]} == {"wrist", "head"}
    asking.stale = "too old"
    asked = []
    for _ in range(5):
        asking.see("head")
        while due := asking.due():
            asked.append(due[0])
    assert asked.count("head") == 5 and asked.count("wrist") <= 1


class SlowModel:
    """Asks what is due as the node does, on a clock of its own: every query takes `answer` seconds.

    Attributes:
        began: When each query was asked about a frame, by camera and query [s].
        told: The same of reports that there is no usable frame.
    """

    def __init__(self, asking, monkeypatch, answer, period=0.1, max_age=1.0):
        self.asking, self.answer, self.period, self.max_age = asking, answer, period, max_age
        self.now, self.began, self.told = 1000.0, {}, {}
        monkeypatch.setattr(continuous, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.queries = ContinuousQueries(asking.cameras, asking.settings, self.refusal)

    def refusal(self, frame):
        return "too old" if self.now - stamp_ns(frame.message.header) * 1e-9 > self.max_age else ""

    def show(self):
        """The newest frame of each camera, of which one comes in each period."""
        stamp = int(self.now / self.period + 1e-6) * self.period
        for camera in self.asking.cameras.values():
            newest, _ = camera.frames.peek()
            if newest is None or newest.stamp * 1e-9 < stamp - self.period / 2:
                image = Image()
                image.header.stamp = Time(sec=int(stamp), nanosec=round(stamp % 1 * 1e9) % 10**9)
                camera.frames.put(Frame(image))

    def run(self, duration):
        until = self.now + duration
        while self.now < until:
            self.show()
            batch, wait = self.queries.due()
            if not batch:
                self.now += min(wait, 0.05)
                continue
            camera = batch[0].query.camera
            self.queries.asked(camera)
            frame = self.asking.cameras[camera].frames.newest()
            left, began = list(batch), self.now
            for request in batch:
                told = self.told if frame is None or self.refusal(frame) else self.began
                if told is self.told and self.now > began:
                    break  # the frame became too old while the others were answered
                told.setdefault((camera, request.query.written), []).append(self.now)
                left.remove(request)
                self.now += self.answer if told is self.began else 0.0
            self.queries.put_back(camera, left)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("answer", [0.01, 0.3, 1.2, 5.0])
def test_each_query_has_its_turn_however_slow_the_model(asking, monkeypatch, answer, count):
    asking.parameters |= {"queries": [f"thing {n}" for n in range(count)], "rate": 1.0}
    slow = SlowModel(asking, monkeypatch, answer)
    duration = max(60.0, 6 * answer * count * 2)
    slow.run(duration)
    assert len(slow.began) == 2 * count  # both cameras
    times = [len(one) for one in slow.began.values()]
    assert max(times) - min(times) <= 1
    assert max(times) <= duration * asking.parameters["rate"] + 1
    capacity = duration / (answer * 2 * count)
    assert min(times) >= 0.9 * min(capacity, duration / 1.2) - 1
    for began in slow.began.values():
        assert all(
            b - a >= 1 / asking.parameters["rate"] - 1e-6 for a, b in zip(began, began[1:], strict=False)
        )


def test_a_camera_that_is_slower_than_its_frames_may_be_old_is_shared_in_turns(asking, monkeypatch):
    """A frame every 2 s serves one query; the others are told STALE, and have the next ones."""
    asking.parameters |= {"queries": ["@wrist a", "@wrist b", "@wrist c"], "rate": 1.0}
    slow = SlowModel(asking, monkeypatch, 1.2, period=2.0)
    slow.run(60.0)
    times = [len(one) for one in slow.began.values()]
    assert len(times) == 3 and max(times) - min(times) <= 1 and sum(times) >= 25
    assert set(slow.told) == set(slow.began)


def test_what_was_put_back_is_asked_first_and_without_a_new_frame(asking):
    asking.parameters["queries"] = ["@wrist a", "@wrist b", "@wrist c"]
    asking.see("wrist")
    batch, _ = asking.queries.due()
    asking.cameras["wrist"].frames.newest()
    asking.queries.asked("wrist")
    asking.queries.put_back("wrist", batch[1:])
    assert asking.due() == ("wrist", ["@wrist b", "@wrist c"])
    assert asking.due() is None


def test_one_lost_object_is_hurried_once_in_a_round(asking):
    asking.parameters["queries"] = ["@wrist a", "@wrist b"]
    asking.see("wrist")
    assert asking.due()
    asking.queries.hurry("wrist", "@wrist b")
    assert asking.due() == ("wrist", ["@wrist b"])
    asking.queries.hurry("wrist", "@wrist b")
    assert asking.due() is None


def test_who_was_asked_longest_ago_is_asked_first_also_in_the_next_round(asking):
    asking.parameters |= {"queries": ["@wrist a", "@wrist b", "@wrist c"], "rate": 1e6}
    asking.see("wrist")
    batch, _ = asking.queries.due()
    asking.cameras["wrist"].frames.newest()
    asking.queries.asked("wrist")
    asking.queries.put_back("wrist", batch[:1])
    assert asking.due() == ("wrist", ["@wrist a"])
    asking.see("wrist")
    assert asking.due() == ("wrist", ["@wrist b", "@wrist c", "@wrist a"])
