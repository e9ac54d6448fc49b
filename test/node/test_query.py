import pytest

from molmo_ros.node.query import MAX_QUERY_CHARS, Kind, QueryError, parse_query


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


@pytest.mark.parametrize("written", ["", " \t\n", "ask:", "count:  ", "point to", "Point To "])
def test_empty(written):
    with pytest.raises(QueryError, match="empty"):
        parse_query(written)


def test_too_long():
    with pytest.raises(QueryError, match="100000 characters, at most 4096"):
        parse_query("a" * 100_000)
