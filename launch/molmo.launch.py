"""Starts the Molmo node on a camera's topics.

    ros2 launch molmo_ros molmo.launch.py image:=/camera/color/image_raw \
        depth:=/camera/aligned_depth_to_color/image_raw camera_info:=/camera/color/camera_info \
        query:="red cube"

`ros2 launch molmo_ros molmo.launch.py --show-args` lists all arguments. `model`, `engine`, `engine_path`,
`query`, `max_crops` and `latency_target` win over the parameter file when they are given.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description():
    """All arguments, and the node."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "image", default_value="image", description="Topic of the pictures, sensor_msgs/Image."
            ),
            DeclareLaunchArgument(
                "depth",
                default_value="depth",
                description="Topic of the depth aligned to the pictures, sensor_msgs/Image 16UC1 or 32FC1.",
            ),
            DeclareLaunchArgument(
                "camera_info",
                default_value="camera_info",
                description="Topic of the pictures' calibration, sensor_msgs/CameraInfo.",
            ),
            DeclareLaunchArgument(
                "query_topic", default_value="query", description="Topic of the queries, std_msgs/String."
            ),
            DeclareLaunchArgument(
                "model",
                default_value="",
                description="tiny, the name of a fetched model, or a folder; empty: what params_file says.",
            ),
            DeclareLaunchArgument(
                "engine",
                default_value="",
                description="auto, torch, onnx or tensorrt; empty: what params_file says.",
            ),
            DeclareLaunchArgument(
                "engine_path",
                default_value="",
                description="Folder or name of the engine; empty: what params_file says.",
            ),
            DeclareLaunchArgument(
                "query", default_value="", description="Continuous query; empty: what params_file says."
            ),
            DeclareLaunchArgument(
                "max_crops",
                default_value="",
                description="Most tiles of one image; empty: what params_file says.",
            ),
            DeclareLaunchArgument(
                "latency_target",
                default_value="",
                description="Time that a query should take [s]; empty: what params_file says.",
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=PathJoinSubstitution([FindPackageShare("molmo_ros"), "config", "molmo.yaml"]),
                description="Parameter file of the node.",
            ),
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node."),
            DeclareLaunchArgument(
                "use_sim_time", default_value="false", description="Take the time from /clock: true or false."
            ),
            DeclareLaunchArgument(
                "log_level", default_value="info", description="debug, info, warn, error or fatal."
            ),
            OpaqueFunction(function=make_node),
        ]
    )


def make_node(context):
    """The node with the arguments' values; an empty `model`, for example, leaves the parameter file's."""

    def value(name):
        return LaunchConfiguration(name).perform(context)

    # Typed, or a query such as "7" would become a number.
    sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    parameters = [value("params_file"), {"use_sim_time": sim_time}]
    if value("model"):
        parameters.append({"model": ParameterValue(LaunchConfiguration("model"), value_type=str)})
    if value("engine"):
        parameters.append({"engine": ParameterValue(LaunchConfiguration("engine"), value_type=str)})
    if value("engine_path"):
        parameters.append({"engine_path": ParameterValue(LaunchConfiguration("engine_path"), value_type=str)})
    if value("query"):
        parameters.append({"query": ParameterValue(LaunchConfiguration("query"), value_type=str)})
    if value("max_crops"):
        parameters.append({"max_crops": ParameterValue(LaunchConfiguration("max_crops"), value_type=int)})
    if value("latency_target"):
        target = ParameterValue(LaunchConfiguration("latency_target"), value_type=float)
        parameters.append({"latency_target": target})
    # Loggers are named after the namespace, with dots.
    logger = ".".join([part for part in value("namespace").split("/") if part] + ["molmo_node"])
    return [
        Node(
            package="molmo_ros",
            executable="molmo_node",
            name="molmo_node",
            namespace=value("namespace"),
            parameters=parameters,
            remappings=[
                ("image", value("image")),
                ("depth", value("depth")),
                ("camera_info", value("camera_info")),
                ("query", value("query_topic")),
            ],
            ros_arguments=["--log-level", f"{logger}:={value('log_level')}"],
            output="screen",
        )
    ]
