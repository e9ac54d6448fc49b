# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Starts Gazebo with a world, the bridge, the camera's transforms and the Molmo node; RViz too, if wanted.

    ros2 launch molmo_ros gazebo.launch.py query:="red cube"
    ros2 launch molmo_ros gazebo.launch.py world:=shelf headless:=true query:="blue ball; purple cylinder"
    ros2 launch molmo_ros gazebo.launch.py world:=/path/to/my_world.sdf query:="mug"

Topics, frames, transforms and calibration are read from the world's file: `molmo_ros.gazebo.launch_plan`. Arguments of
molmo.launch.py that are not listed here are handed on to it. docs/gazebo.md is about worlds of one's own.
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription
from molmo_ros.gazebo.launch_plan import plan_launch, transform_arguments, world_path
from molmo_ros.gazebo.release import RELEASES, release_of
from molmo_ros.node.fast_dds import profile_environment

BOOL = ["true", "false"]
ARGUMENTS = [
    ("world", "tabletop", "A world of the package (tabletop, shelf), or the path of an SDF file.", None),
    ("query", "", "What the node looks for all the time; several are separated by ';'.", None),
    ("model", "", "As in molmo.launch.py.", None),
    ("engine", "", "As in molmo.launch.py.", ["", "auto", "torch", "onnx", "tensorrt", "remote"]),
    ("cameras", "", "Topics of the cameras to look with, separated by ','; empty: all of the world.", None),
    ("target_frame", "", "Frame of the points; empty: the world's name, where Gazebo's own poses are.", None),
    ("headless", "false", "Without Gazebo's window; a GPU or software renders all the same.", BOOL),
    ("rviz", "false", "Start RViz on the first camera.", BOOL),
    (
        "gazebo",
        "auto",
        "Names that the installed Gazebo knows; auto: fortress on Humble.",
        ["auto", *RELEASES],
    ),
    ("transforms", "true", "Publish the cameras' fixed transforms; false where the robot does.", BOOL),
    ("shared_memory", "true", "FastDDS' profile for images of this machine, for all that starts here.", BOOL),
]
HANDED_ON = ("query", "model", "engine", "rviz")


def generate_launch_description():
    """All arguments, and what they start."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, default, description, choices in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make_actions)])


def make_actions(context):
    """Gazebo, bridge, transforms and node as the world's file wants them, in a group of their own."""
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    share = Path(get_package_share_directory("molmo_ros"))
    release = RELEASES.get(given["gazebo"]) or release_of(os.environ.get("ROS_DISTRO", ""))
    plan = plan_launch(
        world_path(given["world"], share / "gazebo", release),
        release,
        headless=given["headless"] == "true",
        wanted=[topic.strip() for topic in given["cameras"].split(",") if topic.strip()],
        target_frame=given["target_frame"],
    )
    actions = [LogInfo(msg=f"[molmo gazebo] {warning}") for warning in plan.warnings]
    if given["shared_memory"] == "true":
        actions += [SetEnvironmentVariable(*pair) for pair in profile_environment(share).items()]
    actions += [
        included(
            Path(get_package_share_directory("ros_gz_sim")) / "launch" / "gz_sim.launch.py",
            {"gz_args": plan.gazebo_arguments, "on_exit_shutdown": "true"},
        ),
        Node(
            package="ros_gz_bridge",
            executable="parameter_bridge",
            name="molmo_gazebo_bridge",
            arguments=list(plan.bridge),
            remappings=list(plan.bridge_remappings),
            output="screen",
        ),
    ]
    if given["transforms"] == "true":
        actions += [
            Node(
                package="tf2_ros",
                executable="static_transform_publisher",
                arguments=transform_arguments(parent, child, parent_from_child),
            )
            for parent, child, parent_from_child in plan.transforms
        ]
    handed_on = {name: given[name] for name in HANDED_ON}
    actions.append(included(share / "launch" / "molmo.launch.py", {"cameras": "", **plan.molmo, **handed_on}))
    return [GroupAction(actions)]


def included(path, arguments):
    """Another launch file, with these arguments."""
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(path)), launch_arguments=arguments.items()
    )
