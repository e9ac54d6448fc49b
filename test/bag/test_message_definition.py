# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Definitions of molmo_msgs as rosbags reads them, held against the hashes that ROS's own generator computed."""

import json
import sys
from pathlib import Path

import pytest
from geometry_msgs.msg import PoseArray
from molmo_msgs.msg import ObjectPoint, ObjectPointArray, StageTime

from molmo_ros.bag.message_definition import message_types, type_name


@pytest.mark.parametrize("kind", [ObjectPoint, ObjectPointArray, StageTime, PoseArray])
def test_hashes_are_those_of_ros(kind):
    name = type_name(kind)
    package, _, plain = name.split("/")
    described = Path(sys.prefix) / "share" / package / "msg" / f"{plain}.json"
    if not described.exists():
        pytest.skip("this ROS has no type descriptions (Humble)")
    hashes = {
        one["type_name"]: one["hash_string"] for one in json.loads(described.read_text())["type_hashes"]
    }
    assert message_types(kind).hash_rihs01(name) == hashes[name]
