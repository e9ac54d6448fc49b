# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Options of the node's parameters, held against their declaration."""

import argparse

import pytest

from molmo_ros.cli.bag import WITHOUT
from molmo_ros.cli.main import build_parser
from molmo_ros.cli.parameters import add_parameter_options, given_parameters
from molmo_ros.node.parameters.declaration import PARAMETERS


def parsed(*options):
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate")
    add_parameter_options(parser, {"cameras": "there is one"})
    return given_parameters(parser.parse_args(options))


def test_every_parameter_is_an_option_or_said_not_to_be():
    commands = next(one for one in build_parser()._actions if isinstance(one, argparse._SubParsersAction))
    options = commands.choices["bag"]._option_string_actions
    missing = {spec.name for spec in PARAMETERS if f"--{spec.name.replace('_', '-')}" not in options}
    assert missing == set(WITHOUT)


def test_values_have_the_type_of_the_declaration():
    assert parsed() == {}
    assert parsed("--depth-window", "9", "--max-depth", "3", "--image-is-rectified") == {
        "depth_window": 9,
        "max_depth": 3.0,
        "image_is_rectified": True,
    }
    assert parsed("--camera-matrix", "600", "601.5", "-320", "2e2") == {
        "camera_matrix": [600, 601.5, -320, 200]
    }
    assert parsed("--set", "camera_matrix=[600, 601.5, -320, 2e2]") == {
        "camera_matrix": [600, 601.5, -320, 200]
    }
    assert parsed("--set", "use_depth=off", "--set", "optical_frame=cam=optical") == {
        "use_depth": False,
        "optical_frame": "cam=optical",
    }
    assert parsed("--max-depth", "3", "--set", "max_depth=4")["max_depth"] == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--depth-window", "0"], "1 to 101"),
        (["--depth-window", "7.5"], "integer"),
        (["--max-depth", "nan"], "0 to 1000"),
        (["--set", "max_depth=far"], "0 to 1000"),
        (["--set", "camera_matrix=[600, 600]"], "4 numbers"),
        (["--set", "use_depth=maybe"], "true or false"),
        (["--set", "max_dept=3"], "parameters: model"),
        (["--set", "max_depth"], "NAME=VALUE"),
        (["--set", "cameras=left"], "there is one"),
        (["--set", "rate=3"], "--rate is the command's own"),
    ],
)
def test_what_the_declaration_refuses_is_refused_in_its_words(options, said, capsys):
    with pytest.raises(SystemExit) as caught:
        parsed(*options)
    assert caught.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
