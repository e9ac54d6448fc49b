# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Point tokens to pixels, against the reference's points and a search through the whole text at once."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.pointing.patch_points import PatchPlaces, PatchPointStream, PointTextStream
from molmo_ros.molmo.pointing.point_tokens import PointTokens
from molmo_ros.molmo.pointing.points import parse_points

VECTORS = Path(__file__).parents[2] / "vectors"
SIZES = [(500, 200), (60, 80)]


@pytest.fixture(scope="module")
def prompt():
    """Two images of different sizes in one prompt."""
    processor = ImageProcessor(ImageProcessorConfig.released(STRETCHED))
    images = [processor(np.zeros((*size, 3), np.uint8)) for size in SIZES]
    first = images[0].crops.shape[0] * images[0].crops.shape[1]
    second = np.where(images[1].pooling < 0, -1, images[1].pooling + first)
    pooling = np.concatenate([images[0].pooling, second])
    mosaics = [images[0].mosaic, images[1].mosaic + first]
    tokens = PointTokens(448, *pooling.shape, 9)
    global_view = int(np.prod(images[0].low_res_grid))
    return SimpleNamespace(
        tokens=tokens,
        pooling=pooling,
        mosaics=mosaics,
        tiles=[
            range(global_view, len(images[0].pooling)),
            range(len(images[0].pooling) + global_view, len(pooling)),
        ],
        places=PatchPlaces(tokens, pooling, mosaics, SIZES),
    )


def read(places, pieces):
    stream = PatchPointStream(places)
    streamed = [point for piece in pieces for point in stream.feed(piece)]
    return streamed, stream.finish()


def numbers(points):
    return [(point.index, point.image, point.x, point.y) for point in points]


def searched(prompt, text):
    """All triples of the whole text, each patch looked for in every mosaic."""
    tokens, found = prompt.tokens, []
    for groups in re.findall(r"<POINT_(\d+)> ?<POINT_(\d+)> ?<POINT_(\d+)> ?([0-9]+)", text):
        patch, subpatch, location, number = map(int, groups)
        slot, place = subpatch - tokens.patches - 1, location - tokens.patches - 1 - tokens.subpatches
        for image, (mosaic, (height, width)) in enumerate(zip(prompt.mosaics, SIZES, strict=True)):
            for row, column in np.argwhere(mosaic == prompt.pooling[patch, slot]):
                x = column + (place // 3 + 0.5) * 0.33
                y = row + (place % 3 + 0.5) * 0.33
                found.append((number, image, x / mosaic.shape[1] * width, y / mosaic.shape[0] * height))
    return found


def spelled(prompt, patch, slot, place, blank=""):
    tokens = prompt.tokens
    ids = (tokens.patch[patch], tokens.subpatch[slot], tokens.location[place])
    return blank.join(tokens.spelling(token) for token in ids) + blank


def test_equal_to_searching_the_whole_text(prompt):
    for seed in range(60):
        random = np.random.default_rng(seed)
        pieces = []
        for _ in range(12):
            kind = random.integers(0, 8)
            if kind < 5:
                place = random.integers(0, (prompt.tokens.patches, 4, 9))
                number = str(random.integers(1, 30)) if kind else ""
                pieces.append(spelled(prompt, *place, blank=" " if kind == 1 else "") + number)
            else:
                pieces.append(
                    random.choice(['"', ">cups 12</point>", '<points coords="', "<POINT_5>", " ", "<", "7"])
                )
        text = "".join(pieces)
        expected = searched(prompt, text)
        _, whole = read(prompt.places, [text])
        streamed, one_by_one = read(prompt.places, list(text))
        assert np.allclose(numbers(whole.points), expected, rtol=0, atol=1e-9), text
        assert len(whole.points) == len(expected)
        assert one_by_one == whole
        assert numbers(streamed) == numbers(whole.points)[: len(streamed)]
        assert len(streamed) >= len(expected) - 1  # only the end of the text completes the last number


def test_every_place_of_every_tile_lies_where_its_pixels_are(prompt):
    """The image token (r, c) of the tiles pools the patches around (2r, 2c): no tables involved."""
    for image, (tiles, mosaic) in enumerate(zip(prompt.tiles, prompt.mosaics, strict=True)):
        rows, columns = mosaic.shape
        for at, patch in enumerate(tiles):
            token_row, token_column = divmod(at, (columns + 1) // 2)
            for slot in range(4):
                row, column = 2 * token_row + slot // 2, 2 * token_column + slot % 2
                found = prompt.places.locate(patch, slot, 4)
                if row >= rows or column >= columns:
                    assert found is None  # beyond the odd edge there is no patch
                    continue
                assert found[0] == image
                assert found[1] * columns - column == pytest.approx(0.495)
                assert found[2] * rows - row == pytest.approx(0.495)


def test_places_are_numbered_column_by_column(prompt):
    patch = prompt.tiles[1][0]
    found = [prompt.places.locate(patch, 0, place)[1:] for place in range(9)]
    assert [x for x, _ in found] == sorted(x for x, _ in found)
    assert [y for _, y in found[:3]] == sorted(y for _, y in found[:3]) and found[0][1] == found[3][1]
    assert found[0] == pytest.approx((0.165 / 27, 0.165 / 27)) and found[8] == pytest.approx(
        (0.825 / 27,) * 2
    )


def test_what_names_nothing_is_dropped(prompt):
    patches = prompt.tokens.patches
    for place in [
        (-1, 0, 0),
        (patches, 0, 0),
        (250, -1, 0),
        (250, 4, 0),
        (250, 0, -1),
        (250, 0, 9),
        (0, 0, 0),
    ]:
        assert prompt.places.locate(*place) is None
    good = spelled(prompt, prompt.tiles[0][3], 1, 2)
    text = f"<POINT_999999999><POINT_0><POINT_{patches + 20}>1<POINT_1><POINT_2>3{good}4"
    assert [point.index for point in read(prompt.places, [text])[1].points] == [4]


def test_labels_totals_and_not_found_as_in_other_answers(prompt):
    points = "".join(spelled(prompt, prompt.tiles[0][at], 0, 0) + str(at) for at in (1, 2))
    end = prompt.tokens.spelling(prompt.tokens.no_more_points)
    answer = f'Counting the <points coords="{points}{end}">cups</point> shows a total of 2.'
    parsed = read(prompt.places, [answer])[1]
    assert [point.label for point in parsed.points] == ["cups", "cups"]
    assert (parsed.count, parsed.truncated, parsed.not_found) == (2, False, False)
    cut = read(prompt.places, [answer[: answer.index(end)]])[1]
    assert len(cut.points) == 2 and cut.truncated
    none = "There are none."
    assert read(prompt.places, [none])[1] == parse_points(none, SIZES)
    assert read(prompt.places, ["At (12.3, 45.6), p=123,456."])[1].points == ()


def test_no_more_points_before_any_point_means_that_nothing_is_there(prompt):
    end = prompt.tokens.spelling(prompt.tokens.no_more_points)
    parsed = read(prompt.places, [f'<points coords="{end}">cup</point>'])[1]
    assert (parsed.points, parsed.not_found, parsed.count) == ((), True, 0)
    unusable = spelled(prompt, 0, 0, 0) + "1"  # a patch of the global view
    parsed = read(prompt.places, [f'<points coords="{unusable}{end}">cup</point>'])[1]
    assert (parsed.points, parsed.not_found, parsed.count) == ((), False, None)
    good = spelled(prompt, 300, 0, 0) + "1"
    assert not read(prompt.places, [f'<points coords="{good}{end}">cup</point>'])[1].not_found


def test_a_point_is_complete_with_its_number(prompt):
    stream = PatchPointStream(prompt.places)
    assert stream.feed(spelled(prompt, 300, 0, 0)) == stream.feed("1") == stream.feed("2") == []
    assert [point.index for point in stream.feed('"')] == [12]
    long = spelled(prompt, 300, 0, 0) + "1" * 5000
    assert [point.index for point in read(prompt.places, [long, " "])[0]] == [111111111]


def test_points_of_the_reference():
    """Also those of free-running answers, whose texts were never meant to be read."""
    inputs = np.load(VECTORS / "molmopoint-8b-tiny" / "input.npz")
    pooling, mosaic = inputs["image_token_pooling"], inputs["subpatch_mapping"]
    places = PatchPlaces(
        PointTokens(448, *pooling.shape, 9), pooling, [mosaic], [inputs["image_u8"].shape[:2]]
    )
    cases = json.loads((VECTORS / "points" / "molmopoint_free_run.json").read_text())["cases"]
    for case in cases:
        found = numbers(read(places, [case["answer"]])[1].points)
        assert np.allclose(found, case["points"], rtol=0, atol=1e-9) and len(found) == len(case["points"])
    assert sum(len(case["points"]) for case in cases) > 15


class Letters:
    """A tokenizer of bytes."""

    def token_bytes(self, token):
        return bytes([token])


def test_point_tokens_are_spelled_out_between_text():
    tokens = PointTokens(300, 5, 4, 9)
    stream = PointTextStream(Letters(), tokens)
    ids = [*"a☕".encode(), 300, 318, *b"1"]
    assert "".join(stream.feed(token) for token in ids) + stream.finish() == "a☕<POINT_0><POINT_18>1"
    halved = PointTextStream(Letters(), tokens)
    assert "".join(halved.feed(token) for token in ["☕".encode()[0], 301]) == "\ufffd<POINT_1>"


@pytest.mark.parametrize("asked", list(Asked))
def test_words_that_spell_point_tokens_are_words(prompt, asked):
    """As in a picture of a program's text; only tokens of the point head are places."""
    first = prompt.tokens.start
    triple = [first + 300, prompt.tokens.subpatch.start, prompt.tokens.location.start]
    spelling = "".join(map(prompt.tokens.spelling, triple))
    end = prompt.tokens.spelling(prompt.tokens.no_more_points)

    def read_ids(ids):
        text = PointTextStream(Letters(), prompt.tokens)
        points = PatchPointStream(prompt.places, asked, text.tokens_at)
        for token in ids:
            points.feed(text.feed(token))
        points.feed(text.finish())
        return points.finish()

    for words in (
        spelling + "1",
        f"<{spelling}1",
        f"It says {end}.",
        f"At (12.3, 45.6), {spelling}1 p=123,456 ",
    ):
        parsed = read_ids(words.encode())
        assert parsed.points == () and not parsed.not_found, words
        assert (
            read_ids([*"☕ ".encode(), *triple, *b"1", *words.encode()]).points
            == read(prompt.places, [f"☕ {spelling}1 "])[1].points
        )
    mixed = [*prompt.tokens.spelling(triple[0]).encode(), *triple[1:], *b"1"]
    assert read_ids(mixed).points == ()
    # Half a character before a token becomes one that stands for it, and moves nothing.
    assert len(read_ids(["☕".encode()[0], *triple, *b"1"]).points) == 1
    assert read_ids([prompt.tokens.no_more_points]).not_found
