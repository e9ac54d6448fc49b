# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The total that an answer claims in words: "12", "Twelve.", "There are 12.", "a total of 1,250".

Models are trained to say "Counting the … shows a total of N." and "There are N …." around their points, "There are
none.", and N alone (allenai/molmo2, point_formatter.py; before it 'The total number of "…" is: N.'). What else they
say is free English, where most numbers are no counts. So one rule decides: a number is the count if the text says so,
and no other number could be meant instead. "3 on the left and 4 on the right", "about 12", "10 to 12" are no counts,
nor are years, ordinals, measures, ratios and names such as "number 12". A missing count shows, a wrong one does not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from molmo_ros.molmo.pointing.numerals import Token, tokens

_COUNTED = re.compile(
    r"shows a total of ([0-9]{1,3}(?:,[0-9]{3}){1,2}|[0-9]{1,9})(?![0-9.,][0-9]|[0-9%])", re.IGNORECASE
)
TAG = "\ufffc"
"""Stands for a tag in a text without its tags."""
_BEFORE_POINTS = re.compile(
    rf"there (?:are|is) ([0-9]{{1,3}}(?:,[0-9]{{3}}){{1,2}}|[0-9]{{1,9}}) {TAG}", re.IGNORECASE
)
_LIST_MARK = re.compile(r"^[ \t]*[0-9]{1,3}[.)][ \t]+(?=\S)", re.MULTILINE)
_NONE = re.compile(
    r"""\W*(?:
        (?P<there>there\ (?:are|is)\ |i\ (?:can\ )?(?:see|count|find)\ )?no(?P<what>(?:\ [^\W\d_]+){1,4}?)
      | (?:there\ (?:are|is)(?:n['\u2019]t|\ not)|i\ (?:do\ not|don['\u2019]t|can['\u2019]t|cannot)\ (?:see|find))
        \ any(?:\ [^\W\d_]+){0,4}?
      | (?:there\ (?:are|is)\ )?none
    )
    (?:\ (?:visible|present|shown|here))?
    (?:\ (?:in|here\ in)\ (?:the|this)\ (?:image|picture|photo|scene|video))?\W*""",
    re.IGNORECASE | re.VERBOSE,
)
_ELSEWHERE = re.compile(r"\b(?:on|left|right|but|other|others|more|doubt|idea|way|problem)\b", re.IGNORECASE)
_LONGEST = 4_000
"""Characters; longer texts are no answers to "how many"."""
_REACH = 24
"""Words before a number that may belong to its sentence."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SENTENCE_ENDS = _set(". ! ? ;")
_WRAPPERS = _set("* _ \" ' ` ( \u201c \u2018")
_FILLERS = _set("exactly only just precisely clearly definitely still also now")
_THERE = _set("are is were was be there're there's")
_SEE = _set("see count counted find found spot identify identified detect detected recognize")
_SHOW = _set("shows show contains contain has depicts displays features includes")
_PICTURES = _set("image picture photo photograph scene video it frame")
_COPULAS = _set("is are was were be equals = : -")
_TOTALS = _set("total count number sum tally answer amount")
_SEEN = _set("visible present shown in seen there depicted pictured here displayed")
_VERBS = _set(
    "are is were was have has look looks seem seem appear appears stand stands lie lies can do does"
)
_VAGUE = _set(
    "about approximately around roughly nearly almost over under below above maybe perhaps possibly least most than "
    "not isn't aren't isn\u2019t aren\u2019t circa ca approx between beyond ~ \u2248 > \u2265 \u2264 or to"
)
_BETWEEN = _set("to or and \u2013 \u2014 - / x \u00d7 : + by")
_UNITS = _set(
    "cm mm m km meter meters metre metres foot feet ft inch inches yard yards mile miles kg g gram grams kilogram "
    "kilograms lb lbs pound pounds ounce ounces oz ton tons liter liters litre litres l ml second seconds sec minute "
    "minutes min hour hours day days week weeks month months year years year-old year-olds decade decades century "
    "centuries percent percentage % \u00b0 degree degrees celsius fahrenheit px pixel pixels dollar dollars euro "
    "euros cent cents o'clock o\u2019clock am pm hz khz mhz ghz fps mph volt volts watt watts amp amps times fold th "
    "st nd rd third thirds quarter quarters fifth fifths"
)
_NAMES = _set(
    "number no # page room level row column line item player bus route channel chapter step version street road "
    "highway gate platform track floor figure table section part type model size age aged"
)
_SITUATED = _set("in on at across along from since within by during after before until into inside")
_DETERMINERS = _set("the these those its their all both this that")
_PARTS = _set("left right each every per first second third other another")
_FURTHER = _set(
    "no none not but except without excluding plus another more other others additional several some many few couple "
    "per every apiece"
)
_POINTED_OUT = _set("the this that each every another which no any some other")
_NOUN_ENDS = _set(
    "on in with at of that which from near under behind for to and or is are were was have has can"
)
_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "feet": "foot", "teeth": "tooth",
    "mice": "mouse", "geese": "goose", "loaves": "loaf", "shelves": "shelf", "knives": "knife", "leaves": "leaf",
    "wolves": "wolf", "halves": "half", "scarves": "scarf",
}  # fmt: skip


class _Claim(IntEnum):
    """How plainly a text says that a number is the count."""

    NOT = 0
    COUNT = 1
    TOTAL = 2


@dataclass(frozen=True)
class _Number:
    """A number that may be the count.

    Attributes:
        at: Which of the text's tokens it is.
        value: The number.
        claim: How plainly it is said to be the count.
        vague: Whether it is a bound, an estimate or one end of a range.
        noun: The words that say what there are so many of.
        grouped: Whether it is the size of a group, as in "rows of 4".
    """

    at: int
    value: int
    claim: _Claim
    vague: bool
    noun: tuple[str, ...]
    grouped: bool


def trained_count(text: str) -> int | None:
    """The total in the two sentences that go with points; None where there is none, or where two differ.

    Args:
        text: What stands outside of the tags; `TAG` stands for each of them.
    """
    found = _COUNTED.findall(text) or _BEFORE_POINTS.findall(text)
    values = {int(one.replace(",", "")) for one in found}
    return values.pop() if len(values) == 1 else None


def claimed_count(text: str, label: str = "") -> int | None:
    """The total that an answer to a request for points or for a count claims.

    Args:
        text: What stands outside of the tags; `TAG` stands for each of them.
        label: What was to be counted; tells its number from others in the text.

    Returns:
        None where it claims none, only a vague one, or more than one.
    """
    trained = trained_count(text)
    if trained is not None or len(text) > _LONGEST:
        return trained
    head = _head(label)
    if _says_none(text, head):
        return 0
    if len(_LIST_MARK.findall(text)) > 1:
        text = _LIST_MARK.sub("", text)
    parts = tokens(text)
    numbers = [one for at in range(len(parts)) if (one := _number(parts, at, head))]
    if any(head in map(_singular, one.noun) for one in numbers):  # then those of other things are no rivals
        numbers = [one for one in numbers if not one.noun or head in map(_singular, one.noun)]
    totals = [one for one in numbers if one.claim is _Claim.TOTAL]
    if totals:
        values = {one.value for one in totals}
        return values.pop() if len(values) == 1 and not any(one.vague for one in totals) else None
    if not numbers or not numbers[0].claim or any(one.grouped or one.vague for one in numbers):
        return None
    first, *others = numbers
    if _says_more(parts[first.at + 1 :]):
        return None
    if not others:
        return first.value
    # "There are 5: 2 red, 3 blue"; without the colon those may be further ones.
    between = [part.text for part in parts[first.at : others[0].at]]
    return first.value if ":" in between and sum(one.value for one in others) == first.value else None


def _says_none(text: str, head: str) -> bool:
    """Whether a whole text says that there are none, and not only in some place or of some kind."""
    none = _NONE.fullmatch(text)
    if not none or _ELSEWHERE.search(text):
        return False
    if none["what"] is None:
        return True
    return head in map(_singular, none["what"].lower().split()) if head else none["there"] is not None


def _says_more(after: Sequence[Token]) -> bool:
    """Whether what follows a number says that there are others, or that there are so many of them several times."""
    words = [one.text for one in after]
    ends = ([], *([sign] for sign in ".,;!"))
    return bool(_FURTHER.intersection(words)) or any(
        word == "each" and words[place + 1 : place + 2] in ends for place, word in enumerate(words)
    )


def _number(parts: Sequence[Token], at: int, head: str) -> _Number | None:
    """What a token means as a number; None where it can be no count, whatever else the text says."""
    part, before, after = parts[at], _before(parts, at), [one.text for one in parts[at + 1 : at + 12]]
    if part.value is None and not any(char.isdigit() for char in part.text):
        return None
    noun = _noun(after)
    claim = _claim(parts, at, before, after)
    if part.value is None:  # "10-12", "3.5": where such a one is said to be the count, no other number is
        return _Number(at, -1, claim, True, noun, False) if claim else None
    previous, following = (before[-1:] or [""])[0], (after[:1] or [""])[0]
    if following in _UNITS and head not in map(_singular, noun) or previous in _NAMES:
        return None
    of_all = claim and after[1:2] and after[1] in ("them", "these", "those") and not _noun(after[2:])
    if following == "of" and not of_all or after[:2] == ["out", "of"]:
        return None  # "3 of them are red"
    if not claim:
        if part.text == "one" and _POINTED_OUT.intersection(before[-3:]):
            return None  # "the red one"
        place = [word for word in before[-2:] if word not in _DETERMINERS]
        if place and place[-1] in _SITUATED and head not in map(_singular, noun):
            return None  # "in 2024", "on the 2 tables"
    if at > 1 and parts[at - 1].text == "(" and parts[at - 2].value == part.value:
        return None  # "twelve (12)"
    grouped = previous == "of" and claim is not _Claim.TOTAL
    in_groups = after[len(noun) : len(noun) + 1] == ["of"] and noun != () and head not in map(_singular, noun)
    vague = in_groups or _vague(parts, at, before, after)  # "2 pairs of shoes"
    return _Number(at, part.value, claim, vague, noun, grouped)


def _before(parts: Sequence[Token], at: int) -> list[str]:
    """What stands before a number in its sentence, without what only wraps or stresses it."""
    before = [part.text for part in parts[max(0, at - _REACH) : at]]
    for place in range(len(before) - 1, -1, -1):
        if before[place] in _SENTENCE_ENDS:
            before = before[place + 1 :]
            break
    while before and (before[-1] in _WRAPPERS or before[-1] in _FILLERS):
        before.pop()
    return before


def _claim(parts: Sequence[Token], at: int, before: list[str], after: list[str]) -> _Claim:
    if before[-2:] == ["total", "of"] or before[-1:] in (["total"], ["totaling"], ["totalling"]):
        return _Claim.TOTAL
    if "altogether" in after[:5] or any(
        after[i : i + 2] in (["in", "total"], ["in", "all"]) for i in range(5)
    ):
        return _Claim.TOTAL
    subject = list(before)
    while subject and subject[-1] in _COPULAS:
        subject.pop()
    for place in range(len(subject) - 1, -1, -1):
        if subject[place] in _TOTALS and len(subject) < len(before):  # "the number of cups is"
            return _Claim.TOTAL if subject[place + 1 : place + 2] in ([], ["of"]) else _Claim.NOT
    if _PARTS.intersection(before):
        return _Claim.NOT  # "on the left there are 3"
    verb = before[-1] if before else ""
    if verb in _THERE and "there" in " ".join(before[-4:]):
        return _Claim.COUNT
    if verb in _SEE or (verb in _SHOW and _PICTURES.intersection(before[:-1])):
        return _Claim.COUNT
    if any(one.is_word or one.value is not None or one.text[0].isdigit() for one in parts[:at]):
        return _Claim.NOT
    # The answer begins with it, and says no more about these than that they are there.
    said = after[len(_noun(after)) :]
    return (
        _Claim.NOT if said[:1] and said[0] in _VERBS and not _SEEN.intersection(said[1:2]) else _Claim.COUNT
    )


def _vague(parts: Sequence[Token], at: int, before: list[str], after: list[str]) -> bool:
    if _VAGUE.intersection(before[-1:]) or after[:1] in (["+"], ["plus"], ["~"]):
        return True
    if after[:1] == ["or"] and after[1:2] and after[1] in ("so", "more", "fewer", "less"):
        return True
    for step in (-2, 2):  # "10 to 12"
        if 0 <= at + step < len(parts) and parts[at + step].value is not None:
            sign = parts[at + step // 2].text
            if sign in _BETWEEN and (sign != "and" or "between" in before[-3:]):
                return True
    return False


def _noun(after: Sequence[str]) -> tuple[str, ...]:
    """The words right after a number that say what it counts; at most four."""
    noun: list[str] = []
    for word in after[:4]:
        if not word[0].isalpha() or word in _NOUN_ENDS:
            break
        noun.append(word)
    return tuple(noun)


def _head(label: str) -> str:
    """The noun of "red cups on the table", in the singular; "" where a label names several kinds of things."""
    words: list[str] = []
    for word in re.findall(r"[^\W\d_]+|[,;]", label.lower()):
        if word in (",", ";", "and", "or"):
            return ""
        if word in _NOUN_ENDS:
            break
        words.append(word)
    return _singular(words[-1]) if words else ""


def _singular(word: str) -> str:
    """Near enough to tell whether two words are one in the singular and the plural."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
