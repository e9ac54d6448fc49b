"""Reads the JSON files of a checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from molmo_ros.molmo.errors import CheckpointError


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file, or an empty one where there is no such file.

    Raises:
        CheckpointError: It is not JSON, or no object.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not an object")
    return content
