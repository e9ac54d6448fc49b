# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The ROS domains of the tests: no other run, worker or program on this machine is in one."""

import os
import random

import pytest


@pytest.fixture
def only(monkeypatch):
    """Leaves no domain to choose but one."""

    def choose(number):
        monkeypatch.setattr(random, "sample", lambda *_: [number])

    return choose


def test_a_module_is_in_another_domain_than_the_run(domain):
    run = int(os.environ["ROS_DOMAIN_ID"])
    assert domain != run and {domain, run} <= set(range(1, 102))


def test_a_domain_is_claimed_once_until_it_is_given_back(claim, only):
    with claim() as number:
        only(number)
        with pytest.raises(pytest.exit.Exception, match="all ROS domains"), claim():
            pass
    with claim() as again:
        assert again == number


def test_a_domain_where_somebody_is_is_left_alone(claim, only):
    """A participant that claimed nothing, as any robot's."""
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2")
    with claim() as number:
        only(number)
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=number)
    try:
        node = rclpy.create_node("somebody", context=context)
        with pytest.raises(pytest.exit.Exception, match="all ROS domains"), claim():
            pass
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
