# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The JSON that a benchmark's questions are in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from molmo_ros.evaluation.evaluation_error import EvaluationError, UnusableError


def read_json_list(path: Path) -> list[Any]:
    """The list in a file.

    Raises:
        EvaluationError: It cannot be read, or holds something else.
    """
    found = _parsed(_content(path), str(path))
    if not isinstance(found, list):
        raise EvaluationError(f"{path} holds {_kind(found)}; the benchmark's has a list of questions")
    return found


def read_json_lines(path: Path) -> list[Any]:
    """The value of each line that is not blank.

    Raises:
        EvaluationError: The file cannot be read, or a line of it is no JSON.
    """
    lines = enumerate(_content(path).splitlines(), 1)
    return [_parsed(line, f"line {number} of {path}") for number, line in lines if line.strip()]


def as_entry(value: Any) -> dict[str, Any]:
    """What is known of one question.

    Raises:
        UnusableError: It is something else.
    """
    if not isinstance(value, dict):
        raise UnusableError(f"its entry is {_kind(value)}, not an object with the question's fields")
    return value


def words_of(entry: dict[str, Any], key: str) -> str:
    """A text of an entry, to the letter.

    Raises:
        UnusableError: There is none, or it says nothing.
    """
    words = entry.get(key)
    if not isinstance(words, str) or not words.strip():
        raise UnusableError(f"its {key} is {words!r:.80}; a text is needed")
    return words


def category_of(entry: Any, key: str = "category", other: str = "unknown") -> str:
    """The category of an entry, whatever that is; `other` where it has none."""
    category = entry.get(key) if isinstance(entry, dict) else None
    return category if isinstance(category, str) and category.strip() else other


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error.strerror or error}") from error


def _parsed(content: bytes, where: str) -> Any:
    try:
        return json.loads(content.removeprefix(b"\xef\xbb\xbf"))  # UTF-8, UTF-16 or UTF-32
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{where} is in no encoding of Unicode: save it as UTF-8 ({error})") from error
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{where} is not JSON: {str(error):.300}") from error


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text", type(None): "null"}.get(
        type(value), f"{value!r:.40}"
    )
