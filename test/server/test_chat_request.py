# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Requests that nobody would send on purpose: each is read, or refused in a sentence; nothing else comes of any."""

import copy
import json
import random

import numpy as np
import pytest
from running_server import data_url, message

from molmo_ros.server.asking import AskingKind
from molmo_ros.server.chat_request import RequestBounds, read_chat_request
from molmo_ros.server.request_error import RequestError

URL = data_url(np.zeros((4, 4, 3), np.uint8))
GOOD = {
    "model": "tiny",
    "messages": [{"role": "system", "content": ""}, *message(URL, text="red cube")],
    "molmo": {"kind": "point", "max_points": 3, "max_crops": 2, "time_limit": 5},
    "max_tokens": 50,
    "max_completion_tokens": 20,
    "temperature": 0,
    "n": 1,
    "stream": True,
    "stream_options": {"include_usage": True},
    "response_format": {"type": "text"},
    "stop": None,
    "tools": [],
    "seed": 7,
}
ODD = [
    *[None, True, False, 0, 1, -1, 1.5, 1e308, 10**400, "", "x", "\ud800", "\0", "a" * 10_000, URL, URL[:40]],
    *[
        [],
        [None],
        [[]],
        {},
        {"": None},
        {"type": "text"},
        {"url": URL},
        [{"type": "text"}],
        {"kind": "count"},
    ],
]


def places(value, path=()):
    """Every part of a request."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def changed(rng, value):
    """A copy in which a part is another value, is missing, is there twice or has another name."""
    value = copy.deepcopy(value)
    *way, last = rng.choice([path for path in places(value) if path])
    parent = value
    for key in way:
        parent = parent[key]
    action = rng.randrange(4)
    if action == 0:
        del parent[last]
    elif action == 1 and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[last]))
    elif action == 2 and isinstance(parent, dict):
        parent[rng.choice(["", "url", "text", "label", "\ud800", "a" * 300])] = parent.pop(last)
    else:
        parent[last] = copy.deepcopy(rng.choice(ODD))
    return value


def test_a_whole_request_is_read():
    chat = read_chat_request(json.dumps(GOOD).encode(), RequestBounds())
    assert (chat.model, chat.max_tokens, chat.stream, chat.include_usage) == ("tiny", 20, True, True)
    asking = chat.asking
    assert (asking.kind, asking.words, asking.label) == (AskingKind.POINT, "red cube", "red cube")
    assert (asking.max_points, asking.max_crops, asking.time_limit) == (3, 2, 5.0)
    assert (chat.pictures[0].coded.width, chat.pictures[0].coded.kind) == (4, "PNG")


@pytest.mark.parametrize("seed", range(4))
def test_changed_requests(seed):
    rng, read, refused = random.Random(seed), 0, set()
    for _ in range(1500):
        request = GOOD
        for _ in range(rng.choice((1, 1, 2, 3))):
            request = changed(rng, request)
        try:
            chat = read_chat_request(json.dumps(request).encode(), RequestBounds())
        except RequestError as error:
            assert error.status == 400 and error.message and len(error.message) < 1500
            json.dumps(error.body)
            refused.add(error.message[:20])
        else:
            assert chat.pictures and (chat.asking.words.strip() or chat.asking.kind is AskingKind.DESCRIBE)
            read += 1
    assert read > 50 and len(refused) > 30


@pytest.mark.parametrize("depth", [50, 500, 900, 5000, 100_000])
@pytest.mark.parametrize("field", ["model", "messages", "molmo", "n", "stop", "tools"])
def test_nesting(field, depth):
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        deep = opening * depth + "1" + closing * depth
        body = json.dumps({**GOOD, field: "DEEP"}).replace('"DEEP"', deep)
        with pytest.raises(RequestError):
            read_chat_request(body.encode(), RequestBounds())
