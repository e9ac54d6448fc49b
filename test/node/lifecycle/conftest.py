# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A node whose time is a simulation's."""

import pytest


@pytest.fixture
def node(domain):
    rclpy = pytest.importorskip("rclpy")
    from rclpy.parameter import Parameter

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node(
        "molmo_node", context=context, parameter_overrides=[Parameter("use_sim_time", value=True)]
    )
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)
