# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Servers that refuse, hang, cut off, lie and babble, as real sockets: each ends in a sentence, and none hangs."""

import json
import logging
import socket
import time
import traceback

import pytest
from scripted_server import MODEL, ScriptedServer, chunk, say, tls_context

from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.status import Status
from molmo_ros.remote.remote_load import remote_molmo
from molmo_ros.remote.server_address import KEY, ServerAddress
from molmo_ros.remote.server_error import ServerError, Trouble

PATIENCE = 0.6


def hangs(link, request):
    link.wait_for_end()


def half(link, request):
    link.begin_stream()
    link.event(chunk('<points coords="1 1 250 500'))
    link.close()


def half_json(link, request):
    link.reply(b'{"choices": [{"mess', length=5000)
    link.close()


def stops(link, request):
    link.begin_stream()
    link.event(chunk('<points coords="1 1 250'))
    link.wait_for_end()


def comments(link, request):
    link.begin_stream()
    while True:
        link.piece(b": keep-alive\n\n")
        time.sleep(0.05)


def header_by_header(link, request):
    link.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        link.send(b"X-More: 1\r\n")
        time.sleep(0.05)


def words_without_end(link, request):
    link.begin_stream()
    piece = chunk("words " * 2000)
    for _ in range(1000):  # 12 MB
        link.event(piece)
    link.event(chunk(finish="stop"))
    link.end_stream()


def one_long_line(link, request):
    link.begin_stream()
    for _ in range(20):
        link.piece(b"x" * (1 << 20))


def one_long_body(link, request):
    link.reply(json.dumps({"choices": [{"message": {"content": "w " * (10 << 20)}}]}).encode())


def one_long_answer(link, request):
    content = "word " * (400 << 10)
    link.json({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})


def event(value):
    def chat(link, request):
        link.begin_stream()
        link.event(value)
        link.end_stream()

    return chat


def status(line, body=b"{}", kind="application/json", headers=()):
    return lambda link, request: link.reply(body, kind, line, headers)


HTML = b"<html><body><h1>Welcome to the router</h1></body></html>"
BAD = {
    "hangs": (hangs, Trouble.SILENT, "took the question and has said nothing for"),
    "closes": (lambda link, request: link.close(), Trouble.CUT, "ended the connection without an answer"),
    "half a stream": (half, Trouble.CUT, "in the middle of an answer"),
    "half a body": (half_json, Trouble.CUT, "in the middle of an answer"),
    "stops": (stops, Trouble.SILENT, "stopped in the middle of an answer, and has said nothing for"),
    "only comments": (comments, Trouble.SILENT, "has said nothing for"),
    "drips its header": (header_by_header, Trouble.SILENT, "has said nothing for"),
    "wrong length": (
        lambda link, request: (link.reply(b"{}", length=3), link.close()),
        Trouble.CUT,
        "in the middle of an answer",
    ),
    "no http": (
        lambda link, request: (link.send(b"220 smtp ready\r\n\r\n"), link.close()),
        Trouble.CUT,
        "without an",
    ),
    "html": (
        status("200 OK", HTML, "text/html"),
        Trouble.NONSENSE,
        "answers with text/html; is it the address of",
    ),
    "html as json": (
        status("200 OK", HTML),
        Trouble.NONSENSE,
        "Welcome to the router</h1></body></html>', which is no",
    ),
    "no json": (event(b"{nonsense"), Trouble.NONSENSE, "'{nonsense', which is no JSON"),
    "a list": (event([1, 2]), Trouble.NONSENSE, "'[1, 2]' where an answer should be"),
    "no choices": (event({"hello": "world"}), Trouble.NONSENSE, "an answer without choices"),
    "numbers for text": (
        event({"choices": [{"delta": {"content": 5}}]}),
        Trouble.NONSENSE,
        "where text should be",
    ),
    "deep nesting": (event(b"[" * 100_000), Trouble.NONSENSE, "which is no JSON"),
    "no end": (event(chunk("cups")), Trouble.CUT, "in the middle of an answer"),
    "another model": (
        say("yes", model="a/Molmo2-4B"),
        Trouble.REFUSED,
        "answers with the model 'a/Molmo2-4B', and",
    ),
    "words without end": (words_without_end, Trouble.NONSENSE, "writes on and on"),
    "one long answer": (one_long_answer, Trouble.NONSENSE, "writes on and on"),
    "one long line": (one_long_line, Trouble.NONSENSE, "more than an answer takes"),
    "one long body": (one_long_body, Trouble.NONSENSE, "more than 16384 KiB"),
    "an error in the stream": (
        event({"error": {"message": "CUDA out of memory"}}),
        Trouble.FAILED,
        "'CUDA out of",
    ),
    "an error that is no json": (event(b'{"error": "a "quoted" word"}'), Trouble.FAILED, "while it answered"),
    "an odd end": (say("yes", finish="abort"), Trouble.FAILED, "ended the answer with 'abort'"),
    "400": (
        status("400 Bad Request", b'{"detail": "no such field"}'),
        Trouble.REQUEST,
        "request (400): 'no such field'",
    ),
    "401": (
        status("401 Unauthorized", b'{"error": "key sk-1234"}'),
        Trouble.REFUSED,
        f"another key (401): set {KEY}",
    ),
    "404": (status("404 Not Found"), Trouble.UNKNOWN, "knows no such model or address (404)"),
    "413": (status("413 Content Too Large", HTML), Trouble.REQUEST, "does not take the request (413)"),
    "429": (status("429 Too Many Requests"), Trouble.BUSY, "has too much to do (429)"),
    "500": (
        status("500 Internal Server Error", b'{"error": "\\u001b[2Jboom"}'),
        Trouble.FAILED,
        "failed (500): '[2Jboom'",
    ),
    "503": (status("503 Service Unavailable", HTML, "text/html"), Trouble.FAILED, "has failed (503)"),
    "302": (
        status("302 Found", headers=["Location: http://127.0.0.1:9/v1/chat/completions"]),
        Trouble.REFUSED,
        "sends elsewhere (302), which is not followed",
    ),
    "zipped": (
        status("200 OK", b"\x1f\x8b" + b"0" * 100, headers=["Content-Encoding: gzip"]),
        Trouble.NONSENSE,
        "in a coding that it was not asked for",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_each_ends_in_its_sentence(server, picture, case):
    server.chat, trouble, words = BAD[case]
    model = remote_molmo(server.url, patience=PATIENCE if trouble in (Trouble.SILENT, Trouble.BUSY) else 60)
    with pytest.raises(ServerError) as caught:
        model.point(picture, "cup", options=GenerateOptions(time_limit=30.0))
    text = str(caught.value)
    assert caught.value.trouble is trouble and words in text, text
    assert text.startswith(server.url) and text.isprintable() and len(text) < 1500 and "1234" not in text
    state = model.state()
    assert state.failures == 1
    assert state.up is (trouble in (Trouble.BUSY, Trouble.REQUEST))
    assert trouble in (Trouble.BUSY, Trouble.REQUEST) or state.reason == text
    # And it is asked again, with success, as soon as it is right.
    server.chat = say("There are none.")
    assert model.point(picture, "cup").status is Status.NOT_FOUND and model.state().up


def test_bad_candidates_cost_the_scores_alone(server, picture):
    odd = [
        {"content": 5},
        {"content": [{"token": 5}]},
        {"content": [{"token": "a", "logprob": "b"}]},
        [],
        "x",
    ]
    odd += [{"content": [{"token": "a", "logprob": float("nan"), "top_logprobs": 7}]}]
    for logprobs in odd:
        server.chat = event(chunk('<points coords="1 1 250 500">c</points>', "stop", logprobs=logprobs))
        (point,) = remote_molmo(server.url).point(picture, "cup").points
        assert (point.x, point.y, point.confidence) == (50, 60, None)


def test_nobody_listens(picture):
    gone = ScriptedServer()
    gone.stop()
    with pytest.raises(ServerError, match="cannot be reached: Connection refused") as caught:
        remote_molmo(gone.url)
    assert caught.value.trouble is Trouble.UNREACHABLE


def test_a_name_that_is_none():
    with pytest.raises(ServerError, match="molmo-server.invalid:8000/v1 cannot be reached") as caught:
        remote_molmo("http://molmo-server.invalid:8000")
    assert caught.value.trouble is Trouble.UNREACHABLE


def test_a_server_that_takes_connections_and_reads_nothing(picture):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        with pytest.raises(ServerError, match="did not answer within") as caught:
            remote_molmo(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert caught.value.trouble is Trouble.SILENT


@pytest.mark.parametrize(
    "models, words",
    [
        (lambda link: link.reply(HTML, "text/html"), "answers models with text/html that is no JSON"),
        (lambda link: link.reply(HTML, "text/html", "404 Not Found"), "knows no such model or address"),
        (lambda link: link.json({}, "401 Unauthorized"), f"wants another key (401): set {KEY}"),
        (lambda link: link.json({"data": "x" * (5 << 20)}), "more than 4096 KiB"),
        (lambda link: link.close(), "ended the connection without an answer"),
    ],
)
def test_lists_of_models_that_are_none(server, models, words):
    server.models = models
    with pytest.raises(ServerError) as caught:
        remote_molmo(server.url)
    assert words in str(caught.value) and str(caught.value).startswith(server.url)


def test_a_named_model_needs_no_list(server, picture):
    server.models = lambda link: link.reply(HTML, "text/html", "404 Not Found")
    assert remote_molmo(server.url, MODEL).ask(picture, "What?").text == "There are none."


def test_tls_is_held_against_a_certificate(tmp_path, picture):
    context, certificate = tls_context(tmp_path)
    server = ScriptedServer(context=context)
    try:
        assert server.url.startswith("https")
        assert remote_molmo(server.url, certificate=str(certificate)).ask(picture, "What?").text
        with pytest.raises(ServerError, match="cannot be reached: .*certificate") as caught:
            remote_molmo(server.url)
        assert caught.value.trouble is Trouble.UNREACHABLE
        with pytest.raises(ServerError, match="certificate cannot be read from"):
            remote_molmo(server.url, certificate=str(tmp_path / "nothing.pem"))
        with pytest.raises(ServerError, match="cannot be reached"):
            remote_molmo(server.url.replace("127.0.0.1", "localhost"), certificate=str(certificate))
    finally:
        server.stop()
    plain = ScriptedServer()
    try:
        with pytest.raises(ServerError, match="cannot be reached"):
            remote_molmo(plain.url.replace("http:", "https:"), certificate=str(certificate))
    finally:
        plain.stop()


@pytest.mark.parametrize(
    "address, words",
    [
        ("", "it is empty"),
        ("workstation:8000", "neither http:// nor https://"),
        ("ftp://host/v1", "neither http:// nor https://"),
        ("http://", "names no host"),
        ("http://host:99999", "ort"),
        ("http://host/v1?x=1", "query"),
        ("http://ho st", "blanks"),
        ("http://h\nost", "blanks"),
        ("http://user:secret@host:8000", f"put the server's key into {KEY}"),
        ("http://secret@host:8000", "does not belong there"),
    ],
)
def test_addresses_that_are_none(address, words):
    with pytest.raises(ServerError) as caught:
        ServerAddress.of(address)
    assert words in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address, base",
    [
        ("http://host:8000", "http://host:8000/v1"),
        ("http://host:8000/v1/", "http://host:8000/v1"),
        ("https://host/molmo", "https://host/molmo/v1"),
        (" http://[::1]:8000/v1/chat/completions ", "http://[::1]:8000/v1"),
    ],
)
def test_addresses_that_are_some(address, base):
    assert ServerAddress.of(address).base == base


def test_the_key_is_sent_and_never_shown(server, picture, monkeypatch, caplog):
    key = "sk-very-secret-7f3a"
    monkeypatch.setenv(KEY, key)
    caplog.set_level(logging.DEBUG)
    shown = []
    model = remote_molmo(server.url)
    said = json.dumps({"error": {"message": f"Bearer {key} is not enough"}}).encode()
    for line in ("400 Bad Request", "401 Unauthorized", "500 Internal Server Error"):
        server.chat = status(line, said)
        try:
            model.ask(picture, "What?")
        except ServerError:
            shown.append(traceback.format_exc())
    server.chat = event(f'{{"error": "{key}'.encode())
    try:
        model.ask(picture, "What?")
    except ServerError:
        shown.append(traceback.format_exc())
    assert len(shown) == 4 and {one.headers["authorization"] for one in server.requests} == {f"Bearer {key}"}
    everything = "\n".join([*shown, caplog.text, repr(model.state()), repr(ServerAddress.of(server.url))])
    assert key not in everything and "***" in everything
    assert key not in json.dumps(server.asked)


@pytest.mark.parametrize("key", ["two words", "line\nend", "k\u00e4se", "x" * 5000])
def test_a_key_that_cannot_be_sent(monkeypatch, key):
    with pytest.raises(ServerError) as caught:
        ServerAddress.of("http://host", environment={KEY: key})
    assert KEY in str(caught.value) and key not in str(caught.value)


def test_no_proxy_and_no_password_of_the_environment(server, picture, monkeypatch, tmp_path):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert remote_molmo(server.url).ask(picture, "What?").text
    assert all("authorization" not in one.headers for one in server.requests)


def test_a_key_that_others_can_read_is_warned_of(monkeypatch, caplog):
    monkeypatch.setenv(KEY, "secret-key")
    assert ServerAddress.of("http://192.168.1.20:8000").shows_key
    assert not ServerAddress.of("https://192.168.1.20:8000").shows_key
    assert not ServerAddress.of("http://127.0.0.1:8000").shows_key
    from molmo_ros.remote.server_link import ServerLink

    ServerLink(ServerAddress.of("http://192.168.1.20:8000")).close()
    assert "without encryption" in caplog.text and "secret-key" not in caplog.text
