# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import pytest

from molmo_ros.node.records.query import (
    MAX_LABELS,
    MAX_QUERY_CHARS,
    Kind,
    QueryError,
    parse_query,
    structured_query,
)


@pytest.mark.parametrize(
    ("written", "kind", "text"),
    [
        ("red cube", Kind.POINT, "red cube"),
        ("  red cube\n", Kind.POINT, "red cube"),
        ("Point to the red cube", Kind.POINT, "the red cube"),
        ("point total", Kind.POINT, "point total"),
        ("point: point to", Kind.POINT, None),
        ("what is it?", Kind.ASK, "what is it?"),
        ("what is it? ", Kind.ASK, "what is it?"),
        ("point: the sign with a ?", Kind.POINT, "the sign with a ?"),
        ("ask: red cube", Kind.ASK, "red cube"),
        ("Ask:red cube", Kind.ASK, "red cube"),
        ("count: red cubes", Kind.COUNT, "red cubes"),
        ("place: left of the mug", Kind.PLACE, "left of the mug"),
        ("PLACE: is it free?", Kind.PLACE, "is it free?"),
        ("place mat", Kind.POINT, "place mat"),
        ("counting: sheep", Kind.POINT, "counting: sheep"),
        ("杯子", Kind.POINT, "杯子"),
        ("a" * MAX_QUERY_CHARS, Kind.POINT, "a" * MAX_QUERY_CHARS),
    ],
)
def test_kind_and_text(written, kind, text):
    if text is None:
        with pytest.raises(QueryError, match="empty"):
            parse_query(written)
        return
    query = parse_query(written)
    assert (query.kind, query.texts, query.written, query.camera) == (kind, (text,), written, "")


@pytest.mark.parametrize("written", ["", " \t\n", "ask:", "count:  ", "place: ", "point to", "Point To "])
def test_empty(written):
    with pytest.raises(QueryError, match="empty"):
        parse_query(written)


def test_too_long():
    with pytest.raises(QueryError, match="100000 characters, at most 4096"):
        parse_query("a" * 100_000)


@pytest.mark.parametrize(
    ("written", "camera", "kind", "text"),
    [
        ("@wrist red cube", "wrist", Kind.POINT, "red cube"),
        ("  @wrist ask: cube", "wrist", Kind.ASK, "cube"),
        ("@wrist point to the cube", "wrist", Kind.POINT, "the cube"),
        ("mail @home", "", Kind.POINT, "mail @home"),
        ("@ home", "", Kind.POINT, "@ home"),
    ],
)
def test_camera(written, camera, kind, text):
    query = parse_query(written)
    assert (query.camera, query.kind, query.texts, query.written) == (camera, kind, (text,), written)


def test_camera_alone_is_empty():
    with pytest.raises(QueryError, match="empty"):
        parse_query("@wrist ")


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        (("", "what is it?", [], ""), (Kind.ASK, ("what is it?",), "what is it?", "")),
        (("", "@wrist cube", [], ""), (Kind.POINT, ("cube",), "@wrist cube", "wrist")),
        (("", "@wrist cube", [], "head"), (Kind.POINT, ("cube",), "@wrist cube", "head")),
        (("", "", ["a", " b "], "head"), (Kind.POINT, ("a", "b"), "a, b", "head")),
        (("count", "", ["a"], ""), (Kind.COUNT, ("a",), "a", "")),
        (
            ("place", "", ["left of a", "on b"], ""),
            (Kind.PLACE, ("left of a", "on b"), "left of a, on b", ""),
        ),
        (("", "place: left of a", [], ""), (Kind.PLACE, ("left of a",), "place: left of a", "")),
        (("point", "what is it?", [], ""), (Kind.POINT, ("what is it?",), "what is it?", "")),
        (("ask", "point: x", [], ""), (Kind.ASK, ("point: x",), "point: x", "")),
        (("", "", ["@wrist a"], ""), (Kind.POINT, ("@wrist a",), "@wrist a", "")),
    ],
)
def test_structured(arguments, query):
    made = structured_query(*arguments)
    assert (made.kind, made.texts, made.written, made.camera) == query


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "", [], ""), "the query is empty"),
        (("ask", " ", [], ""), "the query is empty"),
        (("", "ask:", [], ""), "the query is empty"),
        (("juggle", "mug", [], ""), "kind is 'juggle'; valid: point, ask, count, place, or empty"),
        (("ask", "", ["mug"], ""), "takes a prompt and no labels"),
        (("point", "mug", ["mug"], ""), "a prompt and labels"),
        (("", "", ["mug", ""], ""), "a label of the query is empty"),
        (("", "", ["a" * 5000], ""), "5000 characters"),
        (("", "", ["mug"] * (MAX_LABELS + 1), ""), f"65 labels, at most {MAX_LABELS}"),
    ],
)
def test_structured_refused(arguments, message):
    with pytest.raises(QueryError, match=message):
        structured_query(*arguments)


@pytest.mark.parametrize("hidden", ["\u200b", "\ufeff", "\u202e", "\u200d"])
def test_hidden_characters_make_no_other_query(hidden):
    assert parse_query(f"@wrist red{hidden} cube{hidden}").texts == ("red cube",)
    assert structured_query("", "", [f"red{hidden} cube", "mug"], "").texts == ("red cube", "mug")
    with pytest.raises(QueryError, match="empty"):
        parse_query(hidden)
    with pytest.raises(QueryError, match="empty"):
        structured_query("", "", [hidden], "")
