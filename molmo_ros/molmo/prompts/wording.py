"""What the models are asked in, and how they say that nothing is there, in the words they were trained on.

Sources: the prompt templates of allenai/molmo (September 2024) and of allenai/molmo2 (Molmo2; MolmoPoint was trained
with the same), data_formatter.py; one of each kind. Style prefixes such as "pointing: " are left out: they stood
before a tenth of the training prompts of 0924 and before none of Molmo2's of these kinds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from molmo_ros.molmo.errors import PromptError

About = Literal["image", "images", "video"]
"""What a prompt holds: one image, several, or frames of a video."""


@dataclass(frozen=True)
class Wording:
    """The words of one generation of models. "{label}" stands for what is asked about.

    Attributes:
        point: To point at every such thing, with what to say where there is none.
        count: To point at every one and count them.
        describe: To describe what is seen.
        track: To follow things through a video; "" where the models cannot.
        not_found: What is said where nothing is there to point at.
        no_tracks: The same where there is nothing to follow.
        answer_start: What every answer begins with.
    """

    point: Mapping[About, str]
    count: Mapping[About, str]
    describe: Mapping[About, str]
    track: str
    not_found: tuple[str, ...]
    no_tracks: tuple[str, ...]
    answer_start: str


def _of_each(image: str, images: str, video: str) -> Mapping[About, str]:
    return MappingProxyType({"image": image, "images": images, "video": video})


def _of_image(image: str) -> Mapping[About, str]:
    return _of_each(image, image, image)


WORDINGS = {
    "0924": Wording(
        point=_of_image("Point to {label}\nPlease say 'This isn't in the image.' if it is not in the image."),
        count=_of_image("How many {label} are there?"),
        describe=_of_image("Describe this image."),
        track="",
        # Asked for the first, and trained on the second as well.
        not_found=("This isn't in the image.", "There are none."),
        no_tracks=(),
        answer_start=" ",
    ),
    "molmo2": Wording(
        # Half of the training prompts about all of several images are those about one.
        point=_of_each(
            "Point to {label}\nPlease say 'There are none.' if it is not in the image.",
            "Point to {label}\nPlease say 'There are none.' if it is not in the image.",
            "Point to {label}\nPlease say 'There are none.' if it is not in the video.",
        ),
        count=_of_each(
            "How many {label} are there?",
            "How many {label} are there in all images?",
            "How many {label} are there?",
        ),
        describe=_of_each("Describe this image.", "Describe these images.", "Describe this video."),
        track="Track {label}.",
        not_found=("There are none.",),
        no_tracks=("No tracks available.",),
        answer_start="",
    ),
}


def point_prompt(label: str | Sequence[str], wording: str = "molmo2", about: About = "image") -> str:
    """The request to point at something, with a way out if it is absent.

    Args:
        label: What to point to; lower-cased, as in training. Several are joined by "and"; one query for each
            is nearer to the training data.
        wording: "0924" or "molmo2", see `PromptStyle.wording`.
        about: What the prompt holds.

    Raises:
        PromptError: No label, an empty one, or one that is not text.
    """
    return _fill(WORDINGS[wording].point[about], label)


def count_prompt(label: str | Sequence[str], wording: str = "molmo2", about: About = "image") -> str:
    """The question how many there are, which the models answer with points and a total. As `point_prompt`."""
    return _fill(WORDINGS[wording].count[about], label)


def describe_prompt(wording: str = "molmo2", about: About = "image") -> str:
    """The request for a description, which the models answer at length. As `point_prompt`."""
    return WORDINGS[wording].describe[about]


def track_prompt(label: str | Sequence[str], wording: str = "molmo2") -> str:
    """The request to follow things through a video: a point for each of them in each frame.

    Raises:
        PromptError: No label, an empty one, or models that take no video.
    """
    if not WORDINGS[wording].track:
        raise PromptError(f"models with the wording {wording!r} take no video; Molmo2 and MolmoPoint do")
    return _fill(WORDINGS[wording].track, label)


def not_found_answers(wording: str) -> tuple[str, ...]:
    """The whole answers by which a model says that there is nothing to point at, as it begins them."""
    words = WORDINGS[wording]
    return tuple(words.answer_start + sentence for sentence in words.not_found)


def _pattern(sentences: Iterable[str]) -> re.Pattern[str]:
    """Any of the sentences at its end, with any apostrophe or none of the contraction."""
    parts = [re.escape(one.rstrip(".")).replace("n't", r"(?:n['\u2019]t|\ not)") for one in sentences]
    return re.compile(rf"(?:{'|'.join(parts)}) ?(?:[.!\n]|$)", re.IGNORECASE)


_NOTHING = _pattern(
    dict.fromkeys(one for words in WORDINGS.values() for one in (*words.not_found, *words.no_tracks))
)


def says_nothing_there(text: str) -> bool:
    """Whether an answer says that nothing is there, in the words of any of the models."""
    return _NOTHING.search(text) is not None


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
