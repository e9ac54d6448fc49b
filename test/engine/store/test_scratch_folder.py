"""Folders that do not outlive their process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from molmo_ros.engine.store.scratch_folder import ScratchFolder

ROOT = Path(__file__).parents[3]
# A thread that fills its folder as fast as it can, and a process that ends meanwhile as the node does.
ENDING = """
import os, threading
from molmo_ros.engine.store.scratch_folder import ScratchFolder, remove_all

many = threading.Event()

def fill():
    with ScratchFolder() as folder:
        for number in range(10**9):
            (folder / str(number)).write_bytes(bytes(1000))
            if number == 100:
                many.set()

threading.Thread(target=fill, daemon=True).start()
many.wait()
remove_all()
os._exit(0)
"""


def test_it_is_removed_at_the_end_also_where_that_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ValueError), ScratchFolder() as folder:
        assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("x")
        raise ValueError
    assert os.listdir(tmp_path) == []


def test_it_does_not_outlive_a_process_that_ends_at_once(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for _ in range(3):
        subprocess.run([sys.executable, "-c", ENDING], env=environment, check=True, timeout=60)
    assert os.listdir(tmp_path) == []
