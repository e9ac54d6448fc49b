"""Folders that are gone when the process ends, also where it ends without waiting for who fills them."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

PREFIX = "molmo_ros-"
ATTEMPTS = 100
"""Who still writes into a folder may make a file after its content was listed: it is then removed again."""

_open: set[Path] = set()
_lock = threading.Lock()


class ScratchFolder:
    """A new folder in the temporary one, removed at the end of `with`, or before that by `remove_all`."""

    def __enter__(self) -> Path:
        with _lock:
            self._path = Path(tempfile.mkdtemp(prefix=PREFIX))
            _open.add(self._path)
        return self._path

    def __exit__(self, *_: object) -> None:
        _remove(self._path)
        with _lock:
            _open.discard(self._path)


def remove_all() -> None:
    """Remove the scratch folders of all threads; those that write there fail. For `os._exit`, which calls nobody."""
    with _lock:
        for path in _open:
            _remove(path)


def _remove(path: Path) -> None:
    for _ in range(ATTEMPTS):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
