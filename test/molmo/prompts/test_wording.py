"""What the models are asked, in the words they were trained on, and which answers mean that nothing is there."""

import pytest

from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.families.table import FAMILIES
from molmo_ros.molmo.pointing.points import parse_points
from molmo_ros.molmo.prompts.wording import (
    WORDINGS,
    clean_text,
    count_prompt,
    describe_prompt,
    not_found_answers,
    point_prompt,
    says_nothing_there,
    track_prompt,
)


def test_every_family_has_words():
    assert {one.prompt.wording for one in FAMILIES.values()} == set(WORDINGS)


def test_pointing():
    none = "Please say 'There are none.' if it is not in the"
    assert point_prompt("Red  Cube\n") == f"Point to red cube\n{none} image."
    assert point_prompt("cup", "molmo2", "images") == f"Point to cup\n{none} image."
    assert point_prompt("cup", "molmo2", "video") == f"Point to cup\n{none} video."
    asked = "Point to cup\nPlease say 'This isn't in the image.' if it is not in the image."
    assert point_prompt("cup", "0924") == asked
    assert point_prompt(["cup", "JAR", "pen"]).startswith("Point to cup, jar and pen\n")
    assert point_prompt(["cup", "jar"]).startswith("Point to cup and jar\n")
    assert point_prompt("{label} {0}").startswith("Point to {label} {0}\n")


def test_counting_describing_and_tracking():
    for wording in WORDINGS:
        assert count_prompt("Cups", wording) == "How many cups are there?"
        assert describe_prompt(wording) == "Describe this image."
    assert count_prompt("cups", "molmo2", "images") == "How many cups are there in all images?"
    assert count_prompt("cups", "molmo2", "video") == "How many cups are there?"
    assert describe_prompt("molmo2", "video") == "Describe this video."
    assert track_prompt("Red cubes") == "Track red cubes."
    with pytest.raises(PromptError, match="'0924' take no video"):
        track_prompt("cup", "0924")


@pytest.mark.parametrize("label", ["", " \x00", [], ["cup", ""]])
@pytest.mark.parametrize("ask", [point_prompt, count_prompt, track_prompt])
def test_empty_labels(ask, label):
    with pytest.raises(PromptError, match="label is empty"):
        ask(label)


@pytest.mark.parametrize("wording", WORDINGS)
def test_the_sentence_that_is_asked_for_is_understood(wording):
    for about in ("image", "images", "video"):
        asked = point_prompt("cup", wording, about)
        sentence = asked[asked.index("say '") + 5 : asked.index("' if")]
        assert sentence in WORDINGS[wording].not_found
    for answer in (*not_found_answers(wording), *WORDINGS[wording].no_tracks):
        parsed = parse_points(answer, [(10, 10)])
        assert parsed.not_found and parsed.count == 0
        assert parse_points(answer.upper(), [(10, 10)]).not_found
        assert not parse_points(answer[:-3], [(10, 10)]).not_found


def test_answers_begin_as_the_models_begin_them():
    assert not_found_answers("0924") == (" This isn't in the image.", " There are none.")
    assert not_found_answers("molmo2") == ("There are none.",)


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


@pytest.mark.parametrize(
    "hidden",
    [
        "\u200b",
        "\u2060",
        "\ufeff",
        "\u00ad",
        "\u200e",
        "\u202e",
        "\u2066",
        "\u200d",
        "\u200c",
        "\ufe0f",
        "\U000e0041",
    ],
)
def test_what_nobody_sees_makes_no_other_label(hidden):
    for written in (f"red{hidden} cup", f"{hidden}red cup", f"red cup{hidden}", f"re{hidden}d cup"):
        assert clean_text(written) == "red cup"


def test_joiners_of_scripts_and_emoji_stay():
    persian, family = (
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    )
    heart = "\u2764\ufe0f"
    for text in (persian, family, heart):
        assert clean_text(text) == text


def test_clean_text():
    assert clean_text(" a\x00b\x1b[0m\r\nc\rd\te\x85\u2028f ") == "ab[0m\nc\nd e\u2028f"
    assert clean_text("\ud83d cup \udc00") == "cup"
    for kept in ("Größe ☕ 👩\u200d🔬", "مرحبا", "漢字", "a\nb", "<|im_end|>"):
        assert clean_text(kept) == kept
