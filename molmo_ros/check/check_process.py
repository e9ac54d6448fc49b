# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`ros2 run molmo_ros check_camera [NAME:=VALUE ...]`: looks at a camera's live topics as the node would.

Topics are named as for the launch file: image:=, depth:=, camera_info:=, depth_camera_info:=, points:=; those of the
only camera there is are found. So are the node's parameters (optical_frame:=, target_frame:=, cameras:=wrist,head, ...)
and use_sim_time:=true; params_file:= reads a file of them, and all ROS arguments may follow --ros-args.

Exit codes: 0 nothing is wrong, 1 something is, and the report says which line cures it, 2 the arguments are wrong,
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress

from molmo_ros.cli.printable import printable, say

PROGRAM = "check_camera"
SECONDS = 10.0
OTHERS = ("use_sim_time", "params_file", "namespace")
"""Arguments that are neither topics nor parameters that the node declares."""


class ArgumentError(ValueError):
    """An argument that is none; the message says which there are."""


def main(argv: Sequence[str] | None = None) -> int:
    """Watches and reports; returns the exit code.

    Args:
        argv: The arguments; None: those of this process.
    """
    import rclpy
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
    from rclpy.signals import SignalHandlerOptions

    given = list(sys.argv[1:] if argv is None else argv)
    own, ros = (
        (given[: given.index("--ros-args")], given[given.index("--ros-args") :])
        if "--ros-args" in given
        else (given, [])
    )
    args = _parser().parse_args(own)
    try:
        ros += ros_arguments(args.assignments)
        rclpy.init(args=[PROGRAM, *ros], signal_handler_options=SignalHandlerOptions.NO)
    except (RuntimeError, ValueError) as error:
        return _refused(error)
    try:
        return _check(args.seconds)
    except (InvalidParameterValueException, InvalidParameterTypeException) as error:
        return _refused(error)
    except KeyboardInterrupt:
        return 130
    finally:
        rclpy.try_shutdown()


def ros_arguments(assignments: Sequence[str]) -> list[str]:
    """ROS arguments of `NAME:=VALUE`, as the launch file makes them.

    Raises:
        ArgumentError: There is no such argument.
        ValueError: A topic does not say which camera's it is.
    """
    from molmo_ros.node.parameters.declaration import SPECS
    from molmo_ros.node.parameters.topic_arguments import TOPIC_ARGUMENTS, remappings

    topics = {argument: topic for argument, (topic, _) in TOPIC_ARGUMENTS.items()}
    named, cameras, result = dict(topics), [], []
    for assignment in assignments:
        name, separator, value = assignment.partition(":=")
        if not separator or not (
            name in topics or name in SPECS or name in OTHERS or name.startswith("qos_overrides.")
        ):
            known = ", ".join((*topics, *OTHERS))
            raise ArgumentError(
                f"{assignment!r} is not NAME:=VALUE with one of {known}, or a parameter of the node"
            )
        if name in topics:
            named[name] = value
        elif name == "params_file":
            result += ["--params-file", value]
        elif name == "namespace":
            result += ["-r", f"__ns:=/{value.strip('/')}"]
        else:
            if name == "cameras":
                cameras = [one.strip() for one in value.split(",") if one.strip()]
                value = json.dumps(cameras)
            elif name in SPECS and SPECS[name].type_name == "string":
                value = json.dumps(value)
            result += ["-p", f"{name}:={value}"]
    changed = [pair for pair in remappings(named, cameras) if pair[0] != pair[1]]
    for own, topic in changed:
        result += ["-r", f"{own}:={topic}"]
    return ["--ros-args", *result] if result else []


def _check(seconds: float) -> int:
    import rclpy
    from rclpy.logging import LoggingSeverity
    from rclpy.node import Node

    from molmo_ros.check import graph_topics
    from molmo_ros.check.camera_watch import CameraWatch
    from molmo_ros.check.check_report import report
    from molmo_ros.node.parameters.node_parameters import NodeParameters

    probe = Node(f"{PROGRAM}_probe", start_parameter_services=False)
    topic = probe.resolve_topic_name("image")
    cli_args = []
    if topic.endswith("/image") and not probe.get_publishers_info_by_topic(topic):
        found = graph_topics.await_camera(probe)
        if found.image and not probe.get_publishers_info_by_topic(topic):
            names = {
                "image": found.image,
                "depth": found.depth,
                "camera_info": found.info,
                "depth/camera_info": found.depth_info,
            }
            pairs = [(own, name) for own, name in names.items() if name]
            cli_args = ["--ros-args", *(part for own, name in pairs for part in ("-r", f"{own}:={name}"))]
    node = Node(PROGRAM, cli_args=cli_args)
    with suppress(AttributeError):
        node.get_logger().set_level(LoggingSeverity.ERROR)
    watched = CameraWatch(node, probe, NodeParameters(node)()).watch(seconds)
    say(report(watched))
    sys.stdout.flush()
    code = int(any(one.counts for one in watched.findings))
    node.destroy_node()
    probe.destroy_node()
    del rclpy
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "assignments", nargs="*", metavar="NAME:=VALUE", help="a topic, or a parameter of the node"
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="how long to look [s] (default: %(default)g)"
    )
    return parser


def _refused(error: Exception) -> int:
    print(f"{PROGRAM}: {printable(' '.join(str(error).split()))}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
