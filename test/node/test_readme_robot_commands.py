# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The README's `ros2 topic`, `service`, `action` and `param` commands, sent to the node as those tools would."""

import array
import importlib
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy")

from action_msgs.msg import GoalStatus  # noqa: E402
from geometry_msgs.msg import PointStamped  # noqa: E402
from rclpy.action import ActionClient  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from molmo_ros.sim.renderer import render  # noqa: E402
from molmo_ros.sim.scene import SENSOR, Scene  # noqa: E402

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
from readme_commands import beginning_with  # noqa: E402
from tf_broadcaster import LATCHED, transform  # noqa: E402

NODE = "../../molmo_ros/node/process.py"
SEED = 167
"""A table with one red cube and one mug."""
PUBLISHED = beginning_with("ros2", "topic", "pub")
HEARD = beginning_with("ros2", "topic", "echo")
CALLED = beginning_with("ros2", "service", "call")
GOALS = beginning_with("ros2", "action", "send_goal")
SET = beginning_with("ros2", "param", "set")


def kind_named(name):
    """The class of a type as ros2 spells it, such as molmo_msgs/srv/Point."""
    package, folder, kind = name.split("/")
    return getattr(importlib.import_module(f"{package}.{folder}"), kind)


def last(command, count):
    """The last words of a command, without its options."""
    words = [word for word in command[3:] if not word.startswith("--")]
    assert len(words) == count, command
    return words


@pytest.fixture(scope="module")
def molmo(robot):
    """The node with its model, a table before its camera, and the camera's place on the robot."""
    places = robot.node.create_publisher(TFMessage, "/tf_static", LATCHED)
    places.publish(TFMessage(transforms=[transform("base_link", "camera_optical", 0, (0.0, 0.0, 1.0))]))
    robot.start(script=NODE, depth=True)
    robot.send_frame()
    robot.ask("the ball", patience=60)
    yield robot
    robot.stop()


@pytest.fixture
def seen(molmo, make):
    """A new picture of the table, with depth."""
    frame = render(Scene.random(SEED), *SENSOR)
    height, width = frame.depth.shape
    image = Image(width=width, height=height, encoding="rgb8", step=width * 3)
    image.data = array.array("B", frame.rgb.tobytes())
    info = make.info(width, height)
    info.k = frame.intrinsics.ravel().tolist()
    molmo.send_frame(image, make.depth(frame.depth), info)
    molmo.clear()
    return molmo


def test_each_way_to_ask_is_shown():
    assert all(map(len, (PUBLISHED, HEARD, CALLED, GOALS, SET)))


@pytest.mark.parametrize("command", PUBLISHED, ids=" ".join)
def test_published(command, seen):
    topic, kind, text = last(command, 3)
    message = kind_named(kind)(**yaml.safe_load(text))
    publisher = seen.node.create_publisher(type(message), topic, 1)
    seen.spin_until(lambda: publisher.get_subscription_count())
    seen.meet()
    publisher.publish(message)
    result = seen.next_result(0)
    assert (result["query"], result["status"]) == (message.data, "FOUND") and result["count"] == 1


@pytest.mark.parametrize("command", CALLED, ids=" ".join)
def test_called(command, seen):
    name, kind, text = last(command, 3)
    kind, wanted = kind_named(kind), yaml.safe_load(text)
    client = seen.node.create_client(kind, name)
    seen.spin_until(client.service_is_ready)
    seen.meet()
    future = client.call_async(kind.Request(**wanted))
    seen.spin_until(future.done)
    result = future.result().result
    assert result.status == result.FOUND, result.reason
    assert sorted(point.label for point in result.points) == sorted(wanted["labels"])
    assert result.frame_id == wanted["target_frame"]
    assert all(point.has_position for point in result.points)


@pytest.mark.parametrize("command", GOALS, ids=" ".join)
def test_goals(command, seen):
    name, kind, text = last(command, 3)
    kind = kind_named(kind)
    client = ActionClient(seen.node, kind, name)
    seen.spin_until(client.server_is_ready)
    seen.meet()
    heard = []
    sending = client.send_goal_async(kind.Goal(**yaml.safe_load(text)), heard.append)
    seen.spin_until(sending.done)
    ending = sending.result().get_result_async()
    seen.spin_until(ending.done)
    assert ending.result().status == GoalStatus.STATUS_SUCCEEDED
    result = ending.result().result.result
    assert result.status == result.FOUND and len(result.points) == 1
    assert heard


@pytest.mark.parametrize("command", HEARD, ids=" ".join)
def test_heard(command, seen):
    """What is published there, once somebody asks."""
    (topic,) = last(command, 1)
    heard = []
    seen.node.create_subscription(PointStamped, topic, heard.append, 10)
    seen.meet()
    assert seen.ask("red cube")["status"] == "FOUND"
    seen.spin_until(lambda: heard)
    assert heard[-1].header.frame_id == "camera_optical"


@pytest.mark.parametrize("command", SET, ids=" ".join)
def test_parameters_set(command, molmo):
    node, name, text = last(command, 3)
    assert node == "/molmo_node"
    queries = yaml.safe_load(text)
    molmo.stop()
    molmo.start("-p", "cameras:=[wrist, head]", script=NODE, depth=True, image="wrist/image", wait=False)
    molmo.spin_until(lambda: molmo._results())
    assert molmo.set(**{name: queries}) == ""
