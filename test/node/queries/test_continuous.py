"""Which continuous queries are due, about which camera."""

import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import Image  # noqa: E402

from molmo_ros.node.cameras.camera_input import camera_inputs  # noqa: E402
from molmo_ros.node.cameras.frame import Frame  # noqa: E402
from molmo_ros.node.queries.continuous import ContinuousQueries  # noqa: E402


@pytest.fixture
def asking():
    """Cameras wrist and head, parameters to change, and the queries about them."""

    class Asking:
        cameras = camera_inputs(["wrist", "head"], lambda *_: None)
        parameters = {"queries": ["cube"], "rate": 0.5}
        stale = ""

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
    one.queries = ContinuousQueries(one.cameras, one.parameters.__getitem__, lambda _: one.stale)
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
