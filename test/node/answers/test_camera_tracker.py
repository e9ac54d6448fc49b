# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is followed between answers, and until when."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from molmo_ros.molmo.answer import Answer, Point  # noqa: E402
from molmo_ros.molmo.status import Status  # noqa: E402
from molmo_ros.node.answers import camera_tracker  # noqa: E402
from molmo_ros.node.answers.camera_tracker import CameraTracker  # noqa: E402
from molmo_ros.node.cameras.camera_input import camera_inputs  # noqa: E402
from molmo_ros.node.parameters.declaration import Settings  # noqa: E402
from molmo_ros.node.records.frame import Frame  # noqa: E402
from molmo_ros.node.records.located_point import LocatedPoint  # noqa: E402
from molmo_ros.node.records.outcome import Outcome  # noqa: E402
from molmo_ros.node.records.query import parse_query  # noqa: E402
from molmo_ros.node.records.request import Request, Source  # noqa: E402

SMALL = np.random.default_rng(0).integers(40, 215, (15, 20, 3), dtype=np.uint8)
PICTURE = cv2.resize(SMALL, (160, 120), interpolation=cv2.INTER_CUBIC)


class Following:
    """A tracker without depth, its parameters, and what it published."""

    def __init__(self):
        self.parameters = {
            "queries": ["cup", "plate"],
            "rate": 10.0,
            "target_frame": "",
            "image_bits": 0,
            "use_depth": False,
            "depth_sync_tolerance": 0.1,
            "depth_patience": 0.0,
        }
        self.published, self.lost = [], []
        camera = camera_inputs(["camera"], lambda *_: None)["camera"]
        self.tracker = CameraTracker(
            camera,
            settings=lambda: Settings.of(self.parameters),
            transforms=None,
            publish=lambda outcomes, picture: self.published.append((outcomes, picture())),
            on_lost=self.lost.append,
        )
        self._stamp = 0

    def frame(self, stamp=None, about=None, picture=PICTURE, **answers):
        """A frame, and for each query the point of an answer about it, or of an earlier stamp; None: not found.

        Returns:
            By query, the columns of its points in the one message about that frame.
        """
        self._stamp = self._stamp + 1 if stamp is None else stamp
        message = Image(height=120, width=160, encoding="rgb8", step=480, data=picture.tobytes())
        message.header.stamp.sec = self._stamp
        outcomes = []
        for query, place in answers.items():
            points = () if place is None else (Point(*place, query),)
            status = Status.FOUND if points else Status.NOT_FOUND
            header = message.header if about is None else Header(stamp=Time(sec=about))
            outcome = Outcome(
                Request(parse_query(query), Source.CONTINUOUS),
                status,
                Answer(status, "", points),
                header=header,
                points=tuple(map(LocatedPoint, points)),
                message=Image(header=header),
            )
            outcomes.append((outcome, PICTURE))
        self.published.clear()
        self.tracker.follow(Frame(message), outcomes)
        if not self.published:
            return {}
        ((told, _),) = self.published  # one message
        assert len({one.stamp for one in told}) == 1
        assert all(one.message.header == one.header for one in told)  # the picture that it is about
        return {one.request.query.written: [point.pixel.x for point in one.points] for one in told}

    @property
    def points(self):
        """Labels of all points that cost time in every frame."""
        return [track.label for track in self.tracker._tracker.tracks]


@pytest.fixture
def following():
    return Following()


def test_points_go_on_without_new_answers(following):
    following.frame(cup=(60.0, 50.0), plate=(100.0, 70.0))
    for _ in range(3):
        shown = following.frame()
        assert shown == {"cup": [pytest.approx(60, abs=0.1)], "plate": [pytest.approx(100, abs=0.1)]}


def test_where_the_points_of_an_answer_have_gone(following):
    following.frame(cup=(60.0, 50.0), plate=(100.0, 70.0))
    for shift in (2, 4):
        following.frame(picture=np.roll(PICTURE, shift, axis=1))
        assert following.tracker.moves == {
            "cup": [((60.0, 50.0), pytest.approx((60 + shift, 50), abs=0.3))],
            "plate": [((100.0, 70.0), pytest.approx((100 + shift, 70), abs=0.3))],
        }
    following.parameters["queries"] = ["plate"]
    following.frame()
    assert list(following.tracker.moves) == ["plate"]
    following.tracker.clear()
    assert not following.tracker.moves


def test_a_new_answer_replaces_the_one_before(following):
    following.frame(cup=(60.0, 50.0))
    shown = following.frame(cup=(100.0, 70.0))
    assert shown == {"cup": [pytest.approx(100, abs=0.1)]} and following.points == ["cup"]


def test_a_query_that_is_asked_no_more_costs_nothing(following):
    following.frame(cup=(60.0, 50.0), plate=(100.0, 70.0))
    following.parameters["queries"] = ["plate"]
    assert list(following.frame()) == ["plate"] and following.points == ["plate"]


def test_points_without_new_answers_are_given_up(following, monkeypatch):
    clock = SimpleNamespace(now=1000.0, perf_counter=lambda: 0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(camera_tracker, "time", clock)
    following.frame(cup=(60.0, 50.0))
    clock.now += 8.0
    following.frame(plate=(100.0, 70.0))
    clock.now += 3.0
    assert list(following.frame()) == ["plate"] and following.points == ["plate"]
    clock.now += 60.0
    assert following.frame() == {} and following.points == []


def test_what_is_not_there_stays_so_beside_what_is_followed(following):
    assert following.frame(cup=(60.0, 50.0), plate=None) == {"cup": [60.0], "plate": []}
    assert following.frame() == {"cup": [pytest.approx(60, abs=0.1)], "plate": []}
    (((_, plate), _),) = following.published
    assert (plate.status, plate.answered.sec, plate.stamp) == (Status.NOT_FOUND, 1, 2 * 10**9)


def test_nothing_there_is_told_once_and_about_the_frame_that_was_looked_at(following):
    following.frame()
    assert following.frame(cup=None, about=1) == {"cup": []}
    (((cup,), _),) = following.published
    assert cup.stamp == 10**9
    assert following.frame() == {}


def test_no_frame_is_told_about_twice(following):
    following.frame(cup=(60.0, 50.0))
    following.frame()
    assert following.frame(cup=None, about=2) == {"cup": []}
    (((cup,), _),) = following.published
    assert cup.stamp == 3 * 10**9 and cup.answered.sec == 2


def test_an_answer_from_before_the_stamps_went_back_is_asked_for_again(following):
    following.frame(stamp=50)
    following.frame(stamp=51, plate=(100.0, 70.0))
    following.frame(stamp=20)
    shown = following.frame(stamp=21, about=50, cup=(60.0, 50.0))
    assert "cup" not in shown and following.lost == ["cup"]
    assert following.frame(cup=(60.0, 50.0))["cup"] == [pytest.approx(60, abs=0.1)]


def test_points_that_left_the_picture_are_unknown_and_not_gone(following):
    following.frame(cup=(60.0, 50.0), plate=(100.0, 70.0))
    following.tracker._tracker.forget([track.id for track in following.tracker._tracker.tracks][:1])
    assert following.frame()["cup"] == []
    (((cup, plate), _),) = following.published
    assert (cup.status, plate.status) == (Status.STALE, Status.FOUND)
