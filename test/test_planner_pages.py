# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The pages for planners name what there is: fields of messages, ports of the tree, topics and parameters."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("molmo_msgs")

from molmo_msgs.msg import Grasp, GraspArray, ObjectGrasps, ObjectPointArray  # noqa: E402
from molmo_msgs.srv import Point  # noqa: E402

from molmo_ros.node.parameters.declaration import SPECS  # noqa: E402

ROOT = Path(__file__).parents[1]
TREES, MOVEIT = (ROOT / "docs" / f"{name}.md" for name in ("behavior-trees", "moveit"))


def block(page, language):
    return re.search(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)[1]


def test_the_tree_uses_the_ports_that_the_plugin_has():
    tree, plugin = ElementTree.fromstring(block(TREES, "xml")), block(TREES, "cpp")
    assert tree.get("BTCPP_format") == "4"
    assert tree.find("BehaviorTree").get("ID") == tree.get("main_tree_to_execute")
    used = tree.find(".//FindGrasp").attrib
    ports = {name: way for way, name in re.findall(r'BT::(Input|Output)Port<[^>]+>\("(\w+)"', plugin)}
    assert used.keys() == ports.keys() | {"service_name", "server_timeout"}
    for name, way in ports.items():
        assert used[name].startswith("{") == (way == "Output"), name
    written = {used[name] for name, way in ports.items() if way == "Output"}
    for leaf in ("OpenGripper", "MoveGripper"):
        assert set(tree.find(f".//{leaf}").attrib.values()) <= written
    assert f'registerNodeType<FindGrasp>("{tree.find(".//FindGrasp").tag}")' in plugin


@pytest.mark.parametrize("page", [TREES, MOVEIT], ids=lambda page: page.stem)
def test_fields_that_the_code_reads_exist(page):
    code = block(page, "cpp")
    known = {
        "request_->": Point.Request,
        "response->": Point.Response,
        "result.": ObjectPointArray,
        "grasps.": GraspArray,
        "object.": ObjectGrasps,
        "best->": Grasp,
        "grasp.": Grasp,
    }
    checked = 0
    for prefix, kind in known.items():
        fields = kind.get_fields_and_field_types().keys()
        for name in re.findall(rf"(?<![\w>.]){re.escape(prefix)}(\w+)(?!\w*\()", code):
            if (prefix, name) == ("grasp.", "header"):  # the stamped pose of the tree's port
                continue
            assert name in fields, f"{prefix}{name}"
            checked += 1
    assert checked >= 6


def test_the_statuses_and_parameters_exist():
    assert ObjectPointArray.FOUND == "FOUND"
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", MOVEIT.read_text())) - {
        "moveit_msgs",
        "panda_hand_tcp",
        "point_at",
    }
    named -= {"red_cube_3"}
    assert named <= SPECS.keys() | {"min_depth", "collision_timeout"}
    assert {"min_depth", "collision_timeout"} <= named
