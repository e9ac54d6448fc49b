# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The command line as a process: interrupts, also where they were ignored at first, full disks and closed streams."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "import sys; from molmo_ros.cli.main import main; sys.exit(main())"]
SLOW_COMMAND = """
import sys, time
from molmo_ros.cli import main
def run(argv, own):
    own.started()
    print("running", flush=True)
    time.sleep(60)
main._run = run
sys.exit(main.main())
"""
IMPORTING_COMMAND = """
import sys
from molmo_ros.cli import main
real = main.build_parser
def build_parser():
    print("begun", flush=True)
    return real()
main.build_parser = build_parser
sys.exit(main.main())
"""


def ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize("before", [None, ignored], ids=["foreground", "background"])
def test_an_interrupt_ends_a_command(before):
    """`molmo-ros ... &` of a shell without job control, nohup, cron and CI runners begin with SIGINT ignored."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_COMMAND, "models"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and errors == "molmo-ros: interrupted\n"


def test_an_early_interrupt_is_no_traceback():
    """Sent while the subcommands are imported."""
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTING_COMMAND, "models"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and errors == "molmo-ros: interrupted\n"


@pytest.mark.parametrize("words", [["models"], ["models", "--json"], ["--help"], ["engines", "list"]])
def test_a_full_disk_is_told_in_a_sentence(words):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, *words], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    if words == ["engines", "list"] and not done.stderr:  # there are none, and nothing to be written
        return
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "cannot be written: No space left on device" in done.stderr


def test_a_reader_that_goes_away_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, "models"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(write)
    assert done.returncode == 0 and done.stderr == ""


def test_a_closed_stream_is_no_error():
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *COMMAND, "models"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["bag", "", "--query", "x"],
        ["point", "", "x"],
        ["point", str(ROOT / "docs" / "demo.png"), "x", "--model", ""],
        ["parity", ""],
    ],
)
def test_an_empty_argument_is_not_the_working_directory(words, tmp_path):
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and "empty" in done.stderr and "Traceback" not in done.stderr
