# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A robot for the node's tests: the node in a process of its own, and the topics around it over DDS."""

import array
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from action_msgs.msg import GoalStatus  # noqa: E402
from geometry_msgs.msg import PointStamped, PoseArray  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from molmo_msgs.action import Query  # noqa: E402
from molmo_msgs.msg import ObjectPointArray  # noqa: E402
from rcl_interfaces.srv import GetParameters, SetParameters  # noqa: E402
from rclpy.action import ActionClient  # noqa: E402
from rclpy.clock import Clock  # noqa: E402
from rclpy.executors import SingleThreadedExecutor, TimeoutException  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from rosgraph_msgs.msg import Clock as ClockMessage  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from molmo_ros.node.fast_dds import installed_fast_dds  # noqa: E402

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "AMENT_PREFIX_PATH": os.environ.get("AMENT_PREFIX_PATH", sys.prefix),
    installed_fast_dds().profile_variable: str(ROOT / "config" / "fastdds_shm.xml"),
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
}
PATIENCE = 60.0
HANDSHAKE = " \t "
"""A query that is refused, with a result."""


class Robot:
    """Publishes camera and queries, collects what the node says, and starts the node."""

    def __init__(self, domain):
        os.environ.update(ENVIRONMENT)
        self.domain = domain
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("robot", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard = {}
        self.process = None
        self._clients, self._known = {}, []
        self._sent = Counter()  # since the node had surely taken everything
        reliable = ReliabilityPolicy.RELIABLE
        self._out = {  # queries come in bursts; of pictures, old ones are not worth their memory
            name: self.node.create_publisher(
                kind, name, QoSProfile(depth=300 if kind is String else 5, reliability=reliable)
            )
            for name, kind in {
                "image": Image,
                "depth": Image,
                "camera_info": CameraInfo,
                "query": String,
                "clock": ClockMessage,
            }.items()
        }
        for name, kind in {
            "result": ObjectPointArray,
            "objects": ObjectPointArray,
            "answer": String,
            "point": PointStamped,
            "points": PoseArray,
            "pixels": PoseArray,
        }.items():
            self.heard[name] = []
            self.node.create_subscription(kind, f"molmo_node/{name}", partial(self._hear, name), 300)
        self._answered = False

    def start(
        self,
        *arguments,
        wait=True,
        managed=False,
        sim_time=False,
        script="fake_node.py",
        depth=False,
        image="image",
        output=subprocess.PIPE,
    ):
        """Start the node with ROS arguments such as `-p rate:=5.0`; waits until it is connected.

        Frames are fresh for as long as a test waits, unless the arguments say for how long. A `managed` one is there
        then, and waits to be configured. `image` is the topic of pictures that it listens to, `output` takes what it
        prints, a pipe by default.
        """
        if self.process:  # of a test that failed
            self.process.kill()
            self.process.communicate()
        if managed:
            arguments, wait = ("-p", "autostart:=false", *arguments), False
        if not depth:  # without, points in pixels are all that is wanted
            arguments = ("-p", "use_depth:=false", *arguments)
        if not any("max_frame_age" in argument for argument in arguments):  # on a busy machine seconds pass
            arguments = ("-p", f"max_frame_age:={PATIENCE}", *arguments)
        names = [image, "query"] + (["clock"] if sim_time else [])
        before = set().union(*map(self._listeners, names))
        old = self._results()
        self._known.clear()
        self._sent.clear()
        environment = os.environ | ENVIRONMENT | {"ROS_DOMAIN_ID": str(self.domain), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(Path(__file__).parent / script)]
        command += ["--ros-args", *arguments]
        self.process = subprocess.Popen(command, env=environment, stderr=output, stdout=output, text=True)
        if managed:
            self.spin_until(lambda: self._results() - old)
        if wait:
            self.spin_until(
                lambda: all(self._listeners(name) - before for name in names) and self._results() - old
            )
            self._shake_hands()

    def _hear(self, name, message):
        if name == "result" and message.query == HANDSHAKE:  # one may come as late as in a test
            self._answered = True
        else:
            self.heard[name].append(message)

    def _shake_hands(self):
        """Until the node answers: its side of each match may be later than ours."""
        self._answered = False
        deadline = time.monotonic() + PATIENCE
        while not self._answered:
            assert time.monotonic() < deadline, "the node does not answer"
            self.publish("query", String(data=HANDSHAKE))
            self.spin_for(lambda: self._answered, 0.3)
        self.settle()
        self.clear()

    def meet(self):
        """Until the node knows the ends of all topics and services that were made here so far.

        It learns of them in their order, and knows the last when it answers it. An answer to an end that it does not
        know yet is lost, so that it is asked again.
        """
        probe = self.node.create_client(GetParameters, "molmo_node/get_parameters")
        self.spin_until(probe.service_is_ready)
        deadline = time.monotonic() + PATIENCE
        answered = probe.call_async(GetParameters.Request())
        while not self.spin_for(answered.done, 0.5):
            assert time.monotonic() < deadline, "the node does not answer"
            answered = probe.call_async(GetParameters.Request())
        self.node.destroy_client(probe)

    def settle(self, others=0):
        """Until the node has taken all that was sent before, and what it said to it at once has been heard.

        Before a request its executor takes a message of every topic that has some. What comes while it looks may be
        seen too late for one request, never for the next.

        Args:
            others: How many messages a test has sent to one topic by a publisher of its own.
        """
        for _ in range(2 + max(others, *self._sent.values(), 0)):
            self.call(GetParameters, "get_parameters")
        self._sent.clear()

    def _listeners(self, name):
        """Ids of the subscriptions of a topic. A node that was killed stays known until its lease ends."""
        return {bytes(info.endpoint_gid) for info in self.node.get_subscriptions_info_by_topic(f"/{name}")}

    def _results(self):
        infos = self.node.get_publishers_info_by_topic("/molmo_node/result")
        return {bytes(info.endpoint_gid) for info in infos}

    def stop(self, number=signal.SIGINT):
        """Signal the node; returns how long it took to end [s], its exit code and its stderr."""
        started = time.monotonic()
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE)
        took, code = time.monotonic() - started, self.process.returncode
        self.process = None
        # Until discovery knows, or the next node would be taken for this one. One that is cut off stays known.
        self.spin_for(lambda: not self._results(), 0.3)
        self.drain()
        return took, code, errors

    def spin_until(self, condition, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, "nothing came in time"
            if self.process and self.process.poll() is not None:
                pytest.fail(
                    f"the node ended with {self.process.returncode}: {self.process.stderr.read()[-3000:]}"
                )
            self.executor.spin_once(timeout_sec=0.05)

    def spin_for(self, condition, seconds):
        """Until the condition holds, or the time is over; whether it holds."""
        deadline = time.monotonic() + seconds
        while not (holds := condition()) and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.01)
        return bool(holds)

    def drain(self):
        """Until all that has come is heard."""
        with contextlib.suppress(TimeoutException):
            while True:
                handler, _, _ = self.executor.wait_for_ready_callbacks(timeout_sec=0.05)
                handler()
                handler.result()

    def spin(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.01)

    def publish(self, name, message):
        self._out[name].publish(message)
        self._sent[name] += 1

    def now(self):
        return Clock().now().to_msg()

    def send_frame(self, image=None, depth=None, info=None, stamp=None, settle=None):
        """One camera frame with a common stamp; waits until the node has taken it, or for `settle` seconds."""
        image = picture() if image is None else image
        stamp = stamp or self.now()
        for name, message in (("camera_info", info), ("depth", depth), ("image", image)):
            if message is not None:
                message.header.stamp = stamp
                message.header.frame_id = message.header.frame_id or "camera_optical"
                self.publish(name, message)
        if settle is None:
            self.settle()
        else:
            self.spin(settle)
        return stamp

    def ask(self, text, patience=PATIENCE):
        """Send a query and return its result."""
        before = len(self.heard["result"])
        self.publish("query", String(data=text))
        return self.next_result(before, patience)

    def client(self, kind, name):
        """A client of one of the node's services, such as `ask`, that is connected to it."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, f"molmo_node/{name}")
        return self._connected(self._clients[name], self._clients[name].service_is_ready)

    def _connected(self, client, ready):
        """The client, once the node that runs now surely knows it: its side of the match may be later than ours."""
        if client not in self._known:
            self.spin_until(ready)
            self.meet()
            self._known.append(client)
        return client

    def call(self, kind, name, patience=PATIENCE, **request):
        """Call one of the node's services; returns its response."""
        future = self.client(kind, name).call_async(kind.Request(**request))
        self.spin_until(future.done, patience)
        return future.result()

    def action_client(self):
        """A new client of the node's action that is connected to it."""
        client = ActionClient(self.node, Query, "molmo_node/query")
        return self._connected(client, client.server_is_ready)

    def goal(self, client=None, **goal):
        """Send a goal of the node's action."""
        if client is None:
            client = self._clients["query"] = self._clients.get("query") or self.action_client()
        return Goal(self, self._connected(client, client.server_is_ready), **goal)

    def set(self, **parameters):
        """Set parameters of the node; returns why the first was refused, or an empty text."""
        wanted = [Parameter(name, value=value).to_parameter_msg() for name, value in parameters.items()]
        results = self.call(SetParameters, "set_parameters", parameters=wanted).results
        return next((result.reason for result in results if not result.successful), "")

    def change_state(self, transition, patience=PATIENCE):
        """Ask for a transition of the life cycle, such as `active_shutdown`; returns whether it succeeded."""
        wanted = Transition(id=getattr(Transition, f"TRANSITION_{transition.upper()}"))
        return self.call(ChangeState, "change_state", patience, transition=wanted).success

    def state(self):
        """The node's state in its life cycle, such as `active`."""
        return self.call(GetState, "get_state").current_state.label

    def next_result(self, before, patience=PATIENCE):
        self.spin_until(lambda: len(self.heard["result"]) > before, patience)
        return record(self.heard["result"][before])

    def results(self):
        """All results heard, as dictionaries; see `record`."""
        return [record(array) for array in self.heard["result"]]

    def clear(self):
        for messages in self.heard.values():
            messages.clear()

    def close(self):
        if self.process:
            self.process.kill()
            self.process.communicate()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


class Goal:
    """One goal of the node's action, sent, and what the node said about it.

    Attributes:
        feedback: The feedback so far.
        handle: The client's handle, once the goal is accepted.
    """

    def __init__(self, robot, client, **goal):
        self.feedback, self.handle = [], None
        self._robot, self._ending = robot, None
        wanted = Query.Goal(**goal)
        self._sending = client.send_goal_async(wanted, lambda message: self.feedback.append(message.feedback))

    def accepted(self):
        """Wait until the node has accepted it; returns itself."""
        self._robot.spin_until(self._sending.done)
        self.handle = self._sending.result()
        assert self.handle.accepted
        self._ending = self._ending or self.handle.get_result_async()
        return self

    def cancel(self):
        """Ask for its end; returns the response."""
        asked = self.handle.cancel_goal_async()
        self._robot.spin_until(asked.done)
        return asked.result()

    def end(self, patience=PATIENCE):
        """Wait for its result; returns the goal's status, such as `SUCCEEDED`, and the result."""
        self.accepted()
        self._robot.spin_until(self._ending.done, patience)
        self._robot.drain()  # feedback has a way of its own
        ended = self._ending.result()
        names = {getattr(GoalStatus, f"STATUS_{one}"): one for one in ("SUCCEEDED", "CANCELED", "ABORTED")}
        return names[ended.status], ended.result.result


def record(array):
    """An ObjectPointArray as a dictionary: short names, milliseconds, None for what is not known."""
    return {
        "query": array.query,
        "kind": array.kind,
        "source": array.source,
        "status": array.status,
        "reason": array.reason,
        "text": array.text,
        "camera": array.camera,
        "points": [
            {
                "x": point.pixel.x,
                "y": point.pixel.y,
                "label": point.label,
                "confidence": point.score if point.has_score else None,
                "xyz": _triple(point.position) if point.has_position else None,
                "normal": _triple(point.normal) if point.has_normal else None,
                "reason": point.reason,
            }
            for point in array.points
        ],
        "dropped_points": array.points_left_out,
        "not_found_probability": array.not_found_probability if array.has_not_found_probability else None,
        "calibrated": array.calibrated,
        "count": array.count if array.has_count else None,
        "stamp": {"sec": array.header.stamp.sec, "nanosec": array.header.stamp.nanosec},
        "frame_id": array.header.frame_id,
        "position_frame": array.frame_id,
        "frame_age_ms": milliseconds(array.start_age),
        "age_ms": milliseconds(array.frame_age),
        "timing_ms": {one.stage: milliseconds(one.duration) for one in array.timings},
        "dropped_frames": array.dropped_frames,
        "crops": (array.crops, array.image_tokens),
    }


def milliseconds(duration):
    """A builtin_interfaces/Duration [ms]."""
    return duration.sec * 1e3 + duration.nanosec * 1e-6


def _triple(vector):
    return [vector.x, vector.y, vector.z]


def picture(width=64, height=48, encoding="rgb8", color=(200, 30, 10)):
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:] = color
    data = array.array("B", pixels.tobytes())
    return Image(width=width, height=height, encoding=encoding, step=width * 3, data=data)


def depth_image(metres):
    """32FC1 message of float32 [h, w] metres."""
    metres = np.asarray(metres, np.float32)
    height, width = metres.shape
    data = array.array("B", metres.tobytes())
    return Image(width=width, height=height, encoding="32FC1", step=width * 4, data=data)


def camera_info(width=64, height=48, focal=60.0):
    k = [focal, 0.0, width / 2 - 0.5, 0.0, focal, height / 2 - 0.5, 0.0, 0.0, 1.0]
    return CameraInfo(width=width, height=height, k=k, d=[0.0] * 5, distortion_model="plumb_bob")


Robot.record = staticmethod(record)


class Gate:
    """A file that `until GATE` in a query or the model's name waits for."""

    def __init__(self, path):
        self.path = path

    def __str__(self):
        return f"until {self.path}"

    def open(self):
        self.path.touch()


@pytest.fixture
def gate(tmp_path):
    """Holds the model until the test opens it: `f"{gate} at 0.5,0.5"`."""
    one = Gate(tmp_path / "open")
    yield one
    one.open()


@pytest.fixture(scope="session")
def make():
    """Messages of a camera: make.picture, make.depth, make.info."""
    return SimpleNamespace(picture=picture, depth=depth_image, info=camera_info)


@pytest.fixture(scope="module")
def robot(domain):
    """A robot whose node is yet to be started."""
    machine = Robot(domain)
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def running(robot, request):
    """A robot with the node running, shared by the tests of a module: bad input must not hurt later tests.

    A module with `DEPTH = True` has a node that wants depth.
    """
    robot.start(depth=getattr(request.module, "DEPTH", False))
    yield robot
    if robot.process:
        robot.stop()


@pytest.fixture(autouse=True)
def quiet(request):
    """No message of an earlier test is left."""
    if "robot" in request.fixturenames:
        machine = request.getfixturevalue("robot")
        if machine.process and machine.process.poll() is None:
            machine.settle()
        else:
            machine.drain()
        machine.clear()
