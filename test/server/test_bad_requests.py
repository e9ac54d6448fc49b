# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What clients do wrong by mistake: each is an error in OpenAI's shape, which names the field at fault."""

import base64
import http.client
import json

import cv2
import numpy as np
import openai
import pytest
from running_server import ask, coded, data_url, message

SMALL = data_url(np.zeros((4, 4, 3), np.uint8))


def refused(client, **fields):
    """The error of a request that is fine but for some fields."""
    extra = fields.pop("extra_body", None)
    asked = {"model": "tiny", "messages": message(SMALL, text="what?")} | fields
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**asked, extra_body=extra)
    assert caught.value.type and caught.value.message
    return caught.value


@pytest.mark.parametrize(
    "field, value",
    [
        ("n", 2),
        ("n", True),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("response_format", {"type": "json_object"}),
        ("temperature", 0.7),
        ("stop", ["."]),
        ("tools", [{"type": "function", "function": {"name": "grasp"}}]),
        ("tool_choice", "required"),
        ("logit_bias", {"50256": -100}),
        ("presence_penalty", 0.1),
        ("frequency_penalty", -1),
        ("audio", {"voice": "ash", "format": "wav"}),
        ("modalities", ["text", "audio"]),
        ("store", True),
        ("reasoning_effort", "high"),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("max_completion_tokens", -3),
    ],
)
def test_what_is_not_supported_is_refused(served, field, value):
    error = refused(served.client(), **{field: value})
    assert (error.status_code, error.param, error.type) == (400, field, "invalid_request_error")
    assert field in error.message and repr(value)[:80] in error.message


def test_options_of_a_stream_go_with_one(served):
    error = refused(served.client(), stream_options={"include_usage": True})
    assert (error.status_code, error.param) == (400, "stream_options")
    error = refused(served.client(), stream=True, stream_options={"include_usage": "yes"})
    assert error.param == "stream_options.include_usage"
    error = refused(served.client(), stream=True, stream_options={"include_obfuscation": True})
    assert error.param == "stream_options.include_obfuscation"


def test_unknown_fields_are_refused(served):
    error = refused(served.client(), extra_body={"guided_json": {}})
    assert (error.status_code, error.param, error.code) == (400, "guided_json", "unknown_parameter")


@pytest.mark.parametrize(
    "molmo, param, said",
    [
        ("point", "molmo", "must be an object"),
        ({"kind": "segment"}, "molmo.kind", "valid: query, ask, point, place, count, describe"),
        ({"kind": "point", "label": ["a", "b"]}, "molmo.label", "must be text"),
        ({"kind": "point", "label": "cup"}, "molmo.label", "say it in one of them"),
        ({"kind": "ask", "label": "cup"}, "molmo.label", "not with ask"),
        ({"kind": "describe"}, "messages", "a description takes no words"),
        ({"kind": "query", "max_points": 0}, "molmo.max_points", "from 1 to"),
        ({"kind": "query", "max_crops": 1e3}, "molmo.max_crops", "from 1 to 1000"),
        ({"time_limit": -1}, "molmo.time_limit", "above 0 and up to 30"),
        ({"time_limit": 3600}, "molmo.time_limit", "above 0 and up to 30"),
        ({"radius": 3}, "molmo.radius", "valid: kind, label"),
    ],
)
def test_the_field_of_points_is_checked(served, molmo, param, said):
    error = refused(served.client(), extra_body={"molmo": molmo})
    assert (error.status_code, error.param) == (400, param) and said in error.message


@pytest.mark.parametrize(
    "messages, param, said",
    [
        ([], "messages", "must be a list"),
        ("what?", "messages", "must be a list"),
        ([7], "messages[0]", "must be an object"),
        ([{"role": "user", "content": "what?"}], "messages[0].content", "has no image"),
        (message(SMALL), "messages", "the message has no text"),
        (message(SMALL, text=" \n"), "messages", "the message has no text"),
        ([*message(SMALL, text="a"), *message(SMALL, text="b")], "messages", "there are 2 messages of the user"),
        (
            [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}],
            "messages[1].role",
            "trained on single questions",
        ),
        ([{"role": "system", "content": "Be kind."}, *message(SMALL, text="a")], "messages[0].role", "system"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "messages[0].content[0].type", "input_audio"),
        ([{"role": "user", "content": 5}], "messages[0].content", "must be text, or a list"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": SMALL, "detail": "low"}}]}],
            "messages[0].content[0].image_url.detail",
            "max_crops",
        ),
        (message(*[SMALL] * 17, text="a"), "messages[0].content", "17 images; this server takes up to 16"),
    ],
    ids=str,
)  # fmt: skip
def test_messages_are_checked(served, messages, param, said):
    error = refused(served.client(), messages=messages)
    assert (error.status_code, error.param) == (400, param) and said in error.message


PNG = coded(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))


def claiming(width, height):
    """A PNG that says it is that large."""
    import zlib

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + PNG[24:29]
    return PNG[:16] + head + zlib.crc32(b"IHDR" + head).to_bytes(4, "big") + PNG[33:]


@pytest.mark.parametrize(
    "url, code, said",
    [
        ("http://192.0.2.1/cat.png", "invalid_image_url", "fetches no addresses and reads no files"),
        ("file:///etc/passwd", "invalid_image_url", "reads no files"),
        ("/etc/passwd", "invalid_image_url", "reads no files"),
        ("", "invalid_image_url", "data URL"),
        ("data:image/png,abc", "invalid_image", "not in Base64"),
        ("data:image/png;base64,@@@@", "invalid_base64", "Base64 is damaged"),
        ("data:image/png;base64,iVBORw0", "invalid_base64", "Base64 is damaged"),
        ("data:image/png;base64,ä", "invalid_base64", "Base64 is damaged"),
        ("data:image/png;base64,", "invalid_image", "it has no bytes"),
        (data_url(PNG[:40]), "invalid_image", "40 bytes cannot be read"),
        (data_url(b"GIF89a" + bytes(20), ".png"), "invalid_image", "a GIF"),
        (data_url(b"<html>", ".png"), "invalid_image", "neither JPEG, PNG, WebP nor TIFF"),
        (data_url(PNG, kind="image/jpeg"), "invalid_image", "its type is 'image/jpeg' and its bytes are PNG"),
        (data_url(PNG, kind="text/html"), "invalid_image", "its type is 'text/html'"),
        (data_url(claiming(30_000, 30_000)), "invalid_image", "cannot be read"),
        (data_url(coded(np.zeros((8200, 8200, 3), np.uint8))), "image_too_large", "claims 8200x8200 px"),
    ],
    ids=range(16),
)  # fmt: skip
def test_pictures_are_checked_before_they_are_decoded(served, url, code, said):
    error = refused(served.client(), messages=message(url, text="what?"))
    assert (error.status_code, error.code) == (400, code) and said in error.message
    assert error.param == "messages[0].content[0].image_url.url"


def test_pictures_of_a_request_are_bounded_together(served):
    """Each is small enough."""
    large = data_url(coded(np.zeros((5000, 5000, 3), np.uint8)))
    error = refused(served.client(), messages=message(large, large, large, text="what?"))
    assert (error.status_code, error.code, error.param) == (400, "image_too_large", "messages[0].content")
    assert "75000000 px together" in error.message


def test_a_picture_that_only_its_decoder_finds_damaged_is_400(served):
    data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))[
        1
    ].tobytes()
    png = bytearray(coded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    png[60:90] = bytes(30)  # within the compressed rows: every chunk is whole
    error = refused(served.client(), messages=message(data_url(bytes(png)), text="what?"), stream=True)
    assert error.status_code == 400 and "damaged" in error.message
    assert ask(served.client(), data_url(data, ".jpeg"), text="what?").choices  # the server goes on


def test_a_prompt_that_is_too_long_is_400(served):
    for words in ("word " * 3000, "x" * 2_000_000):
        error = refused(served.client(), messages=message(SMALL, text=words))
        assert (error.status_code, error.code) == (400, "context_length_exceeded")
        assert "the model's context of" in error.message


def test_a_model_that_is_not_served_is_404(served):
    error = refused(served.client(), model="molmo2-72b")
    assert (error.status_code, error.code, error.param) == (404, "model_not_found", "model")


def test_a_family_that_sees_one_picture_says_so(family_server):
    error = refused(family_server.client(), model="one", messages=message(SMALL, SMALL, text="what?"))
    assert error.status_code == 400 and "models of the 0924 family take one" in error.message


@pytest.fixture(scope="module")
def family_server(tmp_path_factory):
    from family_checkpoint import write_family_checkpoint
    from running_server import ServerProcess

    folder = write_family_checkpoint(tmp_path_factory.mktemp("family") / "one", "molmo-7b-d-tiny")
    server = ServerProcess(folder.parent, "--model", str(folder))
    yield server
    assert server.stop() == 0


def post(served, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"} | headers)
    response = connection.getresponse()
    found = response.status, json.loads(response.read())["error"]
    connection.close()
    return found


@pytest.mark.parametrize(
    "body, said",
    [
        (b"", "the body is no JSON"),
        (b"{", "the body is no JSON"),
        (b"[]", "must be a JSON object"),
        (b"\xff\xfe", "the body is no JSON"),
        (b'{"model": NaN}', "NaN is no JSON"),
        (b'{"model": ' + b"9" * 5000 + b"}", "the body is no JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"model": 3, "messages": []}', "model is 3"),
        (b'{"model": "tiny", "messages": [], "stream": "yes"}', "stream is 'yes'"),
        (b'{"model": "tiny", "messages": [], "\\ud800": 1}', "unknown field"),
    ],
    ids=range(10),
)
def test_bodies_are_checked(served, body, said):
    status, error = post(served, body)
    assert status == 400 and said in error["message"] and error["type"] == "invalid_request_error"


def test_other_addresses_and_types(served):
    assert post(served, b"{}", **{"Content-Type": "text/plain"})[0] == 415
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    for method, path, status in (
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/../../etc/passwd", 404),
        ("OPTIONS", "/v1/chat/completions", 405),
    ):
        connection.request(method, path)
        response = connection.getresponse()
        error = json.loads(response.read())["error"]
        assert (response.status, error["code"]) == (status, "unknown_url") and error["message"]


def test_a_page_of_a_browser_reaches_nothing(served):
    """Its name is rebound to this machine (DNS rebinding), or it sends what needs no leave of the server."""
    status, error = post(served, b"{}", Host="evil.example:80")
    assert (status, error["code"]) == (403, "wrong_host")
    for host in ("localhost:1", "127.0.0.1", "[::1]:8000"):
        assert post(served, b"{}", Host=host)[0] == 400


def test_a_picture_of_sixteen_bits_says_how_it_was_read(served):
    grey = np.linspace(0, 1000, 64 * 64, dtype=np.uint16).reshape(64, 64)
    url = "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", grey)[1].tobytes()).decode()
    (note,) = ask(served.client(), url, text="what?").choices[0].molmo["notes"]
    assert "bits" in note or "stretched" in note
