# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the models are asked, in the words they were trained on, and whether an answer says that nothing is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.families.table import FAMILIES
from molmo_ros.molmo.families.wording import WORDING_MOLMO2, About, Wording
from molmo_ros.molmo.prompts.clean_text import clean_text


def point_prompt(
    label: str | Sequence[str], wording: Wording = WORDING_MOLMO2, about: About = "image"
) -> str:
    """The request to point at something, with a way out if it is absent.

    Args:
        label: What to point to; lower-cased, as in training. Several are joined by "and"; one query for each
            is nearer to the training data.
        wording: The model's, see `PromptStyle.wording`.
        about: What the prompt holds.

    Raises:
        PromptError: No label, an empty one, or one that is not text.
    """
    return _fill(wording.point[about], label)


_RELATIONS = (
    "above across against along among around at atop behind below beneath beside besides between beyond by close down "
    "from in inside into left near nearest next off on onto opposite outside over right to toward towards under "
    "underneath upon within"
)
"""Words that say where something is, and not what it is."""
_RELATED = re.compile(rf"(?:the )?(?:{'|'.join(_RELATIONS.split())})\b", re.IGNORECASE)


def place_label(where: str) -> str:
    """What to point to where a place is wanted, not a thing: "the vacant space left of the mug".

    "Vacant space" is what RoboPoint's questions about placing ask for (Yuan et al. 2024); Molmo2-ER has learnt from
    them. What names a place by itself ("the empty corner of the shelf", "the tray") is left as it is.

    Args:
        where: "left of the mug", "between the two plates", "on the tray".
    """
    return f"the vacant space {where.strip()}" if _RELATED.match(where.strip()) else where


def count_prompt(
    label: str | Sequence[str], wording: Wording = WORDING_MOLMO2, about: About = "image"
) -> str:
    """The question how many there are, which the models answer with points and a total. As `point_prompt`."""
    return _fill(wording.count[about], label)


def describe_prompt(wording: Wording = WORDING_MOLMO2, about: About = "image") -> str:
    """The request for a description, which the models answer at length. As `point_prompt`."""
    return wording.describe[about]


def track_prompt(label: str | Sequence[str], wording: Wording = WORDING_MOLMO2) -> str:
    """The request to follow things through a video: a point for each of them in each frame.

    Raises:
        PromptError: No label, an empty one, or models that take no video.
    """
    if not wording.track:
        raise PromptError(f"models with the wording {wording.name!r} take no video; Molmo2 and MolmoPoint do")
    return _fill(wording.track, label)


def not_found_answers(wording: Wording) -> tuple[str, ...]:
    """The whole answers by which a model says that there is nothing to point at, as it begins them."""
    return tuple(wording.answer_start + sentence for sentence in wording.not_found)


def _pattern(sentences: Iterable[str]) -> re.Pattern[str]:
    """Any of the sentences at its end, with any apostrophe or none of the contraction."""
    parts = [re.escape(one.rstrip(".")).replace("n't", r"(?:n['\u2019]t|\ not)") for one in sentences]
    return re.compile(rf"(?:{'|'.join(parts)}) ?(?:[.!\n]|$)", re.IGNORECASE)


_NOTHING = _pattern(
    dict.fromkeys(
        sentence
        for wording in (one.prompt.wording for one in FAMILIES.values())
        for sentence in (*wording.not_found, *wording.no_tracks)
    )
)


def says_nothing_there(text: str) -> bool:
    """Whether an answer says that nothing is there, in the words of any of the models."""
    return _NOTHING.search(text) is not None


def _fill(template: str, label: str | Sequence[str]) -> str:
    several = isinstance(label, Iterable) and not isinstance(label, str)
    labels: list[Any] = list(label) if several else [label]
    if not all(isinstance(one, str) for one in labels):
        raise PromptError(f"the label is {label!r:.80}; it must be text, or several texts")
    cleaned = [" ".join(clean_text(one).split()).lower() for one in labels]
    if not cleaned or "" in cleaned:
        raise PromptError(f"the label is empty: {label!r:.80}")
    joined = " and ".join([", ".join(cleaned[:-1]), cleaned[-1]] if len(cleaned) > 1 else cleaned)
    return template.replace("{label}", joined)
