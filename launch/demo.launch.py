# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A first look without a camera: a simulated table, the Molmo node, and a window that shows what it points at.

    ros2 launch molmo_ros demo.launch.py
    ros2 launch molmo_ros demo.launch.py seed:=4 query:="red mug; black mug" motion:=orbit
    ros2 launch molmo_ros demo.launch.py view:=foxglove

The window is RViz, or Foxglove's bridge where there is no RViz or no screen. The camera: docs/simulated-camera.md.
Arguments of molmo.launch.py that are not listed here are handed on to it.
"""

import os
from pathlib import Path

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_share_directory,
)
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription
from molmo_ros.node.fast_dds import profile_environment
from molmo_ros.sim.camera_path import MOTIONS

VIEWS = ["auto", "rviz", "foxglove", "none"]
ARGUMENTS = [
    ("seed", "6", "Which random table is shown; the camera's log says what stands on it.", None),
    ("motion", "", "How the camera moves; empty: not at all.", ["", *MOTIONS]),
    ("rate", "10.0", "Pictures per second.", None),
    (
        "query",
        "red cube; purple ball; blue mug",
        "What the node looks for; several are separated by ';'.",
        None,
    ),
    ("target_frame", "world", "Frame of the points; the camera tells where it is in `world`.", None),
    (
        "view",
        "auto",
        "The window; auto: RViz where it and a screen are there, or else Foxglove's bridge.",
        VIEWS,
    ),
]
CAMERA = ("seed", "motion", "rate")
HANDED_ON = ("query", "target_frame")


def generate_launch_description():
    """All arguments, and what they start."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, default, description, choices in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make_actions)])


def make_actions(context):
    """Camera, node and window, in a group of their own."""
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    share = Path(get_package_share_directory("molmo_ros"))
    view = chosen_view(given["view"], installed, os.environ)
    handed_on = {name: given[name] for name in HANDED_ON} | {"rviz": "true" if view == "rviz" else "false"}
    return [
        GroupAction(
            [
                *(SetEnvironmentVariable(*pair) for pair in profile_environment(share).items()),
                Node(
                    package="molmo_ros",
                    executable="molmo_sim_camera",
                    parameters=[camera_parameters(given)],
                    output="screen",
                    on_exit=Shutdown(reason="the simulated camera has ended"),
                ),
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(share / "launch" / "molmo.launch.py")),
                    launch_arguments=handed_on.items(),
                ),
                *window(view, share),
            ]
        )
    ]


def camera_parameters(given):
    """The camera's parameters from the arguments, each of its own type."""
    kinds = {"seed": int, "motion": str, "rate": float}
    try:
        return {name: kinds[name](given[name]) for name in CAMERA}
    except ValueError:
        raise ValueError(
            f"seed:={given['seed']} rate:={given['rate']} is refused: seed is a whole number, rate a number"
        ) from None


def installed(package):
    """Whether a ROS package is installed."""
    try:
        get_package_share_directory(package)
    except PackageNotFoundError:
        return False
    return True


def chosen_view(wanted, there, environment):
    """The window that opens: the wanted one, or what this machine has."""
    if wanted != "auto":
        return wanted
    if there("rviz2") and (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return "rviz"
    return "foxglove" if there("foxglove_bridge") else "none"


def window(view, share):
    """What opens it, and says what a person does next; RViz comes with the node."""
    if view == "foxglove":
        layout = share / "config" / "foxglove_layout.json"
        return [
            LogInfo(msg=f"[molmo demo] Foxglove: open ws://localhost:8765 and import the layout {layout}"),
            Node(package="foxglove_bridge", executable="foxglove_bridge", output="log"),
        ]
    if view == "none":
        return [
            LogInfo(
                msg="[molmo demo] no window is opened (rviz2 or foxglove_bridge would be); "
                "in another shell: ros2 topic echo /molmo_node/point"
            )
        ]
    return []
