# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The RViz view: classes that RViz has, topics and frame of this node and its simulated camera."""

from pathlib import Path

import numpy as np
import pytest
import yaml

CONFIG = Path(__file__).parents[2] / "config" / "molmo.rviz"

# Of rviz_default_plugins and rviz_common, in Humble and in Jazzy.
DISPLAYS = {
    "DepthCloud",
    "Grid",
    "Image",
    "MarkerArray",
    "PointCloud2",
    "PointStamped",
    "Pose",
    "PoseArray",
    "TF",
}
TOOLS = {"FocusCamera", "Interact", "Measure", "MoveCamera", "Select"}
PANELS = {"Displays", "Help", "Selection", "Time", "Tool Properties", "Transformation", "Views"}
RELIABILITY = {"Best Effort", "Reliable", "System Default"}

TOPICS = {
    "Image": {"/image", "/molmo_node/annotated"},
    "MarkerArray": {"/molmo_node/markers"},
    "PoseArray": {"/molmo_node/points"},
    "PointStamped": {"/molmo_node/point"},
    "Pose": {"/molmo_node/pose"},
    "PointCloud2": {"/molmo_node/clouds"},
}


@pytest.fixture(scope="module")
def manager():
    return yaml.safe_load(CONFIG.read_text())["Visualization Manager"]


def named(items, package):
    return {item["Class"].removeprefix(f"{package}/") for item in items}


def test_every_class_is_one_of_rviz(manager):
    assert named(manager["Displays"], "rviz_default_plugins") == DISPLAYS
    assert named(manager["Tools"], "rviz_default_plugins") <= TOOLS
    assert named(yaml.safe_load(CONFIG.read_text())["Panels"], "rviz_common") <= PANELS
    assert manager["Views"]["Current"]["Class"] == "rviz_default_plugins/Orbit"


def test_every_display_is_on_and_has_its_own_name(manager):
    names = [display["Name"] for display in manager["Displays"]]
    assert len(set(names)) == len(names)
    assert all(display["Enabled"] is True for display in manager["Displays"])


def test_topics_are_those_of_the_node_and_its_camera(manager):
    shown = {}
    for display in manager["Displays"]:
        if "Topic" in display:
            shown.setdefault(display["Class"].split("/")[1], set()).add(display["Topic"]["Value"])
            assert display["Topic"].get("Reliability Policy", "Reliable") in RELIABILITY
    assert shown == TOPICS


def test_depth_is_coloured_by_the_picture_and_read_best_effort(manager):
    (cloud,) = (display for display in manager["Displays"] if display["Class"].endswith("/DepthCloud"))
    assert (cloud["Depth Map Topic"], cloud["Color Image Topic"]) == ("/depth", "/image")
    assert cloud["Reliability Policy"] == "Best effort", "so spelled in this display"


def test_the_frame_is_the_simulated_cameras(manager):
    sim_camera = pytest.importorskip("molmo_ros.sim.sim_camera")
    assert manager["Global Options"]["Fixed Frame"] == sim_camera.OPTICAL_FRAME


def test_the_view_is_from_behind_the_camera_with_the_image_upright(manager):
    # RViz' orbit: yaw about z, pitch toward z; up is z made perpendicular to the line of sight.
    view = manager["Views"]["Current"]
    yaw, pitch = view["Yaw"], view["Pitch"]
    sight = -np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    up = np.array([0, 0, 1]) - sight[2] * sight
    eye = np.array(list(view["Focal Point"].values())) - view["Distance"] * sight
    assert sight[2] > 0.9 and eye[2] < 0, "forward, from behind"
    assert up[1] / np.linalg.norm(up) < -0.9 and eye[1] < 0, "y points down in an optical frame"
