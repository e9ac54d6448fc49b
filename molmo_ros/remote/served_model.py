# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which model a server runs, and of which family it is: that decides the words it is asked in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from molmo_ros.molmo.families import molmo2, molmo_point
from molmo_ros.molmo.families.family import Family
from molmo_ros.molmo.families.table import FAMILIES
from molmo_ros.remote.answer_chunk import OWN_FIELD
from molmo_ros.remote.server_error import ServerError, Trouble

_FAMILY_OF = {
    # In this order: the later ones are in the earlier ones' names.
    r"molmo[-_ ]?point": "molmo_point",
    r"molmo[-_ ]?e\b|molmoe": "molmoe",
    r"molmo[-_ ]?2|molmo[-_ ]?act[-_ ]?2|molmo[-_ ]?motion": "molmo2",
    r"molmo(?![-_ ]?[a-z0-9]*act)": "molmo",
    r"^tiny$": "molmo2",
}
_MOST_SHOWN = 8
OWNER = "molmo_ros"
"""Who owns the models of `molmo-ros serve`, in its list of them."""


@dataclass(frozen=True)
class ServedModel:
    """A model of a server.

    Attributes:
        name: What the server calls it.
        family: Whose words it is asked in.
        is_own: Whether `molmo-ros serve` runs it, which tells points and scores beside the text.
    """

    name: str
    family: Family
    is_own: bool = False

    def answers_as(self, name: str) -> bool:
        """Whether an answer that is signed with this name is of this model; no signature says nothing."""
        return not name or name == self.name or name.rpartition("@")[0] == self.name


def served_model(listing: Any, address: str, name: str = "", family: str = "") -> ServedModel:
    """The model to ask.

    Args:
        listing: What the server says at `models`.
        address: The server's, for messages.
        name: What the server calls it; "" for the only one that it has. A server may know more names than it lists.
        family: One of `FAMILIES`; "" to go by what the server or the name says.

    Raises:
        ServerError: None was named and the server has none, or several; it is not known which family it is of; or its
            points cannot be read from its words.
    """
    entries = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(entries, list):
        raise ServerError(
            Trouble.NONSENSE, f"{address} lists no models; is it the address of an OpenAI-compatible server?"
        )
    listed = {
        one["id"]: one
        for one in entries
        if isinstance(one, dict) and isinstance(one.get("id"), str) and one["id"]
    }
    if not name:
        if len(listed) != 1:
            has = f"has {len(listed)} models: {_listed(listed)}" if listed else "lists no model"
            raise ServerError(Trouble.REFUSED, f"{address} {has}; name one with server_model")
        name = next(iter(listed))
    entry = listed.get(name, {})
    is_own = entry.get("owned_by") == OWNER
    told = entry.get(OWN_FIELD)
    told = told.get("family") if isinstance(told, dict) else None
    family = family or (told if isinstance(told, str) else "")
    if is_own and not family and not _told_by(name):
        family = molmo2.FAMILY.name  # it finds the words itself
    found = _family(name, address, family)
    if found is molmo_point.FAMILY and not is_own:
        raise ServerError(
            Trouble.REFUSED,
            f"{address} runs {name!r:.200}, a MolmoPoint, whose points are tokens that only `molmo-ros serve` makes "
            "points of; serve it with that, or ask a model that writes points as text",
        )
    return ServedModel(name, found, is_own)


def _family(name: str, address: str, told: str) -> Family:
    found = told or _told_by(name)
    if found not in FAMILIES:
        why = (
            f"family {found!r:.80} is not known"
            if found
            else f"{address} runs {name!r:.200}, whose name tells no family"
        )
        raise ServerError(
            Trouble.REFUSED,
            f"{why}; say with server_family in which words it was trained: {', '.join(FAMILIES)}",
        )
    return FAMILIES[found]


def _told_by(name: str) -> str:
    """The family that a name tells, of a folder its last part; "" where it tells none."""
    parts = re.split(r"[/\\]", name.rstrip("/\\").lower())
    cached = [part for part in parts if part.startswith("models--")]  # the folder of the hub's own cache
    own = (cached or parts)[-1]
    return next((one for words, one in _FAMILY_OF.items() if re.search(words, own)), "")


def _listed(names: Any) -> str:
    shown = [repr(one)[:80] for one in names]
    return ", ".join(shown[:_MOST_SHOWN]) + (" and more" if len(shown) > _MOST_SHOWN else "")
