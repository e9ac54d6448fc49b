# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads the JSON files of a checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from molmo_ros.molmo.errors import CheckpointError

LARGEST = 16_000_000
"""Bytes of a file of settings; those of released models have some kilobytes."""


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file, or an empty one where there is no such file.

    Raises:
        CheckpointError: It is not JSON, or no object.
    """
    if not path.is_file():
        return {}
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise CheckpointError(f"{path} has {size} bytes; settings have {LARGEST} at most")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is not valid JSON: {error!s:.200}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not an object")
    return content
