# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Text that a terminal may show: what comes from a model, a file, a bag or the hub never moves the cursor."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that are escaped: controls (C0, DEL and C1, so every terminal escape), formats that reorder or
hide what stands beside them (CVE-2021-42574), lone surrogates, which no encoding can write, and line separators."""
JOINERS = "\u200c\u200d"
"""Formats that words of some scripts, and emoji, are written with."""


def printable(text: object, *, lines: bool = False) -> str:
    """The text with everything that a terminal would obey, and not show, as a Python escape such as `\\x1b`.

    Args:
        text: A label, an answer, a file's name, an error.
        lines: Keep line feeds and tabs: for a text of several lines, such as an answer or a table. A name has none.
    """
    kept = JOINERS + ("\n\t" if lines else "")
    return "".join(_escaped(one) if _is_hidden(one) and one not in kept else one for one in str(text))


def say(text: object) -> None:
    """Print lines on stdout."""
    print(printable(text, lines=True))


def complain(text: object) -> None:
    """Print one line on stderr: a warning, or why the command has failed. If it cannot be written, that is all."""
    with suppress(OSError):
        print(f"molmo-ros: {printable(' '.join(str(text).split()))}", file=sys.stderr)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of equal columns; the first row is the heading, underlined."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return [line.rstrip() for line in lines]


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in HIDDEN


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
