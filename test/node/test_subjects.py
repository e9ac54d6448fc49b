# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A topic keeps its subject: whoever asks for what, the topics of the current points are about the continuous queries.

The red thing is at the left, the mug at the right, and what others ask for at the lower edge; so a column or a row
tells whose a point is.
"""

import array
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import PointStamped, PoseArray  # noqa: E402
from molmo_msgs.srv import Ask, Point  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

DEPTH = True
RED, MUG = "red at 0.25,0.5", "mug at 0.75,0.5"
RED_NAME, MUG_NAME = "red_at_0_25_0_5", "mug_at_0_75_0_5"
COLUMNS = {RED: 16.0, MUG: 48.0}
PLACES = {RED: (15.5 - 31.5) / 60, MUG: (47.5 - 31.5) / 60}
"""Of pixel centres [m], 1 m away."""


SLACK = 0.5
"""How far a point may be from its place where it is followed [px]."""


def near(metres):
    return pytest.approx(metres, abs=SLACK / 60)


class Reader:
    """Reads all topics of the current points, and holds every message to the subjects that are expected.

    Args:
        robot: Shows pictures of its camera, or of `cameras`.
        shown: Continuous queries whose things are there.
    """

    def __init__(self, robot, make, shown, cameras=("",)):
        self.robot, self.make, self.shown, self.cameras = robot, make, shown, cameras
        self.heard = {
            "markers": [],
            **{name: robot.heard[name] for name in ("objects", "point", "points", "pixels")},
        }
        self.balls = {}
        self._own = [robot.node.create_subscription(MarkerArray, "molmo_node/markers", self._on_markers, 100)]
        for name in (RED_NAME, MUG_NAME):
            for part, kind in (("point", PointStamped), ("points", PoseArray)):
                topic = f"{name}/{part}"
                self.heard[topic] = []
                self._own.append(
                    robot.node.create_subscription(kind, f"molmo_node/{topic}", self.heard[topic].append, 100)
                )
        self._out = {
            camera: [
                robot.node.create_publisher(kind, f"{camera}{name}", 5)
                for kind, name in ((Image, "image"), (Image, "depth"), (CameraInfo, "camera_info"))
            ]
            for camera in cameras
        }

    def close(self):
        for one in self._own:
            self.robot.node.destroy_subscription(one)
        for publishers in self._out.values():
            for one in publishers:
                self.robot.node.destroy_publisher(one)

    def show(self):
        """A picture of every camera, everything 1 m away."""
        stamp = self.robot.now()
        messages = self._textured(), self.make.depth(np.ones((48, 64))), self.make.info()
        for camera, publishers in self._out.items():
            for publisher, message in reversed(list(zip(publishers, messages, strict=True))):
                message.header.stamp, message.header.frame_id = stamp, f"{camera}optical"
                publisher.publish(message)
        self.robot.spin(0.05)

    def _textured(self):
        """What can be followed."""
        pixels = np.random.default_rng(0).integers(60, 200, (12, 16, 3), np.uint8)
        message = self.make.picture()
        message.data = array.array("B", np.kron(pixels, np.ones((4, 4, 1), np.uint8)).tobytes())
        return message

    def show_until(self, condition, patience=40.0):
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, "it never came"
            self.show()

    def _on_markers(self, message):
        """As a viewer takes them."""
        for marker in message.markers:
            if marker.action == Marker.DELETEALL:
                self.balls = {key: one for key, one in self.balls.items() if key[0] != marker.ns}
            elif marker.type == Marker.SPHERE:
                self.balls[marker.ns, marker.id] = marker.pose.position.x
        self.heard["markers"].append(sorted(self.balls.values()))

    def check(self):
        """Everything that was heard so far."""
        places = sorted(PLACES[query] for query in self.shown)
        columns = sorted(COLUMNS[query] for query in self.shown)
        for name in ("objects", "points", "pixels"):
            stamps = [
                (one.header.frame_id, one.header.stamp.sec, one.header.stamp.nanosec)
                for one in self.heard[name]
            ]
            assert len(set(stamps)) == len(stamps), f"{name}: two messages of one stamp"
        for told in self.heard["objects"]:
            assert {one.query for one in told.queries} == {RED, MUG} and told.source == "continuous"
            for point in told.points:
                assert point.pixel.x == pytest.approx(COLUMNS[point.query], abs=SLACK)
            if told.complete:
                assert sorted(point.pixel.x for point in told.points) == pytest.approx(columns, abs=SLACK)
        for message in self.heard["pixels"]:
            assert sorted(pose.position.x for pose in message.poses) == pytest.approx(columns, abs=SLACK)
        for message in self.heard["points"]:
            assert sorted(pose.position.x for pose in message.poses) == near(places)
        for message in self.heard["point"]:
            assert message.point.x == near(PLACES[RED])
        for query, name in ((RED, RED_NAME), (MUG, MUG_NAME)):
            for message in self.heard[f"{name}/point"]:
                assert message.point.x == near(PLACES[query])
            for message in self.heard[f"{name}/points"]:
                assert [pose.position.x for pose in message.poses] == (
                    near([PLACES[query]]) if query in self.shown else []
                )
        complete = [balls for balls in self.heard["markers"] if len(balls) == len(places) * len(self.cameras)]
        first = self.heard["markers"].index(complete[0]) if complete else 0
        for balls in self.heard["markers"][first:]:
            assert balls == near(sorted(places * len(self.cameras)))


@pytest.fixture
def read(robot, make):
    """Starts the node with the two queries, and reads its topics."""
    readers = []

    def start(*arguments, shown=(RED, MUG), cameras=("",), queries=(RED, MUG)):
        asked = "queries:=[" + ", ".join(f"'{one}'" for one in queries) + "]"
        image = f"{cameras[0]}image"
        robot.start("-p", "rate:=8.0", "-p", asked, *arguments, depth=True, image=image, wait=False)
        robot.spin_until(
            lambda: (
                robot.node.count_subscribers(f"/{image}")
                and robot.node.count_publishers("/molmo_node/result")
            )
        )
        readers.append(Reader(robot, make, shown, cameras))
        return readers[-1]

    yield start
    for reader in readers:
        reader.close()
    robot.stop()


def other_client(robot, *arguments):
    environment = os.environ | {"ROS_DOMAIN_ID": str(robot.domain)}
    script = str(Path(__file__).parent / "other_client.py")
    return subprocess.Popen(
        [sys.executable, script, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )


def busy(reader, robot, camera=""):
    """Shows pictures while two other clients ask, until they are done; their statuses."""
    reader.show_until(lambda: len(reader.heard["points"]) > 2)
    clients = [other_client(robot, "4", camera) for _ in range(2)]
    reader.show_until(lambda: all(one.poll() is not None for one in clients))
    assert not any(one.returncode for one in clients)
    before = len(reader.heard["points"])
    reader.show_until(lambda: len(reader.heard["points"]) > before + 2)
    return [line for one in clients for line in one.communicate()[0].split()]


@pytest.mark.parametrize("tracking", ["false", "true"])
def test_services_goals_and_questions_of_others_move_nothing(read, robot, tracking):
    reader = read("-p", f"tracking:={tracking}")
    statuses = busy(reader, robot)
    assert (
        statuses.count("NOT_FOUND") == 8 and statuses.count("ANSWERED") == 8 and statuses.count("FOUND") == 16
    )
    others = [one for one in robot.results() if one["source"] in ("service", "action")]
    assert len(others) == 32  # their answers are on ~/result
    reader.check()
    assert all(reader.heard[name] for name in reader.heard)


def test_a_query_on_the_topic_is_told_its_asker_alone(read, robot):
    reader = read()
    reader.show_until(lambda: len(reader.heard["points"]) > 2)
    for text in ("other at 0.5,0.95", "what is (1.0, 2.0)?", "nothing"):
        before = [one["source"] for one in robot.results()].count("topic")
        robot.publish("query", _string(text))
        reader.show_until(lambda n=before: [one["source"] for one in robot.results()].count("topic") > n)
    before = len(reader.heard["points"])
    reader.show_until(lambda: len(reader.heard["points"]) > before + 2)
    reader.check()


def test_what_is_not_there_is_an_empty_array_and_deletes_no_other(read, robot):
    queries = (RED, "point: mug at 0.75", "what do you see?")  # the fake model finds nothing for the second
    reader = read(queries=queries, shown=(RED,))
    reader.show_until(lambda: len(reader.heard["points"]) > 3)
    for told in reader.heard["objects"]:
        states = {one.query: one.status for one in told.queries}
        if told.complete:
            assert states == {queries[0]: "FOUND", queries[1]: "NOT_FOUND", queries[2]: "ANSWERED"}
            assert [point.query for point in told.points] == [RED]
    for name in ("points", "pixels"):
        assert all(len(message.poses) == 1 for message in reader.heard[name])


def test_all_gone_is_empty_with_the_frames_header(read, robot):
    reader = read(queries=("unicorn", "dragon"), shown=())
    reader.show_until(lambda: len(reader.heard["points"]) > 2 and len(reader.heard["pixels"]) > 2)
    for message in (*reader.heard["points"], *reader.heard["pixels"]):
        assert message.poses == [] and message.header.frame_id == "optical" and message.header.stamp.sec
    assert not reader.heard["point"]


def test_two_cameras_share_the_topics(read, robot):
    reader = read("-p", "cameras:=[wrist, head]", cameras=("wrist/", "head/"))
    busy(reader, robot, "head")
    reader.check()
    assert {one.header.frame_id for one in reader.heard["points"]} == {"wrist/optical", "head/optical"}
    assert {one.header.frame_id for one in reader.heard["point"]} == {"wrist/optical"}


def test_slow_queries_are_asked_about_one_frame_and_show_no_half_truth(read, robot):
    """Both take longer than a frame is fresh: the second is not asked about another frame because of that.

    STALE is also the right word where a busy machine kept the newest frame back for longer than is allowed, and
    NO_DEPTH where it lost a depth image.
    """
    slow = [f"sleep 0.7 {one}" for one in (RED, MUG)]
    reader = read("-p", "max_frame_age:=0.5", queries=slow, shown=())
    answered = []

    def enough():
        answered[:] = [one for one in robot.results() if one["status"] != "NO_IMAGE"]  # at first
        return sum(one["status"] == "FOUND" for one in answered) >= 6

    reader.show_until(enough)
    for one in answered:
        assert one["status"] in (("FOUND", "NO_DEPTH") if one["frame_age_ms"] <= 500 else ("STALE",))
    found = [one for one in answered if one["status"] == "FOUND"]
    pairs = list(zip(found[::2], found[1::2], strict=False))
    assert all(
        [one["query"] for one in pair] == slow and pair[0]["stamp"] == pair[1]["stamp"] for pair in pairs
    )
    objects = reader.heard["objects"]
    for told in objects:
        stamps = {(state.answered.sec, state.answered.nanosec) for state in told.queries}
        assert not told.complete or len(stamps) == 1
    assert any(told.complete and len(told.points) == 2 for told in objects)
    assert len(reader.heard["points"]) <= sum(told.complete for told in objects) + 1


def test_a_query_has_its_topics_as_long_as_it_is_asked(read, robot):
    reader = read()
    reader.show_until(lambda: reader.heard[f"{RED_NAME}/point"] and reader.heard[f"{MUG_NAME}/points"])
    assert not robot.set(queries=[MUG])
    reader.show_until(lambda: robot.node.count_publishers(f"/molmo_node/{RED_NAME}/point") == 0)
    robot.clear()
    reader.show_until(lambda: len(reader.heard["point"]) > 2)
    places = [one.point.x for one in reader.heard["point"]][-2:]
    assert places == pytest.approx([PLACES[MUG]] * 2)  # it follows the first query


def test_answers_of_services_are_not_said_to_all(read, robot):
    reader = read(queries=(), shown=())
    reader.show()
    reader.show_until(lambda: robot.node.count_publishers("/molmo_node/objects"))
    asked = []

    def found():
        asked.append(robot.call(Point, "point_at", labels=["other at 0.5,0.95"]).result)
        return asked[-1].status == "FOUND"

    reader.show_until(found)
    said = robot.call(Ask, "ask", question="what?").result
    assert said.status == "ANSWERED"
    assert not any(robot.heard[name] for name in ("objects", "points", "pixels", "point", "answer"))
    robot.publish("query", _string("other at 0.5,0.95"))
    reader.show_until(lambda: all(robot.heard[name] for name in ("objects", "points", "pixels", "point")))


def _string(text):
    from std_msgs.msg import String

    return String(data=text)
