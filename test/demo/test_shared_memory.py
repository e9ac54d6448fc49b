import os

import pytest

from molmo_ros.demo.shared_memory import shortage


def test_room_is_no_reason_to_speak(tmp_path):
    assert shortage(tmp_path, needed=0) is None


def test_a_shortage_names_the_place_and_the_amount(tmp_path):
    message = shortage(tmp_path, needed=10**18)
    assert message and str(tmp_path) in message and "1000000000000 MB needed" in message


@pytest.mark.parametrize("missing", [True, False])
def test_a_place_that_cannot_be_written_is_named(tmp_path, missing):
    folder = tmp_path / "shm"
    if not missing:
        if os.geteuid() == 0:
            pytest.skip("root writes everywhere")
        folder.mkdir(mode=0o500)
    message = shortage(folder, needed=0)
    assert message and f"{folder} cannot be written" in message
