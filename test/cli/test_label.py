# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros label` before it begins: what is missing, and what it is told wrongly. Runs are in test/labelling."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from molmo_ros.cli.main import main

if missing := [one for one in ("ray", "pyarrow", "av") if find_spec(one) is None]:
    pytest.skip(f"no {missing[0]}; `make test` installs the extra scale", allow_module_level=True)

BLOCKED = "import sys; sys.modules[{!r}] = None; from molmo_ros.cli.main import main; sys.exit(main({!r}))"


def said(capsys):
    return capsys.readouterr().err


@pytest.mark.parametrize("library", ["ray", "pyarrow", "av"])
def test_without_the_extra_it_says_how_to_get_it(library, tmp_path):
    command = ["label", str(tmp_path), "--query", "mug", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(library, command)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"labelling needs {library}, which is not installed. It is of the extra scale: " in done.stderr
    assert "pip install ray pyarrow av, or in a checkout pip install -e '.[scale]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_nothing_else_imports_what_the_extra_brings():
    code = (
        "import sys; from molmo_ros.cli.main import main; main(['models'])\n"
        "import molmo_ros.engine.load, molmo_ros.bag.query_run\n"
        "print(sorted({'ray', 'pyarrow', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "name at least one IN and one --query (or --resume, which takes them from OUT)"),
        (("IN",), "name at least one IN and one --query"),
        (("--query", "mug"), "name at least one IN and one --query"),
        (("IN/none", "--query", "mug"), "there is no "),
        (
            ("IN", "--query", "mug"),
            "holds nothing to label; valid: a bag, a folder of bags, a LeRobot data set",
        ),
        (("IN", "--query", "  "), "--query: the query is empty"),
        (("IN", "--query", "x" * 5000), "--query: the query has 5000 characters"),
        (("IN", "--queries-from", "IN/none.txt"), "cannot be read"),
        (("IN", "--query", "mug", "--model", "no-such"), "no-such"),
        (("--resume",), "holds no such set of labels; run without --resume to begin one"),
    ],
)
def test_what_it_is_told_wrongly(options, expected, tmp_path, capsys):
    options = [one.replace("IN", str(tmp_path / "in")) for one in options]
    (tmp_path / "in").mkdir()
    assert main(["label", *options, "--out", str(tmp_path / "out")]) == 2
    assert expected in said(capsys)


@pytest.mark.parametrize(
    "option", [("--rate", "-1"), ("--rate", "inf"), ("--gpus-per-model", "2"), ("--workers", "0")]
)
def test_numbers_out_of_range(option, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["label", str(tmp_path), "--query", "mug", "--out", str(tmp_path / "out"), *option])
    assert option[0] in said(capsys)


def test_out_is_a_file(tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert main(["label", str(tmp_path), "--query", "mug", "--out", str(tmp_path / "out")]) == 2
    assert "is a file; it has to be a folder" in said(capsys)
