"""What is followed between answers, and until when."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import Image  # noqa: E402

from molmo_ros.molmo.answer import Answer, Point, Status  # noqa: E402
from molmo_ros.node.answers import camera_tracker  # noqa: E402
from molmo_ros.node.answers.camera_tracker import CameraTracker  # noqa: E402
from molmo_ros.node.answers.locate import LocatedPoint  # noqa: E402
from molmo_ros.node.answers.outcome import Outcome  # noqa: E402
from molmo_ros.node.cameras.frame import Frame  # noqa: E402
from molmo_ros.node.queries.query import parse_query  # noqa: E402
from molmo_ros.node.queries.request import Request, Source  # noqa: E402

SMALL = np.random.default_rng(0).integers(40, 215, (15, 20, 3), dtype=np.uint8)
PICTURE = cv2.resize(SMALL, (160, 120), interpolation=cv2.INTER_CUBIC)


class Following:
    """A tracker without depth, its parameters, and what it published."""

    def __init__(self):
        self.parameters = {
            "queries": ["cup", "plate"],
            "rate": 10.0,
            "target_frame": "",
            "use_depth": False,
            "depth_sync_tolerance": 0.1,
            "depth_patience": 0.0,
        }
        self.published = []
        camera = SimpleNamespace(name="camera", depths=SimpleNamespace(nearest=lambda *_: (None, "none")))
        self.tracker = CameraTracker(
            camera,
            value=self.parameters.__getitem__,
            transforms=None,
            publish=lambda outcome, picture, tracked: self.published.append(outcome),
            on_lost=lambda: None,
        )
        self._stamp = 0

    def frame(self, **answers):
        """A frame, and for each query the point of an answer about it."""
        self._stamp += 1
        message = Image(height=120, width=160, encoding="rgb8", step=480, data=PICTURE.tobytes())
        message.header.stamp.sec = self._stamp
        outcomes = []
        for query, (x, y) in answers.items():
            point = Point(x, y, query)
            request = Request(parse_query(query), Source.CONTINUOUS)
            answer = Answer(Status.FOUND, "", (point,))
            outcome = Outcome(
                request, Status.FOUND, answer, header=message.header, points=(LocatedPoint(point),)
            )
            outcomes.append((outcome, PICTURE))
        self.published.clear()
        self.tracker.follow(Frame(message), outcomes)
        return {one.request.query.written: [point.pixel.x for point in one.points] for one in self.published}

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
