# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Starts the Molmo node on the topics of one camera or of several.

    ros2 launch molmo_ros molmo.launch.py image:=/camera/color/image_raw \
        depth:=/camera/aligned_depth_to_color/image_raw camera_info:=/camera/color/camera_info \
        query:="red cube; blue mug"

`ros2 launch molmo_ros molmo.launch.py --show-args` lists all arguments, which are the tables below; those of
the node's parameters are read from its own declaration.
docs/launching.md shows how to include this file in another.
"""

from typing import NamedTuple

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.substitutions import FindPackageShare
from launch_ros.utilities import prefix_namespace

from launch import LaunchDescription
from molmo_ros.node.parameters.declaration import SPECS
from molmo_ros.node.parameters.topic_arguments import remappings


class Argument(NamedTuple):
    """An argument; only the `choices` are accepted where there are any."""

    name: str
    default: object
    description: str
    choices: tuple = ()


class Parameter(NamedTuple):
    """An argument that becomes a parameter of the node; empty, its default: not given."""

    name: str
    kind: type
    description: str
    choices: tuple = ()


def in_share(*path):
    return PathJoinSubstitution([FindPackageShare("molmo_ros"), *path])


BOOL = ("true", "false")

TOPICS = [
    Argument("image", "image", "Topic of the pictures, sensor_msgs/Image; {camera} is a camera's name."),
    Argument(
        "depth", "depth", "Topic of depth, 16UC1 or 32FC1, aligned to the pictures or not; {camera} as above."
    ),
    Argument(
        "depth_camera_info",
        "depth/camera_info",
        "Topic of depth's own calibration, for depth that is not aligned to the pictures; {camera} as above.",
    ),
    Argument(
        "points",
        "points",
        "Topic of the cloud that is depth where depth_source is points, sensor_msgs/PointCloud2; {camera} as above.",
    ),
    Argument("camera_info", "camera_info", "Topic of the pictures' calibration; {camera} as above."),
    Argument("query_topic", "query", "Topic of the queries, std_msgs/String."),
]

# Arguments that the node knows under another name, and what is between the items of those with several.
PARAMETER_NAMES = {"query": "queries"}
SEPARATORS = {"cameras": ",", "query": ";", "camera_matrix": ","}
LISTS_OF_NUMBERS = ("camera_matrix",)


def of_the_node(name):
    """The argument of this name, as the node declares its parameter."""
    spec = SPECS[PARAMETER_NAMES.get(name, name)]
    kind = list if isinstance(spec.default, tuple) else type(spec.default)
    description = spec.description.replace("`", "")
    if kind is list:
        description += f" Several are separated by {SEPARATORS[name]!r}."
    return Parameter(name, kind, description, BOOL if kind is bool else spec.choices)


PARAMETERS = [
    *map(
        of_the_node,
        (
            "cameras",
            "query",
            "model",
            "engine",
            "engine_path",
            "server",
            "server_model",
            "fallback_model",
            "device",
            "dtype",
            "threads",
            "target_frame",
            "optical_frame",
            "camera_matrix",
            "tracking",
            "image_transport",
            "depth_transport",
            "depth_source",
            "max_crops",
            "latency_target",
            "autostart",
        ),
    ),
    Parameter("use_sim_time", bool, "Take the time from /clock.", BOOL),
]

PROCESS = [
    Argument("params_file", in_share("config", "molmo.yaml"), "Parameter file of the node."),
    Argument("namespace", "", "Namespace of the node and of its relative topics."),
    Argument("node_name", "molmo_node", "Name of the node; its outputs are below it."),
    Argument("log_level", "info", "Of the node alone.", ("debug", "info", "warn", "error", "fatal")),
    Argument("respawn", "false", "Start the node again when it ends, after 2 s.", BOOL),
    Argument("rviz", "false", "Start RViz with config/molmo.rviz on the first camera.", BOOL),
]


def generate_launch_description():
    """All arguments, the node, and RViz where it is wanted."""
    declared = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.description,
            choices=argument.choices or None,
        )
        for argument in TOPICS + PROCESS
    ] + [
        DeclareLaunchArgument(
            parameter.name,
            default_value="",
            description=f"{parameter.description} Not given: what params_file says.",
            choices=("", *parameter.choices) if parameter.choices else None,
        )
        for parameter in PARAMETERS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make_nodes)])


def make_nodes(context):
    """The node with the arguments' values, and RViz."""
    values = {
        argument.name: LaunchConfiguration(argument.name).perform(context)
        for argument in TOPICS + PARAMETERS + PROCESS
    }
    parameters = given_parameters(values)
    cameras = parameters.get("cameras", [])
    topics = [("query", values["query_topic"]), *remappings(values, cameras)]
    # Loggers are named after the full namespace, with dots.
    namespace = prefix_namespace(context.launch_configurations.get("ros_namespace"), values["namespace"])
    logger = ".".join([*filter(None, namespace.split("/")), values["node_name"]])
    molmo = LifecycleNode(
        package="molmo_ros",
        executable="molmo_node",
        name=values["node_name"],
        namespace=values["namespace"],
        parameters=[values["params_file"], parameters],
        remappings=topics,
        ros_arguments=["--log-level", f"{logger}:={values['log_level']}"],
        respawn=values["respawn"] == "true",
        respawn_delay=2.0,
        output="screen",
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=values["namespace"],
        arguments=["-d", in_share("config", "molmo.rviz"), *fixed_frame(parameters)],
        parameters=[{"use_sim_time": parameters.get("use_sim_time", False)}],
        remappings=rviz_remappings(values["node_name"], cameras, topics),
        condition=IfCondition(values["rviz"]),
    )
    return [molmo, rviz]


def given_parameters(values):
    """The node's parameters from the arguments that were given, each of its own type: a model "7" is text."""
    given = {}
    for parameter in PARAMETERS:
        text = values[parameter.name]
        if text:
            given[PARAMETER_NAMES.get(parameter.name, parameter.name)] = converted(parameter, text)
    return given


def converted(parameter, text):
    """The text of an argument as the parameter's kind."""
    if parameter.kind is bool:
        return text == "true"
    try:
        if parameter.kind is not list:
            return parameter.kind(text)
        numbers = parameter.name in LISTS_OF_NUMBERS
        if numbers:  # with the brackets of YAML or without
            text = text.strip("[] ")
        items = [item.strip() for item in text.split(SEPARATORS[parameter.name]) if item.strip()]
        return [*map(float, items)] if numbers else items
    except ValueError:
        kind = {int: "a whole number", float: "a number", list: "numbers, separated by commas"}[
            parameter.kind
        ]
        raise ValueError(f"{parameter.name}:={text} is refused: it must be {kind}") from None


def fixed_frame(parameters):
    """RViz' option for the frame that the points are in; without one its configuration says which."""
    frame = parameters.get("target_frame")
    return ["-f", frame] if frame else []


def rviz_remappings(node_name, cameras, topics):
    """From the topics in config/molmo.rviz to those of this node and of its first camera."""
    sources = dict(topics)
    prefix = f"{cameras[0]}/" if len(cameras) > 1 else ""
    inputs = [
        (f"/{topic}", sources.get(prefix + topic, prefix + topic))
        for topic in ("image", "depth", "camera_info")
    ]
    outputs = [
        (f"/molmo_node/{topic}", f"{node_name}/{topic}")
        for topic in ("annotated", "markers", "points", "point")
    ]
    return inputs + outputs
