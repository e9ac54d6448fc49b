# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The typed snapshot of a real node's parameters: always what the node itself would say."""

from dataclasses import FrozenInstanceError

import pytest

rclpy = pytest.importorskip("rclpy")

from rclpy.exceptions import InvalidParameterValueException  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from molmo_ros.node.parameters.declaration import SPECS, Settings  # noqa: E402
from molmo_ros.node.parameters.limits import limits_in_force  # noqa: E402
from molmo_ros.node.parameters.node_parameters import NodeParameters  # noqa: E402
from molmo_ros.node.records.request import QueryLimits  # noqa: E402


@pytest.fixture
def make(domain):
    context, nodes = rclpy.Context(), []
    rclpy.init(context=context, domain_id=domain)

    def node(**values):
        given = [Parameter(name, value=value) for name, value in values.items()]
        nodes.append(rclpy.create_node("parameters", context=context, parameter_overrides=given))
        return nodes[-1]

    yield node
    for one in nodes:
        one.destroy_node()
    rclpy.shutdown(context=context)


def as_ros_says(node):
    """Every parameter, as rclpy has it."""
    values = {name: node.get_parameter(name).value for name in SPECS}
    return {name: tuple(v) if isinstance(SPECS[name].default, tuple) else v for name, v in values.items()}


def test_values_and_types(make):
    node = make(rate=2, cameras=["wrist", "head"], camera_matrix=[600.0, 600.0, 320.0, 240.0], max_points=3)
    settings = NodeParameters(node)()
    assert vars(settings) == as_ros_says(node)
    assert settings.cameras == ("wrist", "head") and settings.camera_matrix == (600.0, 600.0, 320.0, 240.0)
    assert {name: type(value) for name, value in vars(settings).items()} == {
        name: type(spec.default) for name, spec in SPECS.items()
    }
    with pytest.raises(FrozenInstanceError):
        settings.rate = 1.0


@pytest.mark.parametrize("told", [True, False], ids=["told", "Humble"])
def test_a_change_is_seen_at_once_and_a_refused_one_never(make, monkeypatch, told):
    node = make()
    if not told:
        monkeypatch.delattr(rclpy.node.Node, "add_post_set_parameters_callback")
    parameters = NodeParameters(node)
    before = parameters()
    wanted = [Parameter("rate", value=4.0), Parameter("queries", value=["red cube", "@camera mug", ""])]
    assert all(one.successful for one in node.set_parameters(wanted))
    assert parameters().rate == 4.0 and [one.texts[0] for one in parameters().continuous] == [
        "red cube",
        "mug",
    ]
    assert before.rate == 1.0  # what was taken stays what it was
    both = [Parameter("rate", value=5.0), Parameter("max_points", value=-1)]
    assert not node.set_parameters_atomically(both).successful
    assert vars(parameters()) == as_ros_says(node) and parameters().rate == 4.0
    # Another owner's callback refuses what the node itself would accept.
    node.add_on_set_parameters_callback(lambda _: rclpy.node.SetParametersResult(successful=False))
    assert not node.set_parameters([Parameter("rate", value=6.0)])[0].successful
    assert parameters().rate == 4.0


def test_a_refused_first_value_is_raised(make):
    with pytest.raises(InvalidParameterValueException, match="rate = 0.0 is refused"):
        NodeParameters(make(rate=0.0))


def test_defaults_are_what_the_declaration_says():
    assert vars(Settings()) == {name: spec.default for name, spec in SPECS.items()}
    assert Settings.of({"rate": 3}) == Settings(rate=3.0)


def test_a_request_s_own_limits_come_first():
    settings = Settings(max_points=5, time_limit=7.0, min_confidence=0.5, max_frame_age=2.0)
    assert limits_in_force(QueryLimits(), settings) == QueryLimits(5, 0, 0.5, 7.0, 2.0)
    own = QueryLimits(max_points=1, max_new_tokens=9, time_limit=1.0, max_frame_age=3.0)
    assert limits_in_force(own, settings) == QueryLimits(1, 9, 0.5, 1.0, 3.0)
