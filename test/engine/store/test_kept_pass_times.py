# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Times of passes beside an engine: read back, or measured again."""

import os

import pytest

from molmo_ros.engine.store.build_folder import is_engine
from molmo_ros.engine.store.kept_pass_times import PASS_TIMES, KeptPassTimes

TIMES = {1: 0.25, 8: 0.3125}


@pytest.fixture
def folder(tmp_path):
    engine = tmp_path / "engine"
    engine.mkdir(mode=0o700)
    return engine


def test_each_number_of_threads_has_its_own(folder):
    for threads in (0, 2):
        assert KeptPassTimes(folder, threads).read() == {}
        KeptPassTimes(folder, threads).write({size: seconds + threads for size, seconds in TIMES.items()})
    assert KeptPassTimes(folder, 0).read() == TIMES
    assert KeptPassTimes(folder, 2).read() == {1: 2.25, 8: 2.3125}
    assert os.listdir(folder) == [PASS_TIMES] and is_engine(folder)
    assert os.stat(folder / PASS_TIMES).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "7", '{"0 threads, %d cores": 3}', '{"0 threads, %d cores": {"1": "x"}}', "[" * 70000]
    + [
        '{"0 threads, %d cores": {"1": -1}}',
        '{"0 threads, %d cores": {"1": NaN, "2": 1}}',
        b"\xff\xfe".decode("latin1"),
    ],
)
def test_what_cannot_be_believed_is_measured_again(folder, content):
    path = folder / PASS_TIMES
    path.write_text(content.replace("%d", str(os.cpu_count())))
    path.chmod(0o600)
    assert KeptPassTimes(folder, 0).read() == {}
    KeptPassTimes(folder, 0).write(TIMES)
    assert KeptPassTimes(folder, 0).read() == TIMES


def test_what_others_may_have_written_is_not_read(folder):
    KeptPassTimes(folder, 0).write(TIMES)
    (folder / PASS_TIMES).chmod(0o666)
    assert KeptPassTimes(folder, 0).read() == {}
    (folder / PASS_TIMES).unlink()
    (folder / PASS_TIMES).symlink_to("/etc/passwd")
    assert KeptPassTimes(folder, 0).read() == {}


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path):
    KeptPassTimes(tmp_path / "none", 0).write(TIMES)
    (tmp_path / "file").touch()
    KeptPassTimes(tmp_path / "file", 0).write(TIMES)
