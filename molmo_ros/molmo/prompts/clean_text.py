# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Text that may come from anyone, without characters that nobody sees."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = "\u200c\u200d"
_SELECTORS = re.compile("(?<![^ -~\n])[\ufe00-\ufe0f\u034f]+")
"""Variation selectors and the grapheme joiner, which change nothing that is seen after a character of ASCII."""


def clean_text(text: str) -> str:
    """Text without characters that nobody sees.

    Line ends become "\\n", tabs become blanks; other control characters (Unicode category Cc), lone surrogates (Cs),
    formats such as zero-width blanks and marks of direction (Cf), and variation selectors of ASCII are dropped, and
    blanks at both ends are stripped. Joiners stay between characters beyond ASCII, where words and emoji are written
    with them. Everything else stays as it is.
    """
    text = _SELECTORS.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
    kept = (c for at, c in enumerate(text) if c == "\n" or _is_seen(text, at, c))
    return "".join(kept).strip()


def _is_seen(text: str, at: int, character: str) -> bool:
    if character in _JOINERS:
        return not (text[at - 1 : at] or "a").isascii() and not (text[at + 1 : at + 2] or "a").isascii()
    return unicodedata.category(character) not in ("Cc", "Cs", "Cf")
