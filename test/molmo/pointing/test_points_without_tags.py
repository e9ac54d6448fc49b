# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points, totals and "not found" in words: outside of tags, in older spellings, and what only looks like them."""

import pytest

from molmo_ros.molmo.answer import Asked, Point
from molmo_ros.molmo.pointing.points import ParsedPoints, PointStream, parse_points

SIZE = (480, 640)  # (height, width)


def parse(text: str) -> ParsedPoints:
    return parse_points(text, [SIZE])


TIMES = [0.0, 0.5, 1.04, 1.06, 3.0]


# Numbers in brackets, with units, versions, ratios, ranges, coordinates, tables: all that looks like a place.
NUMBERS = [
    *[
        "(2.50, 3.75)",
        "(2.5, 3.7)",
        "(0.4, 0.7)",
        "(12.3, 45.6)",
        "(12.3 45.6)",
        "[12.3, 45.6]",
        "Click(12.3, 45.6)",
    ],
    *[
        "p=123,456",
        "p = 123, 456 ",
        "2 = 123, 456 ",
        "p=123,456",
        "v1.2",
        "16:9",
        "3/4",
        "10-12",
        "52.5 N, 13.4 E",
    ],
    *[
        'x="12.3" y="45.6"',
        'coords="1 1 123 456"',
        "1 123 456",
        "1 12.3 45.6",
        "| 12.3 | 45.6 |",
        "{x: 12.3, y: 45.6}",
    ],
    *["<12.3, 45.6>", '<b x="12.3" y="45.6">', '<pointer x="12.3" y="45.6">', "</points> (12.3, 45.6)"],
    *["<point here> (12.3, 45.6)", "(12.3,45.6) kg", "1.0 1 10.0 20.0"],
]


@pytest.mark.parametrize("asked", [Asked.WORDS, Asked.ANYTHING])
def test_words_are_no_places(asked):
    for number in NUMBERS:
        for text in (
            number,
            f"It weighs {number}",
            f"{number}: {number}",
            f"There are 3 {number} of them.\n{number}",
        ):
            parsed = parse_points(text, [SIZE], asked=asked)
            assert parsed == ParsedPoints(), text
            stream = PointStream([SIZE], asked=asked)
            assert [one for char in text for one in stream.feed(char)] == []


@pytest.mark.parametrize("asked", list(Asked))
def test_a_tag_is_a_place_whatever_was_asked(asked):
    for text in (
        'It is <point x="10.0" y="20.0" alt="c">c</point> (1.5, 2.5)',
        '<points coords="1 1 100 200">c</points>',
    ):
        points = parse_points(text, [SIZE], asked=asked).points
        assert [(one.x, one.y) for one in points] == [(64.0, 96.0)]


@pytest.mark.parametrize(
    ("text", "places", "doubt"),
    [
        ("(12.3, 45.6)", [(12.3, 45.6)], ""),
        ("(0.4, 45.6)", [(0.4, 45.6)], ""),
        ("(0.4, 0.7) and (12.3, 45.6)", [(0.4, 0.7), (12.3, 45.6)], ""),
        ("(0.4, 0.7)", [], "(0.4, 0.7) lies within 0..1"),
        ("Click(1.0, 1.0) (0.0, 0.1)", [], "(1.0, 1.0) lies within 0..1"),
        ("(0.45, 0.67)", [], "(0.45, 0.67) lies within 0..1"),
        ("[0.45, 0.67]", [], "[0.45, 0.67] lies within 0..1"),
        ("(12.34, 45.67)", [], "(12.34, 45.67) is no point"),
        ("(12.3, 45.67)", [], "(12.3, 45.67) is no point"),
        ("(12, 45)", [], "(12, 45) is no point"),
        ("(12.34, 45.67) (12.3, 45.6)", [(12.3, 45.6)], ""),
        ("p=123,456", [(12.3, 45.6)], ""),
        ("(0.4, 0.7) p=123,456", [(12.3, 45.6)], ""),
        ("(2.5)", [], ""),
        ("A cup.", [], ""),
    ],
)
@pytest.mark.parametrize("asked", [Asked.POINTS, Asked.COUNT])
def test_points_without_tags_where_some_were_asked_for(text, places, doubt, asked):
    parsed = parse_points(text, [SIZE], asked=asked)
    expected = [(x * 6.4, y * 4.8) for x, y in places]
    assert [(one.x, one.y) for one in parsed.points] == [pytest.approx(one) for one in expected]
    assert parsed.doubt.startswith(doubt) if doubt else parsed.doubt == ""
    assert not parsed.not_found and parsed.count is None


def test_points_without_tags_are_as_many_as_were_counted():
    """A pair beside a total of another number is a size or a price."""
    for text, count, points in (
        ("There are 2: (12.3, 45.6) and (20.0, 30.0).", 2, 2),
        ("There are 12 (12.3, 45.6).", 12, 0),
        ("There are 3 cups (10.5, 12.0).", 3, 0),
        ("At (12.3, 45.6) and (20.0, 30.0).", None, 2),
    ):
        parsed = parse_points(text, [SIZE], asked=Asked.COUNT)
        assert (parsed.count, len(parsed.points)) == (count, points), text


@pytest.mark.parametrize(
    ("text", "points"),
    [
        # Written by allenai/molmo2's older formatter, or read by its tests.
        ("<points 1.0 1 10.0 20.0 2 30.0 40.0/>", [(1, 10, 20), (2, 30, 40)]),
        ("<points 13.5\t1 44.4 69.9/> <points 14.0\t2 44.5 75.2/>", [(1, 44.4, 69.9), (2, 44.5, 75.2)]),
        ("Counting the <points label\t-\t1 99.0 80.0/> shows a total of 1.", [(1, 99, 80)]),
        ("Counting the <points label\t-\t1 990 800/> shows a total of 1.", [(1, 99, 80)]),
        ("<points two red cups\tmug 3\t1 99.0 80.0 2 100.0 0.0/>", [(1, 99, 80), (2, 100, 0)]),
        ("<points 0 1 100 200 2 300 1000/>", [(1, 10, 20), (2, 30, 100)]),
        ("<points 1.0 1 10.0 20.0 2 30.0 40.0>cups</points>", [(1, 10, 20), (2, 30, 40)]),
        ("<points 1.0 1 101.0 20.0 2 30.0 40.0/>", [(2, 30, 40)]),
        ("<points 1.0 1 10.0 20.0 2 30.0", [(1, 10, 20)]),
        ("<points 1.0 1 10.0 20.0", [(1, 10, 20)]),
        ("<points 1.0 1 10.0 20.", []),
        ("<points 1.0 1 10.00 20.00/>", []),
    ],
)
def test_older_spellings(text, points):
    found = parse_points(text, [(100, 100)], asked=Asked.WORDS).points
    assert [(one.index, one.x, one.y) for one in found] == [pytest.approx(one) for one in points]
    whole = "/>" in text or "</points>" in text
    assert parse(text).truncated != whole


def test_older_spellings_of_a_video_name_moments():
    text = "<points 0.5\t1 10.0 20.0/> <points 1.0\t2 30.0 40.0/> <points 9.0\t3 30.0 40.0/>"
    points = parse_points(text, [(100, 100)] * 5, TIMES).points
    assert [(p.image, p.index, p.x, p.y) for p in points] == [(1, 1, 10.0, 20.0), (2, 2, 30.0, 40.0)]


@pytest.mark.parametrize(
    "text",
    [
        "The text says <point here>.",
        "The text says <point here> and <points there> and ends",
        "Use <point> and <points> tags",
        "a <point in time",
        "the <points/> element",
        '<point name="a"> <tracks of="cars">',
        "<point>cup</point>",
        "<tracks in the snow",
        "<points of interest are 3 100",
    ],
)
def test_what_is_only_spelled_like_a_tag_is_text(text):
    for asked in Asked:
        parsed = parse_points(text, [SIZE], asked=asked)
        assert parsed.points == () and not parsed.truncated
    assert parse(f"{text} (12.3, 45.6)").points == (Point(pytest.approx(78.72), pytest.approx(218.88)),)
    assert parse(f'{text} <point x="10.0" y="20.0">c</point>').points == (Point(64.0, 96.0, "c"),)


@pytest.mark.parametrize(
    "text",
    ["<points 1.0", "<points 1.0 1 ", "<point x", '<point x="', "<points co", "<points cup\t", "<points "],
)
def test_what_may_still_become_a_tag_is_cut_off(text):
    assert parse(text).truncated


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("12", 12),
        ("Twelve.", 12),
        ("There are 12.", 12),
        ("a total of 1,250", 1250),
        ("zero", 0),
        ("None.", 0),
    ],
)
def test_a_total_in_words(text, count):
    parsed = parse_points(text, [SIZE], asked=Asked.COUNT)
    assert (parsed.count, parsed.not_found) == (count, count == 0)
    for asked in (Asked.WORDS, Asked.ANYTHING):
        assert parse_points(text, [SIZE], asked=asked).count is None
    block = '<points coords="1 1 100 200">cups</points>'
    assert (
        parse_points(f"Counting the {block} shows a total of 1,250.", [SIZE], asked=Asked.WORDS).count == 1250
    )


def test_the_label_tells_its_number_from_others():
    text = "There are 12 cups on 2 tables."
    assert parse_points(text, [SIZE], asked=Asked.COUNT, label="red cups").count == 12
    assert parse_points(text, [SIZE], asked=Asked.COUNT, label="tables").count is None


def test_the_last_word_of_a_text_that_was_cut_off_may_be_half_of_one():
    block = '<points coords="1 1 100 200">cups</points>'
    for text, cut, whole in (
        ("There are 12", None, 12),
        ("There are 12 cu", 12, 12),
        ("a total of twenty", None, 20),
        ("12", None, 12),
        (f"There are 3 {block}", 3, 3),
        (f"Counting the {block} shows a total of 3", None, 3),
    ):
        for ended, count in ((False, cut), (True, whole)):
            stream = PointStream([SIZE], asked=Asked.COUNT)
            stream.feed(text)
            assert stream.finish(whole=ended).count == count, (text, ended)
