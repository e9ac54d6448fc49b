# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Answers are kept as they come: whole lines, of one evaluation at a time, and of one question of one model."""

import errno
import json
import os
import resource
import subprocess
import sys

import pytest

from molmo_ros.evaluation.answer_record import AnswerRecord
from molmo_ros.evaluation.answers_file import AnswersFile, answers_path, check_out, write_report
from molmo_ros.evaluation.evaluation_error import EvaluationError
from molmo_ros.molmo.status import Status

ASKED = {"model": {"name": "tiny"}, "limits": {"max_crops": None}}


def record(number, text="here"):
    return AnswerRecord(str(number), Status.FOUND, text, ((1.5, 2.5),), (40, 60), tokens=3)


@pytest.fixture
def path(tmp_path):
    return answers_path(tmp_path / "out.json")


def test_what_was_added_is_there_when_it_goes_on(path):
    with AnswersFile(path, ASKED, resume=False) as file:
        file.add([record(0), record(1)])
    with AnswersFile(path, ASKED, resume=True) as file:
        assert file.answers == {"0": record(0), "1": record(1)}
        file.add([record(2)])
    with AnswersFile(path, ASKED, resume=True) as file:
        assert list(file.answers) == ["0", "1", "2"]


def test_going_on_with_nothing_begins(path):
    with AnswersFile(path, ASKED, resume=True) as file:
        file.add([record(0)])
    with AnswersFile(path, ASKED, resume=True) as file:
        assert list(file.answers) == ["0"]


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_line_that_was_cut_off_is_dropped(path, cut):
    with AnswersFile(path, ASKED, resume=False) as file:
        file.add([record(0)])
        file.add([record(1)])
    path.write_bytes(path.read_bytes()[:-cut])
    with AnswersFile(path, ASKED, resume=True) as file:
        assert list(file.answers) == ["0"]
        file.add([record(1)])
    with AnswersFile(path, ASKED, resume=True) as file:
        assert list(file.answers) == ["0", "1"]


def test_a_first_line_that_was_cut_off_begins_anew(path):
    path.write_bytes(b'{"version": 1, "ask')
    with AnswersFile(path, ASKED, resume=True) as file:
        file.add([record(0)])
    assert json.loads(path.read_text().splitlines()[0])["asked"] == ASKED


def test_answers_to_something_else_are_refused(path):
    with AnswersFile(path, ASKED, resume=False):
        pass
    other = {"model": {"name": "molmo2-4b"}, "limits": {"max_crops": None}, "words": "object"}
    with pytest.raises(EvaluationError) as refused:
        AnswersFile(path, other, resume=True)
    assert 'model was {"name": "tiny"} and is {"name": "molmo2-4b"}; words was null and is "object"' in str(
        refused.value
    )
    assert "limits" not in str(refused.value)


def test_answers_that_are_there_are_not_overwritten(path):
    with AnswersFile(path, ASKED, resume=False) as file:
        file.add([record(0)])
    with pytest.raises(EvaluationError, match="holds answers already: --resume goes on with them"):
        AnswersFile(path, ASKED, resume=False)
    with AnswersFile(path, ASKED, resume=True) as file:
        assert list(file.answers) == ["0"]


def test_another_process_is_refused_while_one_is_at_work(path):
    code = (
        "import sys; from pathlib import Path\n"
        "from molmo_ros.evaluation.answers_file import AnswersFile\n"
        f"AnswersFile(Path(sys.argv[1]), {ASKED!r}, resume=True)"
    )
    with AnswersFile(path, ASKED, resume=False) as file:
        file.add([record(0)])
        found = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
        assert found.returncode != 0
        assert "another evaluation is writing" in found.stderr
        file.add([record(1)])
    assert subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    "line, said",
    [
        (b"\xff\n", "line 2 of .* is damaged"),
        (b"{}\n", "line 2 of .* is no answer"),
        (b'{"id": 3}\n', "line 2 of .* is no answer"),
        (b"[" * 100_000 + b"\n", "line 2 of .* is damaged"),
    ],
)
def test_a_damaged_line_is_named(path, line, said):
    with AnswersFile(path, ASKED, resume=False):
        pass
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(EvaluationError, match=said):
        AnswersFile(path, ASKED, resume=True)


@pytest.mark.parametrize("content", [b"{}\n", b"[]\n", b'{"version": 99, "asked": {}}\n'])
def test_another_file_is_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match="does not begin as answers of"):
        AnswersFile(path, ASKED, resume=True)
    assert path.read_bytes() == content


def test_a_full_disk_leaves_whole_lines(path):
    """A limit of the file's size stands for the disk: the system refuses the same call, in the middle of a line."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with AnswersFile(path, ASKED, resume=False) as file:
        file.add([record(0)])
        limit = path.stat().st_size + 50
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(EvaluationError) as refused:
                file.add([record(1)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.strerror(errno.EFBIG) in str(refused.value)
    assert path.read_bytes().endswith(b"}\n")
    assert "1 answers are kept. Make room and go on with --resume" in str(refused.value)
    with AnswersFile(path, ASKED, resume=True) as file:
        assert list(file.answers) == ["0"]


def test_a_report_is_whole_or_the_old_one(tmp_path):
    out = tmp_path / "out.json"
    write_report(out, {"score": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(EvaluationError, match="out.json cannot be written: .*the answers are kept"):
            write_report(out, {"score": [2] * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert json.loads(out.read_text()) == {"score": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_where_no_report_can_be_written(tmp_path):
    with pytest.raises(EvaluationError, match=r"there is no folder .*nowhere to write out.json to"):
        check_out(tmp_path / "nowhere" / "out.json", resume=False)
    with pytest.raises(EvaluationError, match="is no file of a disk"):
        check_out(tmp_path, resume=False)
    out = tmp_path / "out.json"
    out.write_text("{}")
    with pytest.raises(EvaluationError, match="is there already: --resume goes on with it"):
        check_out(out, resume=False)
    with pytest.raises(EvaluationError, match=r"its answers out.json.answers.jsonl are not"):
        check_out(out, resume=True)
    answers_path(out).write_text("")
    check_out(out, resume=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(EvaluationError, match="is no file of a disk; answers are kept in one"):
        AnswersFile(tmp_path / "pipe", ASKED, resume=True)
