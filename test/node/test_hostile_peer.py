# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Nobody outside ends the node: what a peer may send that no one should, and that the node answers afterwards."""

import pytest
from action_msgs.srv import CancelGoal
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from molmo_msgs.action import Query
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rosgraph_msgs.msg import Clock

from benchmarks.hostile_peer import MOST_PENDING, HostilePeer
from benchmarks.process_use import ProcessUse

STEPS = 400
KINDS = 23
MOST_GROWTH = 300.0
"""Resident memory that all of the attacks together may take [MB]."""


@pytest.fixture
def alive(running, make):
    """After the test the node still answers."""
    yield running
    running.send_frame()
    assert running.ask("at 0.5,0.5")["status"] == "FOUND"


@pytest.fixture
def errors(running):
    """How many callbacks have raised, as diagnostics say."""
    heard = []
    subscription = running.node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)

    def count():
        heard.clear()
        running.spin_until(lambda: heard)
        values = {one.key: one.value for status in heard[-1].status for one in status.values}
        return int(values["callback_errors"])

    yield count
    running.node.destroy_subscription(subscription)


def of_type(number, name="rate"):
    return Parameter(name=name, value=ParameterValue(type=number, double_value=2.0))


def test_a_parameter_of_an_unknown_type_is_refused_and_counted_and_the_others_are_set(alive, errors):
    before = errors()
    wanted = [of_type(3, "max_points"), of_type(200), of_type(3), of_type(255, "typo")]
    results = alive.call(SetParameters, "set_parameters", parameters=wanted).results
    assert [one.successful for one in results] == [False, False, True, False]
    assert "200 is not a valid" in results[1].reason and "255" in results[3].reason
    assert errors() == before + 2


def test_of_parameters_that_are_set_together_none_is_set(alive, errors):
    before = errors()
    result = alive.call(
        SetParametersAtomically, "set_parameters_atomically", parameters=[of_type(200)]
    ).result
    assert not result.successful and "200 is not a valid" in result.reason
    assert errors() == before + 1


@pytest.mark.parametrize("kind", [DescribeParameters, GetParameters, ListParameters, SetParameters])
def test_a_request_with_too_many_names_is_refused(alive, kind):
    field = {ListParameters: "prefixes", SetParameters: "parameters"}.get(kind, "names")
    names = [of_type(3)] * 20_000 if kind is SetParameters else ["rate"] * 20_000
    name = "".join(f"_{one.lower()}" if one.isupper() else one for one in kind.__name__).strip("_")
    response = alive.call(kind, name, **{field: names})
    if kind is SetParameters:
        assert not any(one.successful for one in response.results)
        assert "20000 parameters in one request, at most 1000" in response.results[0].reason
    elif kind is not ListParameters:
        assert not (response.values if kind is GetParameters else response.descriptors)


def test_a_long_name_is_not_sent_back_whole(alive):
    (result,) = alive.call(SetParameters, "set_parameters", parameters=[of_type(3, "x" * 10**6)]).results
    assert not result.successful and 0 < len(result.reason) <= 500


@pytest.mark.parametrize("stamp", [Time(sec=-1), Time(sec=-(2**31)), Time(sec=2**31 - 1, nanosec=2**32 - 1)])
def test_a_time_outside_of_time_on_the_clock(alive, errors, stamp):
    before = errors()
    clock = alive.node.create_publisher(Clock, "/clock", 1)
    assert alive.set(use_sim_time=True) == ""
    alive.spin_until(clock.get_subscription_count)
    clock.publish(Clock(clock=stamp))
    alive.spin(0.3)
    assert alive.set(use_sim_time=False) == ""
    alive.node.destroy_publisher(clock)
    if stamp.sec < 0:
        assert errors() > before


def test_goals_that_there_are_not(alive):
    def call(kind, name, request):
        client = alive.node.create_client(kind, f"molmo_node/query/_action/{name}")
        alive.spin_until(client.service_is_ready)
        alive.spin(0.2)
        future = client.call_async(request)
        alive.spin_until(future.done)
        alive.node.destroy_client(client)
        return future.result()

    wanted = Query.Impl.GetResultService.Request()
    wanted.goal_id.uuid = [7] * 16
    assert call(Query.Impl.GetResultService, "get_result", wanted).status == 0
    for stamp in (Time(), Time(sec=-5, nanosec=2**32 - 1), Time(sec=2**31 - 1)):
        request = CancelGoal.Request()
        request.goal_info.goal_id.uuid, request.goal_info.stamp = [9] * 16, stamp
        assert call(CancelGoal, "cancel_goal", request).goals_canceling == []


def test_a_seeded_peer_sends_everything_to_everything(running, make):
    """Of each kind some 15; `python -m benchmarks.node_fuzz` sends as many as one likes."""
    running.send_frame()
    assert running.ask("at 0.5,0.5")["status"] == "FOUND"
    listed = running.call(ListParameters, "list_parameters").result.names
    values = running.call(GetParameters, "get_parameters", names=listed).values
    before = ProcessUse.of(running.process.pid).rss
    peer = HostilePeer(running.node, "/molmo_node", seed=1, parameters=listed)
    running.spin(0.5)
    while sum(peer.sent.values()) < STEPS:
        peer.step()
        running.spin_until(lambda: peer.pending < MOST_PENDING)
        running.executor.spin_once(timeout_sec=0.0)
    running.spin_until(lambda: peer.pending == 0)
    assert len(peer.sent) == KINDS
    assert ProcessUse.of(running.process.pid).rss < before + MOST_GROWTH
    kept = [Parameter(name=name, value=value) for name, value in zip(listed, values, strict=True)]
    running.call(SetParameters, "set_parameters", parameters=kept)
    running.spin(0.3)
    running.clear()
    running.send_frame()
    assert running.ask("at 0.5,0.5")["status"] == "FOUND"
