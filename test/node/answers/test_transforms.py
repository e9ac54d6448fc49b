# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Transforms over real DDS: from this process, and from a broadcaster in another one; where tf2_ros is installed,
with it too."""

import contextlib
import importlib.util
import itertools
import math
import os
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")
pytest.importorskip("tf2_msgs.msg")

from geometry_msgs.msg import Quaternion  # noqa: E402
from rclpy.callback_groups import ReentrantCallbackGroup  # noqa: E402
from rclpy.executors import (  # noqa: E402
    ExternalShutdownException,
    ShutdownException,
    SingleThreadedExecutor,
)
from tf2_msgs.msg import TFMessage  # noqa: E402

from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError  # noqa: E402
from molmo_ros.node import installed_ros  # noqa: E402
from molmo_ros.node.answers.transforms import Transforms  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
from tf_broadcaster import LATCHED, transform  # noqa: E402

S = 10**9
OWN = "own"
LISTENERS = [OWN, "tf2_ros"] if importlib.util.find_spec("tf2_ros") else [OWN]
own_only = pytest.mark.parametrize("listening", [OWN], indirect=True)  # what tf2 says is in its own words
DOMAINS = itertools.count(
    os.getpid() + 37
)  # one for each test: the endpoints of the one before may still be known


class Listening:
    """A node with Transforms, spun by a thread as the real one is, and publishers beside it."""

    def __init__(self):
        self.context = rclpy.Context()
        self.domain = 1 + next(DOMAINS) % 100
        rclpy.init(context=self.context, domain_id=self.domain)
        self.node = rclpy.create_node("listening", context=self.context)
        self.moving = self.node.create_publisher(TFMessage, "/tf", 100)
        self.static = self.node.create_publisher(TFMessage, "/tf_static", LATCHED)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()
        self.transforms = None

    def listen(self, **arguments):
        self.transforms = Transforms(self.node, **arguments)
        return self.transforms

    def send(self, *transforms, static=False):
        if not static:  # what is latched reaches those that come later, too
            wait_until(self.moving.get_subscription_count)
        (self.static if static else self.moving).publish(TFMessage(transforms=list(transforms)))

    def close(self):
        if self.transforms:
            self.transforms.close()
        self.closing.set()
        self.thread.join(15.0)
        assert not self.thread.is_alive()
        self.executor.shutdown(1.0)
        rclpy.shutdown(context=self.context)

    def _spin(self):
        """With a time-out: rclpy may lose the wake-up of a shutdown, and would wait for ever."""
        with contextlib.suppress(ExternalShutdownException, ShutdownException):
            while not self.closing.is_set():
                self.executor.spin_once(timeout_sec=0.2)


def wait_until(condition, patience=15.0):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def knows(transforms, stamp):
    with contextlib.suppress(TransformError):
        return bool(transforms.lookup("base", "camera", stamp, 0.0))
    return False


@pytest.fixture(autouse=True)
def looked_for_anew():
    installed_ros._load.cache_clear()
    yield
    installed_ros._load.cache_clear()


@pytest.fixture(params=LISTENERS)
def listening(request, monkeypatch):
    if request.param == OWN:
        monkeypatch.setitem(sys.modules, "tf2_ros", None)
    machine = Listening()
    yield machine
    machine.close()


@pytest.fixture
def broadcaster(listening):
    """The broadcaster's process; gives time zero of its motion [ns]."""
    zero = time.time_ns()
    script = Path(__file__).parents[1] / "tf_broadcaster.py"
    environment = os.environ | {"ROS_DOMAIN_ID": str(listening.domain)}
    process = subprocess.Popen([sys.executable, str(script), str(zero)], env=environment)
    yield zero
    process.terminate()
    process.wait(timeout=10)


def test_moving_camera_at_the_images_stamp(listening, broadcaster):
    """The camera moves at 1 m/s, so that a transform 50 ms off is 50 mm off."""
    transforms = listening.listen()
    wait_until(lambda: knows(transforms, time.time_ns() - S // 5))
    first = time.time_ns()
    transforms.lookup("base", "camera", first + S // 2, 5.0)
    for stamp in np.linspace(first, first + S // 2, 17).astype(int).tolist():
        found = transforms.lookup("base", "camera", stamp, 0.0)
        # rail is turned a quarter about z: its x axis is the base's y axis.
        expected = [[0.0, 2.0 + (stamp - broadcaster) * 1e-9, 0.1]]
        np.testing.assert_allclose(found.apply(np.zeros((1, 3))), expected, atol=1e-6)
        np.testing.assert_allclose(found.rotate(np.array([[1.0, 0, 0]])), [[0, 1, 0]], atol=1e-9)
    with pytest.raises(TransformError, match="to 'base' at the image's stamp: .*(after the newest|future)"):
        transforms.lookup("base", "camera", time.time_ns() + S, 0.0)
    started = time.monotonic()
    ahead = time.time_ns() + S // 3
    found = transforms.lookup("base", "camera", ahead, 5.0)
    assert found.translation[1] == pytest.approx(2.0 + (ahead - broadcaster) * 1e-9, abs=1e-6)
    assert 0.2 < time.monotonic() - started < 2.0


def test_clock_jumps_back(listening):
    transforms = listening.listen(callback_group=ReentrantCallbackGroup())
    listening.send(transform("wrist", "camera", 0, (0.0, 0.0, 0.1)), static=True)
    for second in (1000, 1001):
        listening.send(transform("base", "wrist", second * S, (float(second), 0.0, 0.0)))
    found = transforms.lookup("base", "camera", 1000 * S + S // 2, 10.0)
    assert found.translation == pytest.approx((1000.5, 0.0, 0.1))
    transforms.clear()
    with pytest.raises(TransformError, match="at the image's stamp: [a-z']"):
        transforms.lookup("base", "camera", 1000 * S + S // 2, 0.0)
    for second in (5, 6):
        listening.send(transform("base", "wrist", second * S, (float(second), 0.0, 0.0)))
    found = transforms.lookup("base", "camera", 5 * S + S // 2, 10.0)
    assert found.translation == pytest.approx((5.5, 0.0, 0.1))


def test_static_transforms_from_before_the_node_started(listening):
    listening.send(transform("base", "camera", 0, (1.0, 2.0, 3.0)), static=True)
    time.sleep(0.2)
    assert listening.listen().lookup("base", "camera", 99 * S, 10.0).translation == (1.0, 2.0, 3.0)


@own_only
def test_unknown_frame_is_named_with_those_known(listening):
    transforms = listening.listen()
    listening.send(transform("base", "camera", 0), static=True)
    transforms.lookup("base", "camera", S, 10.0)
    with pytest.raises(TransformError) as caught:
        transforms.lookup("bass", "camera", S, 0.1)
    assert str(caught.value) == (
        "no transform from 'camera' to 'bass' at the image's stamp: "
        "the frame 'bass' is unknown; known: base, camera"
    )


def test_broken_transforms_are_ignored(listening):
    """Quaternions of zeros and loops come from real robots; what else the message holds still counts."""
    transforms = listening.listen()
    broken = transform("base", "wrist", S)
    broken.transform.rotation = Quaternion(w=0.0)
    listening.send(broken, transform("wrist", "wrist", S), transform("base", "camera", S, (0.0, 1.0, 0.0)))
    assert transforms.lookup("base", "camera", S, 10.0).translation == (0.0, 1.0, 0.0)
    with pytest.raises(TransformError, match="'wrist' is unknown|does not exist"):
        transforms.lookup("base", "wrist", S, 0.0)


def test_leading_slash_is_left_out(listening):
    transforms = listening.listen()
    listening.send(transform("/base", "/camera", 0, (1.0, 0.0, 0.0)), static=True)
    assert transforms.lookup("base", "/camera", S, 10.0).translation == (1.0, 0.0, 0.0)
    assert transforms.lookup("camera", "/camera", S, 0.0) == RigidTransform()


@pytest.mark.parametrize(
    ("source", "stamp", "said"), [("camera", 0, "the image has no stamp"), ("", S, "header names no frame")]
)
def test_images_header_must_say_where_and_when(listening, source, stamp, said):
    transforms = listening.listen()
    listening.send(transform("base", "camera", 0), static=True)
    transforms.lookup("base", "camera", S, 10.0)
    with pytest.raises(TransformError, match=said):
        transforms.lookup("base", source, stamp, 0.0)


@own_only
def test_transforms_from_before_a_jump_are_not_used_whenever_they_come(listening):
    """The clock goes back by 3 s, less than the history: interpolation would reach into the time before."""
    transforms = listening.listen()
    now = [8 * S]
    transforms._listener._present._now = lambda: now[0]
    listening.send(transform("base", "camera", 7 * S, (7.0, 0.0, 0.0)))
    transforms.lookup("base", "camera", 7 * S, 10.0)
    now[0] = 5 * S
    transforms.clear(3 * S)
    late = transform("base", "camera", 7 * S + S // 2, (99.0, 0.0, 0.0))
    listening.send(late, transform("base", "camera", 5 * S - S // 2, (4.5, 0.0, 0.0)))
    listening.send(late, transform("base", "camera", 5 * S + S // 2, (5.5, 0.0, 0.0)))
    assert transforms.lookup("base", "camera", 5 * S, 10.0).translation[0] == pytest.approx(5.0)
    with pytest.raises(TransformError, match="after the newest|extrapolation"):
        transforms.lookup("base", "camera", 6 * S, 0.0)


def test_close_ends_the_subscriptions(listening):
    def subscribers():
        return [listening.node.count_subscribers(topic) for topic in ("/tf", "/tf_static")]

    listening.listen()
    wait_until(lambda: subscribers() == [1, 1])
    listening.transforms.close()
    wait_until(lambda: subscribers() == [0, 0])


@own_only
def test_without_any_tf_package(listening, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    transforms = listening.listen()
    with pytest.raises(TransformError, match=r"install ros-\$ROS_DISTRO-tf2-ros"):
        transforms.lookup("base", "camera", S, 0.1)
    assert transforms.lookup("camera", "camera", S, 0.1) == RigidTransform()
    transforms.clear()


def stand_in_for_tf2_ros():
    """The part of tf2_ros' interface that is used, as in its sources of Humble and Jazzy."""
    module = types.ModuleType("tf2_ros")
    module.TransformException = type("TransformException", (Exception,), {})

    class Buffer:
        def __init__(self, cache_time=None, node=None):
            self.transforms, self.cleared, self.set = {}, 0, []

        def set_transform(self, transform, authority):
            self.set.append((transform.header.stamp.sec, authority))

        def lookup_transform(self, target_frame, source_frame, time, timeout):
            self.timeout = timeout.nanoseconds * 1e-9
            try:
                return self.transforms[target_frame, source_frame, time.nanoseconds]
            except KeyError:
                raise module.TransformException('"bass" passed to lookupTransform does not exist.') from None

        def clear(self):
            self.cleared += 1

        def all_frames_as_yaml(self):
            """As BufferCore::allFramesAsYAML writes it: names are not quoted, parents are."""
            frames = "".join(
                f"{child}: \n  parent: '{parent}'\n  broadcaster: 'default_authority'\n  rate: 10000.000\n"
                for parent, child, _ in self.transforms
            )
            return frames or "{}"

        def wait_for_transform_async(self):
            """Only there: the sign of ROS 2's."""

    class TransformListener:
        def __init__(self, buffer, node, *, spin_thread=False):
            assert not spin_thread
            module.listener, self.buffer, self.listening = self, buffer, True

        def callback(self, data):
            for one in data.transforms:
                self.buffer.set_transform(one, "default_authority")

        def unregister(self):
            self.listening = False

    module.Buffer, module.TransformListener = Buffer, TransformListener
    return module


@own_only
def test_tf2_ros_is_used_where_it_is_installed(listening, monkeypatch):
    """tf2_ros comes with an installed ROS only, not from PyPI, so that a stand-in takes its place here: this
    tests what is asked of it and what becomes of its answers, not tf2 itself."""
    tf2_ros = stand_in_for_tf2_ros()
    installed_ros._load.cache_clear()
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2_ros)
    transforms = listening.listen()
    listener = tf2_ros.listener
    assert transforms.parents() == {}
    listener.buffer.transforms["base", "camera", 7 * S] = transform(
        "base", "camera", 7 * S, (1.0, 2.0, 3.0), 0.4
    )
    found = transforms.lookup("/base", "camera", 7 * S, 0.25)
    assert found.translation == (1.0, 2.0, 3.0)
    assert found.rotation == pytest.approx((0.0, 0.0, math.sin(0.2), math.cos(0.2)))
    assert listener.buffer.timeout == pytest.approx(0.25)
    assert transforms.parents() == {"camera": "base"}
    with pytest.raises(TransformError, match="'camera' to 'bass' at the image's stamp: .*does not exist"):
        transforms.lookup("bass", "camera", 7 * S, 0.0)
    now = listening.node.get_clock().now().nanoseconds
    transforms.clear(60 * S)
    assert listener.buffer.cleared == 1
    for stamp in (
        now + 50 * S,
        now,
        now - 5 * S,
    ):  # of the time before, of now, and of yet another time before
        listener.callback(TFMessage(transforms=[transform("base", "camera", stamp)]))
    assert listener.buffer.set == [(now // S, "default_authority")]
    transforms.close()
    assert not listener.listening
