# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The installed molmo_msgs: those of this repository, and the same to an independent reader.

rosbags reads .msg files and CDR with code of its own, and knows the distributions' definitions.
"""

import importlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from ament_index_python.packages import get_package_share_directory  # noqa: E402
from molmo_msgs.action import Query  # noqa: E402
from molmo_msgs.msg import ObjectPoint, ObjectPointArray, StageTime  # noqa: E402
from molmo_msgs.srv import Ask, Point  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from rosbags.typesys import Stores, get_types_from_msg, get_typestore  # noqa: E402

SOURCE = Path(__file__).parents[2] / "interfaces" / "molmo_msgs"
FILES = sorted(
    path.relative_to(SOURCE).as_posix()
    for kind in ("msg", "srv", "action")
    for path in (SOURCE / kind).iterdir()
)
MESSAGES = (ObjectPoint, ObjectPointArray, StageTime)
PARTS = (Ask.Request, Ask.Response, Point.Request, Point.Response, Query.Goal, Query.Result, Query.Feedback)


def installed(name):
    return Path(get_package_share_directory(name))


def type_hash(package, name):
    """Of a message as it was built; the distributions before Jazzy have none."""
    file = installed(package) / "msg" / f"{name}.json"
    if not file.exists():
        pytest.skip(f"{package} was built without type hashes")
    hashes = {
        entry["type_name"]: entry["hash_string"] for entry in json.loads(file.read_text())["type_hashes"]
    }
    return hashes[f"{package}/msg/{name}"]


@pytest.fixture(scope="module")
def typestore():
    store = get_typestore(Stores.ROS2_JAZZY)
    for file in (SOURCE / "msg").iterdir():
        store.register(get_types_from_msg(file.read_text(), f"molmo_msgs/msg/{file.stem}"))
    return store


def filled(message, numbers):
    """Every field gets a value that it does not have by default, each a different one; sequences get two."""
    for name, kind in message.get_fields_and_field_types().items():
        setattr(message, name, value_of(kind, numbers))
    return message


def value_of(kind, numbers):
    if kind.startswith("sequence<"):
        return [value_of(kind[len("sequence<") : -1], numbers) for _ in range(2)]
    if "/" in kind:
        package, name = kind.split("/")
        return filled(getattr(importlib.import_module(f"{package}.msg"), name)(), numbers)
    number = next(numbers)
    values = {"string": f"text {number}", "boolean": True, "float": number + 0.5, "double": number + 0.25}
    return values.get(kind, number)


def assert_same(ours, theirs):
    """A message of rclpy and one of rosbags."""
    if hasattr(ours, "get_fields_and_field_types"):
        for name in ours.get_fields_and_field_types():
            assert_same(getattr(ours, name), getattr(theirs, name))
    elif isinstance(ours, list):
        assert len(ours) == len(theirs) > 0
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_equal(theirs, ours)


@pytest.mark.parametrize("file", FILES)
def test_what_is_installed_is_what_is_written(file):
    assert (installed("molmo_msgs") / file).read_text() == (SOURCE / file).read_text(), "run the set-up again"


@pytest.mark.parametrize("kind", [*MESSAGES, *PARTS], ids=lambda kind: kind.__name__)
def test_every_field_survives_the_wire(kind):
    message = filled(kind(), itertools.count(1))
    blank = kind()
    for name in kind.get_fields_and_field_types():
        assert getattr(message, name) != getattr(blank, name)
    assert deserialize_message(serialize_message(message), kind) == message


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_another_reader_sees_the_same(kind, typestore):
    message = filled(kind(), itertools.count(1))
    theirs = typestore.deserialize_cdr(serialize_message(message), f"molmo_msgs/msg/{kind.__name__}")
    assert_same(message, theirs)


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_type_hashes_follow_the_standard(kind, typestore):
    """Hashed from the .msg files by rosbags, as REP-2016 says."""
    assert type_hash("molmo_msgs", kind.__name__) == typestore.hash_rihs01(f"molmo_msgs/msg/{kind.__name__}")


def test_transforms_are_the_distributions():
    """As `ros2 topic info --verbose /tf` prints it on Jazzy; rosbags computes the same from the real definition."""
    expected = "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"
    assert get_typestore(Stores.ROS2_JAZZY).hash_rihs01("tf2_msgs/msg/TFMessage") == expected
    assert type_hash("tf2_msgs", "TFMessage") == expected


def test_transforms_survive_the_wire():
    from tf2_msgs.msg import TFMessage

    message = filled(TFMessage(), itertools.count(1))
    data = serialize_message(message)
    assert deserialize_message(data, TFMessage) == message
    assert_same(message, get_typestore(Stores.ROS2_JAZZY).deserialize_cdr(data, "tf2_msgs/msg/TFMessage"))
