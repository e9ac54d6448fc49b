# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The Foxglove layout: panels and their places agree, and topics and fields are those of the node."""

import json
import re
from pathlib import Path

import pytest

LAYOUT = json.loads((Path(__file__).parents[2] / "config" / "foxglove_layout.json").read_text())
PANELS = LAYOUT["configById"]

KINDS = {"Image", "3D", "RawMessages", "Plot", "DiagnosticSummary", "Publish"}
NODE = {
    f"/molmo_node/{name}"
    for name in ("result", "objects", "points", "markers", "annotated", "clouds", "pose")
}
CAMERA = {"/image", "/depth", "/camera_info"}


def panel(kind):
    (config,) = (config for name, config in PANELS.items() if name.startswith(f"{kind}!"))
    return config


def leaves(tree):
    if isinstance(tree, str):
        return [tree]
    assert tree["direction"] in ("row", "column") and 0 < tree["splitPercentage"] < 100
    return leaves(tree["first"]) + leaves(tree["second"])


def test_every_panel_has_one_place_and_every_place_a_panel():
    assert sorted(leaves(LAYOUT["layout"])) == sorted(PANELS)
    assert {name.split("!")[0] for name in PANELS} == KINDS


def test_every_topic_is_one_of_the_node_or_its_camera():
    text = json.dumps(PANELS)
    named = set(re.findall(r'"(/[a-z_/0-9]+)', text))
    assert named - NODE - CAMERA == {"/diagnostics", "/query"}
    assert panel("Image")["imageMode"] == {
        "imageTopic": "/molmo_node/annotated",
        "calibrationTopic": "/camera_info",
    }
    assert panel("RawMessages")["topicPath"] == "/molmo_node/result"
    assert panel("DiagnosticSummary")["topicToRender"] == "/diagnostics"


def test_depth_is_shown_as_points_in_the_pictures_colours():
    topics = panel("3D")["topics"]
    depth = topics["/depth"]
    assert (depth["visible"], depth["renderMode"], depth["colorMode"]) == (True, "pointCloud", "rgb")
    assert (depth["cameraInfoTopic"], depth["siblingRgbTopic"]) == ("/camera_info", "/image")
    objects = topics["/molmo_node/clouds"]
    assert objects["visible"] and objects["colorMode"] == "rgb" and objects["pointSize"] > depth["pointSize"]
    assert topics["/molmo_node/markers"]["visible"] and topics["/molmo_node/points"]["visible"]


def test_the_plot_reads_durations_of_the_record():
    messages = pytest.importorskip("molmo_msgs.msg")
    fields = messages.ObjectPointArray.get_fields_and_field_types()
    paths = [path["value"] for path in panel("Plot")["paths"] if path["enabled"]]
    assert len(paths) == 3
    for path in paths:
        topic, name = path.rsplit(".", 1)
        assert topic in ("/molmo_node/result", "/molmo_node/objects")
        assert fields[name] == "builtin_interfaces/Duration"


def test_the_query_is_a_string_message():
    publish = panel("Publish")
    assert (publish["topicName"], publish["datatype"]) == ("/query", "std_msgs/msg/String")
    assert list(json.loads(publish["value"])) == ["data"]


def test_the_frame_is_the_simulated_cameras():
    sim_camera = pytest.importorskip("molmo_ros.sim.sim_camera")
    assert panel("3D")["followTf"] == sim_camera.OPTICAL_FRAME
