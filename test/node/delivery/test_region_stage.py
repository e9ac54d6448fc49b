# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The thread that looks for objects: who waits for it, what it may drop, and how it ends."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from molmo_msgs.msg import ObjectPoint, ObjectPointArray  # noqa: E402

from molmo_ros.node.delivery.region_stage import MOST_ASKED, RegionStage  # noqa: E402
from molmo_ros.node.parameters.declaration import Settings  # noqa: E402
from molmo_ros.node.records.found_objects import FoundObjects  # noqa: E402
from molmo_ros.node.records.view import View  # noqa: E402

PATIENCE = 10.0
PICTURE = View(lambda: np.zeros((4, 4, 3), np.uint8), None, SimpleNamespace())
NO_DEPTH = View(lambda: np.zeros((4, 4, 3), np.uint8))


class Finder:
    """Looks for objects as soon as it may, one search at a time."""

    def __init__(self):
        self.begun, self.wanted = [], []
        self.may_end = threading.Semaphore(0)

    def find(self, array, view, *, grasps):
        if view.surroundings is not None and array.points:
            self.begun.append(array.request_id)
            self.wanted.append(grasps)
            self.may_end.acquire()
            if array.request_id == "breaks":
                raise RuntimeError("nobody foresaw this")
        return FoundObjects(array, view, timing_ms={"regions": 1.0})


class Outputs:
    def __init__(self):
        self.published, self.removals, self.heard, self.grasps_heard = [], [], True, False
        self.remembers = False

    def publish(self, found, now):
        self.published.append(found)

    def remove_gone(self, now, patience, queries):
        self.removals.append((now, patience, tuple(queries)))

    def remove_all(self):
        self.removals.append("all")


class Stage(RegionStage):
    def __init__(self, **parameters):
        self.finder, self.outputs, self.logged, self.times = Finder(), Outputs(), [], []
        super().__init__(
            self.finder,
            self.outputs,
            SimpleNamespace(record_objects=lambda *what: self.times.append(what)),
            settings=lambda: Settings.of(parameters),
            clock=SimpleNamespace(now=lambda: 7, ok=lambda: True),
            log=SimpleNamespace(error=lambda text, **_: self.logged.append(text)),
        )

    def told(self):
        return [found.array.request_id for found in self.outputs.published]


@pytest.fixture
def stages():
    made = []

    def make(**parameters):
        made.append(Stage(**parameters))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.finder.may_end.release(1000)
        one.stop("the test is over")


def points(name, source="continuous", camera="wrist", count=1):
    array = ObjectPointArray(request_id=name, source=source, camera=camera)
    array.points = [ObjectPoint() for _ in range(count)]
    return array


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.002)


def test_frames_do_not_queue_and_the_newest_is_the_next(stages):
    stage = stages()
    for number in range(6):
        stage.show(points(f"frame {number}"), PICTURE)
        until(lambda: stage.finder.begun)
    stage.finder.may_end.release(2)
    until(lambda: len(stage.told()) == 2)
    assert stage.told() == stage.finder.begun == ["frame 0", "frame 5"]
    assert stage.times == [({"regions": 1.0}, "")] * 2


def test_cameras_do_not_replace_each_others_frames_and_who_asked_is_served_first(stages):
    stage, answered = stages(), []
    stage.show(points("first"), PICTURE)
    until(lambda: stage.finder.begun)
    for camera in ("head", "wrist", "head"):
        stage.show(points(f"{camera} frame", camera=camera), PICTURE)
    stage.show(points("topic", source="topic"), PICTURE)
    stage.show(points("another", source="topic"), PICTURE)
    stage.ask(points("service", source="service"), PICTURE, answered.append, grasps=True)
    stage.finder.may_end.release(100)
    until(lambda: len(stage.told()) == 5 and answered)
    assert stage.finder.begun[:4] == ["first", "topic", "another", "service"]
    assert sorted(stage.finder.begun[4:]) == ["head frame", "wrist frame"]
    assert [found.array.request_id for found in answered] == ["service"]
    assert stage.finder.wanted == [False, False, False, True, False, False]


def test_where_there_is_nothing_to_look_for_it_is_told_at_once_but_not_before_what_came_first(stages):
    stage = stages()
    stage.show(points("no depth"), NO_DEPTH)
    stage.show(points("nothing", count=0), PICTURE)
    assert stage.told() == ["no depth", "nothing"]  # in this very thread
    stage.show(points("looked at"), PICTURE)
    until(lambda: stage.finder.begun)
    stage.show(points("gone", count=0), NO_DEPTH)
    stage.show(points("elsewhere", count=0, camera="head"), NO_DEPTH)
    assert stage.told()[2:] == ["elsewhere"]
    stage.finder.may_end.release(1)
    until(lambda: len(stage.told()) == 5)
    assert stage.told()[3:] == ["looked at", "gone"]


def test_nothing_is_looked_for_while_nobody_listens(stages):
    stage = stages()
    stage.outputs.heard = False
    stage.show(points("unheard", source="topic"), PICTURE)  # would come before the next
    stage.outputs.heard, stage.outputs.grasps_heard = True, True
    stage.show(points("heard"), PICTURE)
    stage.finder.may_end.release(1)
    until(lambda: stage.told() == ["heard"])
    assert stage.finder.wanted == [True]


def test_the_rate_holds_for_each_camera(stages):
    stage = stages(region_rate=2.0)
    stage.finder.may_end.release(1000)
    began = time.monotonic()
    while time.monotonic() - began < 1.3:
        for camera in ("wrist", "head"):
            stage.show(points(camera, camera=camera), PICTURE)
        time.sleep(0.01)
    assert 2 <= stage.told().count("wrist") <= 3 and 2 <= stage.told().count("head") <= 3


def test_who_asked_is_told_once_without_objects_where_the_node_is_deactivated_meanwhile(stages):
    stage, answered = stages(), []
    stage.ask(points("runs"), PICTURE, answered.append)
    until(lambda: stage.finder.begun)
    stage.ask(points("waits"), PICTURE, answered.append)
    stage.show(points("frame"), PICTURE)
    stage.stop("the node was deactivated")
    assert {found.array.request_id for found in answered} == {"runs", "waits"}
    assert {point.region_reason for found in answered for point in found.array.points} == {
        "the node was deactivated"
    }
    assert stage.outputs.removals[-1] == "all"
    stage.finder.may_end.release(10)
    stage.ask(points("late"), PICTURE, answered.append)
    assert answered[-1].array.points[0].region_reason and len(answered) == 3
    stage.start()  # and active again
    stage.ask(points("again"), PICTURE, answered.append)
    until(lambda: len(answered) == 4)
    assert not answered[-1].array.points[0].region_reason
    assert stage.told() == [] and "runs" not in [found.array.request_id for found in answered[2:]]


def test_more_than_there_is_room_for_are_told_at_once(stages):
    stage, answered = stages(), []
    for number in range(MOST_ASKED + 2):
        stage.ask(points(str(number)), PICTURE, answered.append)
        until(lambda: stage.finder.begun)
    (refused,) = answered
    assert refused.array.request_id == str(MOST_ASKED + 1)
    assert str(MOST_ASKED) in refused.array.points[0].region_reason
    stage.finder.may_end.release(100)
    until(lambda: len(answered) == MOST_ASKED + 2)


def test_what_was_cancelled_is_not_looked_for(stages):
    stage, answered = stages(), []
    stage.ask(points("cancelled"), PICTURE, answered.append, cancelled=lambda: True)
    until(lambda: answered)
    assert not stage.finder.begun and "cancelled" in answered[0].array.points[0].region_reason


def test_what_fails_takes_nothing_with_it(stages):
    stage, answered = stages(), []

    def unhearing(_found):
        raise OSError("the client is gone")

    stage.finder.may_end.release(100)
    stage.ask(points("unheard"), PICTURE, unhearing)
    stage.ask(points("breaks"), PICTURE, answered.append)
    stage.ask(points("heard"), PICTURE, answered.append)
    until(lambda: len(answered) == 2)
    assert "the client is gone" in stage.logged[0] and "nobody foresaw this" in stage.logged[1]
    assert "nobody foresaw this" in answered[0].array.points[0].region_reason
    assert not answered[1].array.points[0].region_reason


def test_what_is_gone_is_looked_for_while_something_is_known(stages):
    stage = stages(collision_timeout=4.0, queries=["mug"])
    stage.outputs.remembers = True
    stage.show(points("frame"), PICTURE)
    stage.finder.may_end.release(1)
    until(lambda: len(stage.outputs.removals) > 3)
    assert set(stage.outputs.removals) == {(7, 4.0, ("mug",))}
