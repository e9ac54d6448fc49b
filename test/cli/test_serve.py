# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros serve`'s arguments: what is refused before anything is loaded, and what a token is."""

import argparse

import pytest

from molmo_ros.cli.main import build_parser, main
from molmo_ros.cli.serve import TOKEN_VARIABLE, read_token, served_name
from molmo_ros.molmo.errors import MolmoError


@pytest.mark.parametrize(
    "model, name",
    [("tiny", "tiny"), ("molmo2-4b", "molmo2-4b"), ("/data/lab/my-molmo", "my-molmo"), ("./tiny/", "tiny")],
)
def test_clients_see_a_name_and_no_path(model, name):
    assert served_name(model) == name


def test_a_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert read_token(None) is None
    monkeypatch.setenv(TOKEN_VARIABLE, " from-the-environment ")
    assert read_token(None) == "from-the-environment"
    (tmp_path / "token").write_text("from-the-file\n")
    assert read_token(tmp_path / "token") == "from-the-file"


@pytest.mark.parametrize(
    "token", ["", " ", "short", "with blanks inside", "umlaut-\u00e4-umlaut", "control-\x07-bell"]
)
def test_what_is_no_token_is_refused_and_not_shown(tmp_path, token):
    (tmp_path / "token").write_text(token)
    with pytest.raises(MolmoError, match="holds no token") as caught:
        read_token(tmp_path / "token")
    assert not token.strip() or token not in str(caught.value)


def test_there_is_no_option_for_the_token_itself():
    """Everybody on the machine could read it in the list of processes."""
    (serve,) = [
        action.choices["serve"]
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    assert not [one for one in serve._option_string_actions if one in ("--token", "--api-key", "--key")]


def test_a_model_that_is_not_there_is_said_at_once(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MOLMO_ROS_HOME", str(tmp_path))
    assert main(["serve", "--model", "molmo2-4b"]) == 2
    assert "molmo-ros fetch molmo2-4b" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--port", "-1"], ["--port", "x"], ["--time-limit", "0"], ["--max-body", "0"], ["--max-waiting", "1.5"]],
)
def test_numbers_are_checked(arguments):
    with pytest.raises(SystemExit) as caught:
        main(["serve", *arguments])
    assert caught.value.code == 2
