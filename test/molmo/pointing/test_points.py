# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points from text: against the official decoders' outputs, against generated truth, and against bad text."""

import json
import random
import re
from pathlib import Path

import pytest

from molmo_ros.molmo.answer import Point
from molmo_ros.molmo.pointing.points import ParsedPoints, PointStream, parse_points

VECTORS = Path(__file__).parents[2] / "vectors"


SIZE = (480, 640)  # (height, width)


# Where an official decoder's output is not wanted: text -> (what we return in pixels, why).
EXCEPTIONS = {
    ("molmo0924", "Click(12.3, 45.6)"): ([(78.72, 218.88)], "they return the same point twice"),
    ("molmo2", '<points coords="1 1 234 567'): ([(149.76, 272.16)], "complete triples are salvaged"),
    ("molmo2", '<point x="10.1" y="20.2" alt="cup">cup</point>'): (
        [(64.64, 96.96)],
        "one reader for both formats; the official pipeline falls back to the other decoder",
    ),
}


def vector_cases():
    document = json.loads((VECTORS / "points" / "points.json").read_text())
    assert document["image_size"] == [SIZE[1], SIZE[0]]
    return [(family, case) for family in ("molmo0924", "molmo2") for case in document[family]]


def parse(text: str) -> ParsedPoints:
    return parse_points(text, [SIZE])


def pixels(text: str) -> list[tuple[float, float]]:
    return [(point.x, point.y) for point in parse(text).points]


@pytest.mark.parametrize(
    ("family", "case"), vector_cases(), ids=lambda v: v["text"] if isinstance(v, dict) else v
)
def test_equal_to_the_official_decoders(family, case):
    expected = [tuple(point) for point in case["points"]]
    exception = EXCEPTIONS.get((family, case["text"]))
    if exception:
        assert exception[0] != expected, "the exception is none any more"
        expected = exception[0]
    assert len(pixels(case["text"])) == len(expected)
    for got, want in zip(pixels(case["text"]), expected, strict=True):
        assert got == pytest.approx(want, abs=1e-9)
    if "frame_id_points" in case and not exception:
        ids = [int(object_id) for _, object_id, _, _ in case["frame_id_points"]]
        assert [point.index for point in parse(case["text"]).points] == ids


def test_labels_indices_and_counts():
    block = '<points x1="10.0" y1="20.0" x2="30.5" y2="40.5" alt="cups">red cups</points>'
    text = f" Counting the {block} shows a total of 3."
    parsed = parse(text)
    assert parsed.points == (
        Point(64.0, 96.0, "red cups", 1),
        Point(pytest.approx(195.2), pytest.approx(194.4), "red cups", 2),
    )
    assert parsed.count == 3 and not parsed.truncated and not parsed.not_found

    assert parse('There are 2 <points coords="1 1 100 200 2 300 400">cup</points>.').count == 2
    assert parse('<points alt="mug" coords="1 1 100 200"/> yes').points[0].label == "mug"
    assert not parse('<points alt="mug" coords="1 1 100 200"/> yes').truncated
    assert parse('<points coords="1 1 100 200">cup</points>').count is None
    assert parse("There are none.").count == 0


def test_inline_points_are_numbered_on():
    text = 'A <point x="1.0" y="2.0" alt="cup">cup</point> by <point x="3.0" y="4.0" alt="jar">jar</point>.'
    assert [(p.index, p.label) for p in parse(text).points] == [(1, "cup"), (2, "jar")]


def test_several_images_each_in_its_own_pixels():
    sizes = [(480, 640), (100, 1000)]
    text = '<points coords="1 1 500 500;2 2 250 500 3 100 100;3 4 500 500;0.5 5 500 500">cups</points>'
    assert parse_points(text, sizes).points == (
        Point(320.0, 240.0, "cups", 1, 0),
        Point(250.0, 50.0, "cups", 2, 1),
        Point(100.0, 10.0, "cups", 3, 1),
    )
    for separator in "\t:,":
        assert parse_points(text.replace(";", separator), sizes) == parse_points(text, sizes)
    with pytest.raises(ValueError, match="image_sizes"):
        parse_points(text, [])


@pytest.mark.parametrize(
    "text",
    [
        "There are none.",
        "there are none",
        "This isn't in the image.",
        "This isn\u2019t in the image.",
        " No tracks available.",
    ],
)
def test_not_found(text):
    assert parse(text) == ParsedPoints(not_found=True, count=0)


@pytest.mark.parametrize(
    "text", ["", "A red cube.", "There are none of these on the left, two are on the right.", "none", "point"]
)
def test_neither_points_nor_not_found(text):
    assert parse(text) == ParsedPoints()


TIMES = [0.0, 0.5, 1.04, 1.06, 3.0]


@pytest.mark.parametrize(
    ("written", "frame"),
    [
        ("0.0", 0), ("0", 0), ("0.5", 1), ("0.50", 1), ("1.0", 2), ("1.1", 3), ("3.0", 4), ("3", 4),
        ("0.2", 0), ("0.3", 1), ("2.0", 3), ("2.1", 4), ("3.4", 4), ("3.5", 4), ("3.6", None), ("100", None),
        ("one", None), ("1.2.3", None),
    ],
)  # fmt: skip
def test_moments_become_frames(written, frame):
    points = parse_points(f'<points coords="{written} 1 250 500">a</points>', [(10, 20)] * 5, TIMES).points
    assert [(p.image, p.x, p.y) for p in points] == ([] if frame is None else [(frame, 5.0, 5.0)])


def test_tracks_through_frames_of_their_own_sizes():
    text = '<tracks coords="0.0 1 100 200 2 500 500;0.5 2 500 600;1.0 1 110 210">cup</tracks>'
    sizes = [(100, 200), (300, 400), (50, 60), (50, 60), (50, 60)]
    points = parse_points(text, sizes, TIMES).points
    assert [(p.image, p.index) for p in points] == [(0, 1), (0, 2), (1, 2), (2, 1)]
    expected = [(20, 20), (100, 50), (200, 180), (6.6, 10.5)]
    assert [(round(p.x, 9), round(p.y, 9)) for p in points] == expected
    assert parse_points(text, [(100, 200)], [0.0]).points[-1].image == 0  # one picture: nothing to tell apart
    with pytest.raises(ValueError, match="2 times for 1 frames"):
        parse_points(text, [(100, 200)], [0.0, 1.0])


def test_two_frames_within_a_tenth_cannot_be_told_apart():
    """Both are "0.3" to the model; the first is taken."""
    text = '<points coords="0.3 1 250 500">a</points>'
    assert parse_points(text, [(10, 20)] * 2, [0.26, 0.33]).points[0].image == 0


def test_points_win_over_not_found():
    for text in (
        'There are none. <point x="10.0" y="20.0" alt="c">c</point>',
        '<points coords="1 1 100 200">c</points> There are none.',
    ):
        parsed = parse(text)
        assert len(parsed.points) == 1 and not parsed.not_found and parsed.count is None


def test_a_point_outside_the_image_does_not_hide_not_found():
    assert parse('<point x="101.0" y="2.0">c</point> There are none.').not_found


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("<", 0),
        ("<poi", 0),
        ("<point", 0),
        ('<point x="10.0" y="20.', 0),
        ('<point x="10.0" y="20.0', 0),
        ('<point x="10.0" y="20.0"', 1),
        ('<points x1="10.0" y1="20.0" x2="30.5" y2="4', 1),
        ('<points coords="1 1 234 567 2 3', 1),
        ('<points coords="1 1 234 567 2 345', 1),
        ('<points coords="1 1 234 100', 0),  # may have become 1000
        ('<points coords="1 1 234 1000', 1),
        ('<points coords="1 1 234 567">cu', 1),
        ('<points coords="1 1 234 567">cup</poin', 1),
    ],
)
def test_truncated_text_keeps_its_complete_points(text, count):
    parsed = parse(text)
    assert parsed.truncated
    assert len(parsed.points) == count


def test_every_prefix_keeps_a_prefix_of_the_points():
    text = (
        'Counting the <points coords="1 1 100 200 2 300 400;1 3 999 1000">cups</points> shows a total of 3.'
    )
    whole = [(p.x, p.y, p.index) for p in parse(text).points]
    assert len(whole) == 3
    for end in range(len(text)):
        part = parse(text[:end])
        assert [(p.x, p.y, p.index) for p in part.points] == whole[: len(part.points)]
        inside = text.index("<points") < end < text.index("</points>") + len("</points>")
        assert part.truncated == inside, text[:end]


def test_markup_that_is_no_point():
    assert (
        pixels('<pointer x="1.0" y="2.0">a</pointer> the word point, a < b, </points> <b x="1.0" y="2.0">')
        == []
    )
    assert pixels('x="1.0" y="2.0"') == []


def test_a_label_may_hold_anything():
    parsed = parse('<point x="10.0" y="20.0" alt="a > b"><b> (1.0, 2.0) "p=123,456" coords="1 1 1 1"</point>')
    assert parsed.points == (Point(64.0, 96.0, '<b> (1.0, 2.0) "p=123,456" coords="1 1 1 1"', 1),)
    assert not parsed.truncated


def test_a_new_tag_ends_an_unclosed_one():
    parsed = parse('<point x="10.0" y="20.0" alt="cup and <point x="30.0" y="40.0" alt="jar">jar</point>')
    assert [(p.x, p.y, p.label) for p in parsed.points] == [(64.0, 96.0, ""), (192.0, 192.0, "jar")]
    assert not parsed.truncated


def test_the_fallbacks_are_for_text_without_tags():
    assert pixels('<point x="10.0" y="20.0">c</point> (1.0, 2.0) p=123,456 ') == [(64.0, 96.0)]
    assert pixels("p=123,4567") == [] and pixels("map=123,456") == [] and pixels("(101.0, 2.0)") == []
    assert pixels("I see (3, 4) and (2.5) in 1984, 123") == []


def random_answer(rng: random.Random) -> tuple[str, list[tuple[float, float]]]:
    """A well-formed answer and its points, made without the parser."""
    truth, parts = [], []
    for _ in range(rng.randrange(1, 4)):
        n = rng.randrange(1, 6)
        parts.append(rng.choice(["The ", "There are 3 ", "a < b <p ", "Größe ☕ ", ""]))
        if rng.random() < 0.5:
            values = [(rng.randrange(1001), rng.randrange(1001)) for _ in range(n)]
            triples = " ".join(f"{i} {x:03d} {y:03d}" for i, (x, y) in enumerate(values, 1))
            parts.append(f'<points coords="1 {triples}">cups &amp; <jars></points>')
            truth += [(x / 1000 * 640, y / 1000 * 480) for x, y in values]
        else:
            values = [(rng.randrange(1001) / 10, rng.randrange(1001) / 10) for _ in range(n)]
            pairs = " ".join(f'x{i}="{x}" y{i}="{y}"' for i, (x, y) in enumerate(values, 1))
            parts.append(f'<points {pairs} alt="cups">cups</points>')
            truth += [(x / 100 * 640, y / 100 * 480) for x, y in values]
    return "".join(parts), truth


def mutate(text: str, rng: random.Random) -> str:
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(text))
        text = (
            rng.choice(
                [
                    text[:at],
                    text[:at] + text[at + 1 :],
                    text[:at] + rng.choice('<>"=;1 /\x00') + text[at:],
                    text + " (1.5, 2.5)",
                ]
            )
            or "<"
        )
    return text


def test_random_answers_and_random_splits():
    rng = random.Random(0)
    for _ in range(400):
        text, truth = random_answer(rng)
        got = [value for pair in pixels(text) for value in pair]
        assert got == pytest.approx([value for pair in truth for value in pair])
        text = mutate(text, rng)
        whole = parse(text)
        stream, streamed, at = PointStream([SIZE]), [], 0
        while at < len(text):
            step = rng.randrange(1, 12)
            streamed += stream.feed(text[at : at + step])
            at += step
        finished = stream.finish()
        assert finished == whole
        assert all(0 <= p.x <= 640 and 0 <= p.y <= 480 for p in whole.points)
        bare = [(p.x, p.y, p.index, p.image) for p in whole.points]
        assert [(p.x, p.y, p.index, p.image) for p in streamed] == bare[: len(streamed)]
        assert len(bare) - len(streamed) <= 1  # only a number that ends the text waits for `finish`


def test_a_point_is_given_out_with_the_character_that_completes_it():
    stream = PointStream([SIZE])
    assert stream.feed('<points coords="1 1 100 200 2 300 40') == [Point(64.0, 96.0, "", 1)]
    assert stream.feed("0") == []
    assert stream.feed('"') == [Point(192.0, 192.0, "", 2)]
    assert stream.finish().points[1] == Point(192.0, 192.0, "", 2)


def test_ten_thousand_points():
    triples = " ".join(f"{i} {i % 1001:03d} {i * 7 % 1001:03d}" for i in range(1, 10_001))
    points = parse(f'<points coords="1 {triples}">dots</points>').points
    assert len(points) == 10_000
    assert points[9_999] == Point(
        pytest.approx(10_000 % 1001 * 0.64), pytest.approx(70_000 % 1001 * 0.48), "dots", 10_000
    )
    pairs = " ".join(f'x{i}="{i % 1001 / 10}" y{i}="1.0"' for i in range(1, 10_001))
    assert len(parse(f'<points {pairs} alt="dots">dots</points>').points) == 10_000


@pytest.mark.parametrize(
    "seed",
    [
        *["<", "<point ", '<point x="', '<points coords="', '<points coords="1 ', '<points coords="1 1 '],
        *[
            "</point",
            "(",
            "(1.",
            "1 = ",
            "p=1",
            "9",
            "   ",
            '"',
            "x1=",
            '<point x="1.0" ',
            "\x00",
            '="',
            "\t",
        ],
        *["there are none ", "shows a total of ", "there are 1 "],
    ],
)
def test_long_adversarial_text_ends(seed):
    """Quadratic or worse work on 100 kB of these would show as a hanging test."""
    text = (seed * (100_000 // len(seed)))[:100_000]
    assert len(parse(text).points) <= 1
    assert len(parse('<point x="1.0" y="2.0" alt="' + text + '">cup</point>').points) >= 1


def test_work_per_character_is_bounded():
    """No lexer state may grow with the text it has read, save what the result needs."""
    stream = PointStream([SIZE])
    stream.feed('<points coords="' + "1" * 50_000)
    assert len(stream._token) <= 64
    stream.feed('" ' + "y" * 50_000)
    assert len(stream._name) <= 64 and len(stream._markup) <= 16


def test_patterns_have_no_nested_repetition():
    from molmo_ros.molmo.pointing import loose_points, placed_points, points

    patterns = [
        value.pattern
        for module in (points, placed_points, loose_points)
        for value in vars(module).values()
        if isinstance(value, re.Pattern)
    ]
    assert len(patterns) >= 8
    for pattern in patterns:
        assert not re.search(r"[*+}]\)[*+{]", pattern) and ".*" not in pattern
