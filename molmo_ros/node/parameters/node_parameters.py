# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The parameters of a running node: declared on it, and read as one typed snapshot."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from molmo_ros.node.parameters.declaration import PARAMETERS, SPECS, Settings, first_error
from molmo_ros.node.parameters.parameter_spec import ParameterSpec


class NodeParameters:
    """Declares all parameters on a node, checked from the first value on, and knows their values. Thread-safe.

    Raises:
        rclpy.exceptions.InvalidParameterValueException: A value from the command line or a file is refused.
    """

    def __init__(self, node: Node) -> None:
        self._node, self._lock = node, threading.Lock()
        _declare(node)
        self._read()
        # rclpy of Humble does not say when parameters were set: there they are read each time.
        self._is_told = hasattr(node, "add_post_set_parameters_callback")
        if self._is_told:
            node.add_post_set_parameters_callback(lambda _parameters: self._read())

    def __call__(self) -> Settings:
        """The values now."""
        if not self._is_told:
            self._read()
        return self._settings

    def _read(self) -> None:
        with self._lock:  # of two that are set at once, the later reading has both
            self._settings = Settings.of({name: self._node.get_parameter(name).value for name in SPECS})


def _declare(node: Node) -> None:
    """Declare all parameters on an rclpy node, checked from the first value on.

    Raises:
        rclpy.exceptions.InvalidParameterValueException: A value from the command line or a file is refused.
    """

    def check(parameters: Iterable[Parameter]) -> SetParametersResult:
        cameras = node.get_parameter("cameras").value if node.has_parameter("cameras") else ()
        reason = first_error(((parameter.name, parameter.value) for parameter in parameters), cameras)
        return SetParametersResult(successful=not reason, reason=reason)

    node.add_on_set_parameters_callback(check)
    overrides = getattr(node, "_parameter_overrides", {})
    for spec in PARAMETERS:
        # The range goes in as text and the typing is dynamic because rclpy's own checks, which would come
        # first, do not say what is allowed, and refuse `rate: 2` for a double.
        descriptor = ParameterDescriptor(
            description=spec.description,
            additional_constraints=spec.allowed,
            read_only=spec.read_only,
            dynamic_typing=True,
        )
        default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
        node.declare_parameter(spec.name, default, descriptor, ignore_override=_is_empty(spec, overrides))
    # ROS ignores a misspelt name in a parameter file; say so instead.
    for name in overrides:
        if not node.has_parameter(name) and not name.startswith("qos_overrides"):
            node.get_logger().warning(f"unknown parameter {name}; known: {', '.join(SPECS)}")


def _is_empty(spec: ParameterSpec, overrides: Mapping[str, Parameter]) -> bool:
    """Whether a file or the command line gives an empty list, which comes without a type, and empty is allowed."""
    given = overrides.get(spec.name)
    return given is not None and given.value is None and spec.error(()) == ""
