# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a continuous query is called in topic names: `red cube` has its points on `~/red_cube/point`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from molmo_ros.node.records.query import Query

LONGEST_NAME = 40
"""Words beyond it are left out [characters]."""


@lru_cache(maxsize=8)
def query_names(queries: Sequence[Query]) -> dict[str, str]:
    """The names of queries that ask for points, by what was written; a question has none.

    Letters without accents, digits and underscores, as names of topics take them; `query_3` where a query has no
    such letter, after its place. Where two would be called the same, the later one has a number: `mug`, `mug_2`.
    """
    names: dict[str, str] = {}
    for place, query in enumerate(queries, start=1):
        if not query.points:
            continue
        plain = plain_name(" ".join(query.texts)) or f"query_{place}"
        name, number = plain, 1
        while name in names.values():
            number += 1
            name = f"{plain}_{number}"
        names[query.written] = name
    return names


def plain_name(text: str) -> str:
    """Words in lower case, joined by underscores; nothing where there is no Latin letter or digit."""
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", letters).strip("_")
    if words[:1].isdigit():  # a name of ROS does not begin with one
        words = f"query_{words}"
    return words[:LONGEST_NAME].rstrip("_")
