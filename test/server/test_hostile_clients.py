# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What clients do to harm: a thousand at once, 200 MB, half of a request, no HTTP. The server goes on for others."""

import asyncio
import collections
import json
import threading
import time

import numpy as np
import openai
import pytest
from family_checkpoint import write_family_checkpoint
from running_server import PATIENCE, ServerProcess, ask, data_url, message

SMALL = data_url(np.zeros((4, 4, 3), np.uint8))
HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
TIMEOUT = 1.0


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """Of small limits."""
    limits = {"--client-timeout": TIMEOUT, "--max-waiting": 4, "--max-body": 1, "--max-clients": 2000}
    arguments = [str(word) for pair in limits.items() for word in pair]
    server = ServerProcess(tmp_path_factory.mktemp("strict"), *arguments)
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.errors.read_text()


@pytest.fixture(autouse=True)
def goes_on(strict):
    """Whatever was done, the next client is answered."""
    yield
    assert ask(strict.client(), SMALL, text="what?").choices[0].message.role == "assistant"


def everything(connection) -> bytes:
    """What comes until the other side closes."""
    received = bytearray()
    try:
        while piece := connection.recv(1 << 16):
            received += piece
    except ConnectionResetError:
        pass
    connection.close()
    return bytes(received)


def peak(server) -> int:
    """Most memory that the server has had [MB]."""
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) >> 10


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /v1/chat", HEAD.encode(), (HEAD + "Content-Length: 1000\r\n\r\n{").encode()],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
def test_half_a_request_holds_no_place(strict, sent):
    connection = strict.connect()
    connection.sendall(sent)
    answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"


@pytest.mark.parametrize(
    "begin", [b"", (HEAD + "Content-Length: 1000\r\n\r\n").encode()], ids=["head", "body"]
)
def test_a_trickle_gets_no_more_time(strict, begin):
    connection = strict.connect()
    connection.sendall(begin)
    ended = threading.Event()

    def trickle():
        try:
            for byte in b"GET /" + b"a" * 2000:
                connection.sendall(bytes([byte]))
                if ended.wait(TIMEOUT / 10):
                    return
        except OSError:
            pass

    thread = threading.Thread(target=trickle)
    thread.start()
    answer = everything(connection)
    ended.set()
    thread.join()
    assert answer.startswith(b"HTTP/1.1 408 ") or answer == b""


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\0\x01\0\x01\xfc", b"GET / HTTP/1.1\r\nA: " + b"b" * 99_999, bytes(5000) + b"\r\n\r\n"],
    ids=["TLS", "endless header", "zeros"],
)  # fmt: skip
def test_what_is_no_http_is_400(strict, sent):
    connection = strict.connect()
    try:
        connection.sendall(sent)
    except ConnectionResetError:
        return
    assert everything(connection)[:13] in (b"HTTP/1.1 400 ", b"")


def test_two_hundred_megabytes_are_refused_before_they_come(strict):
    before = peak(strict)
    url = "data:image/png;base64," + "A" * 200_000_000
    with pytest.raises(openai.APIStatusError) as caught:
        ask(strict.client(), url, text="what?")
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")
    assert "1024 KiB" in caught.value.message
    assert peak(strict) - before < 30


def test_a_body_without_a_length_is_refused_where_it_gets_too_large(strict):
    before = peak(strict)
    connection = strict.connect()
    connection.sendall((HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode())
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    try:
        while sent < 100 << 20:
            connection.sendall(piece)
            sent += 0x10000
    except OSError:
        pass
    answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 413 ") or (not answer and sent < 100 << 20)
    assert peak(strict) - before < 30


def test_a_body_that_never_ends_is_cut(strict):
    """Its answer has been given long ago."""
    connection = strict.connect()
    connection.sendall((HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode())
    started = time.monotonic()
    with pytest.raises(OSError):
        while time.monotonic() - started < PATIENCE:
            connection.sendall(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
            time.sleep(0.01)
    connection.close()


def test_a_length_that_is_none(strict):
    for length in ("-5", "9" * 30, "1e3", "0x10"):
        connection = strict.connect()
        connection.sendall(f"{HEAD}Content-Length: {length}\r\nConnection: close\r\n\r\n".encode())
        assert everything(connection)[:13] in (b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")


def test_a_thousand_clients(strict):
    """Four may wait: the others are told so, in time, and when to come again."""
    body = json.dumps({"model": "tiny", "messages": message(SMALL, text="what is it?")}).encode()
    request = f"{HEAD}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", strict.port)
        try:
            writer.write(request)
            await writer.drain()
            return await asyncio.wait_for(reader.read(), PATIENCE)
        finally:
            writer.close()

    async def all_of_them():
        return await asyncio.gather(*(one() for _ in range(1000)), return_exceptions=True)

    answers = asyncio.run(all_of_them())
    assert not [answer for answer in answers if not isinstance(answer, bytes)]
    statuses = collections.Counter(answer[9:12] for answer in answers)
    assert set(statuses) <= {b"200", b"429"} and statuses[b"200"] >= 5, statuses
    (late,) = {answer.partition(b"\r\n\r\n")[2] for answer in answers if answer[9:12] == b"429"} or {b""}
    assert json.loads(late)["error"]["type"] == "rate_limit_error" and "questions wait" in late.decode()
    assert all(b"retry-after:" in answer.lower() for answer in answers if answer[9:12] == b"429")


def test_more_connections_than_there_may_be(serve):
    server = serve("--max-clients", "40", "--client-timeout", "5")
    idle = [server.connect() for _ in range(60)]
    refused = [connection for connection in idle[40:] if connection.recv(100).startswith(b"HTTP/1.1 503 ")]
    assert len(refused) == 20
    for connection in idle:
        connection.close()
    patient = server.client(max_retries=5)
    assert ask(patient, SMALL, text="what?").choices


@pytest.fixture(scope="module")
def rambling(tmp_path_factory):
    """A model of random weights, which says as much as it may: every answer takes a while."""
    folder = write_family_checkpoint(tmp_path_factory.mktemp("rambling") / "rambling", "molmo2-4b-tiny")
    server = ServerProcess(folder.parent, "--model", str(folder), "--engine", "torch", "--most-together", "1")
    yield server
    assert server.stop() == 0


def test_the_model_stops_where_the_client_goes(rambling):
    """One is being answered, one waits: both are given up, and nobody waits for them."""
    body = {"model": "rambling", "messages": message(SMALL, text="go on"), "max_tokens": 100_000}
    data = json.dumps(body | {"stream": True}).encode()
    request = f"{HEAD}Content-Length: {len(data)}\r\n\r\n".encode() + data
    answered, waiting = rambling.connect(), rambling.connect()
    answered.sendall(request)
    assert b"200 OK" in answered.recv(4096)
    waiting.sendall(request)
    until(lambda: rambling.metric("molmo_waiting") == 1)
    answered.close()
    waiting.close()
    until(lambda: rambling.metric('molmo_answers_total{status="CANCELLED"}') == 1)
    until(lambda: rambling.metric("molmo_waiting") == 0 and rambling.metric("molmo_upload_bytes") == 0)
    reply = ask(rambling.client(), SMALL, text="say", model="rambling", max_tokens=3)
    assert reply.usage.completion_tokens == 3
    assert rambling.metric("molmo_pack_questions_sum") == 2  # the one that waited was never asked


def test_a_time_limit_ends_an_answer_with_what_there_is(rambling):
    reply = ask(
        rambling.client(),
        SMALL,
        text="go on",
        model="rambling",
        max_tokens=100_000,
        molmo={"time_limit": 0.5},
    )
    choice = reply.choices[0]
    assert (choice.finish_reason, choice.molmo["status"], choice.molmo["limit"]) == (
        "length",
        "TIMEOUT",
        "time_limit",
    )
    assert choice.message.content and reply.usage.completion_tokens > 0


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
