# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the models are asked, in the words they were trained on, and which answers mean that nothing is there."""

import pytest

from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.families.table import FAMILIES
from molmo_ros.molmo.families.wording import WORDING_0924, WORDING_MOLMO2
from molmo_ros.molmo.pointing.points import parse_points
from molmo_ros.molmo.prompts.prompt_text import (
    count_prompt,
    describe_prompt,
    not_found_answers,
    place_label,
    point_prompt,
    says_nothing_there,
    track_prompt,
)

WORDINGS = (WORDING_0924, WORDING_MOLMO2)


def test_every_family_has_words():
    assert {one.prompt.wording.name for one in FAMILIES.values()} == {"0924", "molmo2"}


def test_pointing():
    none = "Please say 'There are none.' if it is not in the"
    assert point_prompt("Red  Cube\n") == f"Point to red cube\n{none} image."
    assert point_prompt("cup", WORDING_MOLMO2, "images") == f"Point to cup\n{none} image."
    assert point_prompt("cup", WORDING_MOLMO2, "video") == f"Point to cup\n{none} video."
    asked = "Point to cup\nPlease say 'This isn't in the image.' if it is not in the image."
    assert point_prompt("cup", WORDING_0924) == asked
    assert point_prompt(["cup", "JAR", "pen"]).startswith("Point to cup, jar and pen\n")
    assert point_prompt(["cup", "jar"]).startswith("Point to cup and jar\n")
    assert point_prompt("{label} {0}").startswith("Point to {label} {0}\n")


@pytest.mark.parametrize(
    ("where", "label"),
    [
        ("left of the mug", "the vacant space left of the mug"),
        (" To the right of the bowl", "the vacant space To the right of the bowl"),
        ("the left of the bowl", "the vacant space the left of the bowl"),
        ("between the two plates", "the vacant space between the two plates"),
        ("on the tray", "the vacant space on the tray"),
        ("onion", "onion"),  # no word of place, though it begins with one
        ("the tray", "the tray"),
        ("the empty corner of the shelf", "the empty corner of the shelf"),
        ("", ""),
    ],
)
def test_a_place_is_pointed_at_as_space_and_not_as_the_thing_beside_it(where, label):
    assert place_label(where) == label


def test_counting_describing_and_tracking():
    for wording in WORDINGS:
        assert count_prompt("Cups", wording) == "How many cups are there?"
        assert describe_prompt(wording) == "Describe this image."
    assert count_prompt("cups", WORDING_MOLMO2, "images") == "How many cups are there in all images?"
    assert count_prompt("cups", WORDING_MOLMO2, "video") == "How many cups are there?"
    assert describe_prompt(WORDING_MOLMO2, "video") == "Describe this video."
    assert track_prompt("Red cubes") == "Track red cubes."
    with pytest.raises(PromptError, match="'0924' take no video"):
        track_prompt("cup", WORDING_0924)


@pytest.mark.parametrize("label", ["", " \x00", [], ["cup", ""]])
@pytest.mark.parametrize("ask", [point_prompt, count_prompt, track_prompt])
def test_empty_labels(ask, label):
    with pytest.raises(PromptError, match="label is empty"):
        ask(label)


@pytest.mark.parametrize("wording", WORDINGS, ids=lambda wording: wording.name)
def test_the_sentence_that_is_asked_for_is_understood(wording):
    for about in ("image", "images", "video"):
        asked = point_prompt("cup", wording, about)
        sentence = asked[asked.index("say '") + 5 : asked.index("' if")]
        assert sentence in wording.not_found
    for answer in (*not_found_answers(wording), *wording.no_tracks):
        parsed = parse_points(answer, [(10, 10)])
        assert parsed.not_found and parsed.count == 0
        assert parse_points(answer.upper(), [(10, 10)]).not_found
        assert not parse_points(answer[:-3], [(10, 10)]).not_found


def test_answers_begin_as_the_models_begin_them():
    assert not_found_answers(WORDING_0924) == (" This isn't in the image.", " There are none.")
    assert not_found_answers(WORDING_MOLMO2) == ("There are none.",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("This isn\u2019t in the image.", True),
        ("this is not in the image", True),
        ("There are none!", True),
        ("No tracks available.\n", True),
        ("There are none of these on the left.", False),
        ("This isn't in the image's center.", False),
        ("There are nonempty boxes.", False),
        ("", False),
    ],
)
def test_ways_to_say_that_nothing_is_there(text, expected):
    assert says_nothing_there(text) is expected
