"""Starts the Molmo node on the topics of one camera or of several.

    ros2 launch molmo_ros molmo.launch.py image:=/camera/color/image_raw \
        depth:=/camera/aligned_depth_to_color/image_raw camera_info:=/camera/color/camera_info \
        query:="red cube; blue mug"

`ros2 launch molmo_ros molmo.launch.py --show-args` lists all arguments, which are the tables below.
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


class Argument(NamedTuple):
    """An argument; only the `choices` are accepted where there are any."""

    name: str
    default: object
    description: str
    choices: tuple = ()


class Parameter(NamedTuple):
    """An argument that becomes a parameter of the node; empty, its default, leaves what params_file says."""

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
        "depth", "depth", "Topic of the depth aligned to the pictures, 16UC1 or 32FC1; {camera} as above."
    ),
    Argument("camera_info", "camera_info", "Topic of the pictures' calibration; {camera} as above."),
    Argument("query_topic", "query", "Topic of the queries, std_msgs/String."),
]

PARAMETERS = [
    Parameter(
        "cameras", list, "Cameras, as in wrist,head; with several, their topics are NAME/image and so on."
    ),
    Parameter("query", list, "Continuous queries, as in red cube; @wrist blue mug."),
    Parameter("model", str, "tiny, the name of a fetched model, or a folder."),
    Parameter("engine", str, "What runs the model.", ("auto", "torch", "onnx", "tensorrt")),
    Parameter("engine_path", str, "Folder or name of the engine."),
    Parameter("device", str, "Where the model runs: cpu, cuda or cuda:1."),
    Parameter("dtype", str, "Number format of torch's weights.", ("float32", "bfloat16", "float16")),
    Parameter("threads", int, "Threads of the CPU that the model computes with; 0 is all cores."),
    Parameter("target_frame", str, "Frame of the points in metres, through TF."),
    Parameter("tracking", bool, "Track points between answers, at camera rate.", BOOL),
    Parameter("image_transport", str, "compressed subscribes to IMAGE/compressed.", ("raw", "compressed")),
    Parameter("depth_transport", str, "How depth comes.", ("raw", "compressedDepth", "compressed")),
    Parameter("max_crops", int, "Most tiles of one image."),
    Parameter("latency_target", float, "Time that a query should take [s]."),
    Parameter("autostart", bool, "Configure and activate at once; false: a manager does.", BOOL),
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

# The arguments that the node knows under another name.
PARAMETER_NAMES = {"query": "queries"}
SEPARATORS = {"cameras": ",", "query": ";"}


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
            description=f"{parameter.description} Empty: what params_file says.",
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
    topics = remappings(values, cameras)
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
        arguments=["-d", in_share("config", "molmo.rviz")],
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
    if parameter.kind is list:
        return [item.strip() for item in text.split(SEPARATORS[parameter.name]) if item.strip()]
    if parameter.kind is bool:
        return text == "true"
    try:
        return parameter.kind(text)
    except ValueError:
        kind = {int: "a whole number", float: "a number"}[parameter.kind]
        raise ValueError(f"{parameter.name}:={text} is refused: it must be {kind}") from None


def remappings(values, cameras):
    """From the node's topics to those of the arguments.

    A topic of image_transport, such as image/compressed, is one of its own and goes where its image goes.
    """
    pairs = [("query", values["query_topic"])]
    for topic, transports in (
        ("image", ("compressed",)),
        ("depth", ("compressedDepth", "compressed")),
        ("camera_info", ()),
    ):
        wanted = values[topic]
        if "{camera}" in wanted and not cameras:
            raise ValueError(f"{topic}:={wanted} is refused: the argument cameras must say for which cameras")
        if len(cameras) > 1 and wanted == topic:  # not given: NAME/image and so on, as the node has them
            continue
        if len(cameras) > 1 and "{camera}" not in wanted:
            raise ValueError(f"{topic}:={wanted} is refused: of several cameras it must contain {{camera}}")
        for camera in cameras or [""]:
            own = f"{camera}/{topic}" if len(cameras) > 1 else topic
            source = wanted.replace("{camera}", camera)
            pairs.append((own, source))
            pairs += [(f"{own}/{transport}", f"{source}/{transport}") for transport in transports]
    return pairs


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
