# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Requests for chat completions: read whole, or refused with a sentence that names the field.

What is not supported is refused, never ignored: an answer that silently is another one than was asked for misleads.
Source of the fields: OpenAI's API reference, "Create chat completion".
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from molmo_ros.server.asking import Asking, AskingKind, read_asking
from molmo_ros.server.request_error import bad_request
from molmo_ros.server.sent_picture import SentPicture, read_data_url

MOST_TOKENS = 1 << 20
_READ = ("messages", "model", "molmo", "max_completion_tokens", "max_tokens", "stream", "stream_options")
_WITHOUT_EFFECT = (
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "seed",
    "top_p",
    "user",
    "verbosity",
)
"""Fields that change no answer of a model that always takes the likeliest token."""
_NEUTRAL: dict[str, tuple[tuple[Any, ...], str]] = {
    "audio": ((None,), "this model speaks no audio"),
    "frequency_penalty": ((None, 0), "tokens are the likeliest, without penalties"),
    "function_call": ((None, "none"), "this model calls no functions"),
    "functions": ((None, []), "this model calls no functions"),
    "logit_bias": ((None, {}), "tokens are the likeliest, without a bias"),
    "logprobs": (
        (None, False),
        "log probabilities are not given; points have a score, choices[0].molmo.points[i].score",
    ),
    "modalities": ((None, ["text"]), "this model writes text only"),
    "n": ((None, 1), "there is one answer: the likeliest"),
    "parallel_tool_calls": ((None, False, True), ""),
    "prediction": ((None,), "predictions are not taken; guesses are made by the server itself"),
    "presence_penalty": ((None, 0), "tokens are the likeliest, without penalties"),
    "reasoning_effort": ((None, "none"), "this model does not reason before it answers"),
    "response_format": (
        (None, {"type": "text"}),
        "this model writes text; points as JSON are in choices[0].molmo",
    ),
    "service_tier": ((None, "auto", "default"), "there is one tier"),
    "stop": (
        (None, []),
        "answers end where the model ends them; molmo.max_points ends them after so many points",
    ),
    "store": ((None, False), "nothing is stored"),
    "temperature": ((None, 0), "tokens are the likeliest ones, always: leave it out, or 0"),
    "tool_choice": ((None, "none", "auto"), "this model calls no tools"),
    "tools": ((None, []), "this model calls no tools"),
    "top_logprobs": ((None, 0), "log probabilities are not given"),
    "web_search_options": ((None,), "this server searches nothing"),
}
"""Fields of which only some values mean what is done anyway, and why others are refused."""


@dataclass(frozen=True)
class RequestBounds:
    """What a request may hold.

    Attributes:
        pixels: Of all pictures of one request together [px].
        pictures: Of one request.
        seconds: Longest time of one query [s].
        prepend_system: Whether the words of a system message go before the user's; else it is refused.
    """

    pixels: int = 1 << 26
    pictures: int = 16
    seconds: float = 120.0
    prepend_system: bool = False


@dataclass(frozen=True)
class ChatRequest:
    """A request that may be asked.

    Attributes:
        model: Which one is meant.
        pictures: What it is about, in their order.
        asking: What is asked.
        max_tokens: Longest answer [tokens]; None for the usual.
        stream: Whether the answer comes in pieces.
        include_usage: Whether the last piece says how many tokens there were.
    """

    model: str
    pictures: tuple[SentPicture, ...]
    asking: Asking
    max_tokens: int | None = None
    stream: bool = False
    include_usage: bool = False


def read_chat_request(body: bytes | bytearray, bounds: RequestBounds) -> ChatRequest:
    """A request's body, read.

    Raises:
        RequestError: 400, with the field that is at fault.
    """
    try:
        return _read(_json(body), bounds)
    except RecursionError:  # of the parser, or of what shows a value in an error
        raise bad_request("the body is nested too deeply") from None


def _read(request: Any, bounds: RequestBounds) -> ChatRequest:
    if not isinstance(request, dict):
        raise bad_request(f"the body is {request!r:.80}; it must be a JSON object")
    for name, value in request.items():
        _check_field(name, value)
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise bad_request(f"model is {model!r:.80}; it must be a model's name, see /v1/models", "model")
    stream = _flag(request.get("stream"), "stream")
    system, text, pictures = _read_messages(request.get("messages"), bounds)
    asking = read_asking(request.get("molmo"), text, bounds.seconds)
    if system:
        asking = _told(asking, system)
    return ChatRequest(
        model,
        pictures,
        asking,
        _max_tokens(request),
        stream,
        _include_usage(request.get("stream_options"), stream),
    )


def _json(body: bytes | bytearray) -> Any:
    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(bytes(body).decode("utf-8"), parse_constant=constant)
    except ValueError as error:  # no UTF-8, no JSON, a number of too many digits
        raise bad_request(f"the body is no JSON: {str(error):.200}") from None


def _check_field(name: str, value: Any) -> None:
    """Refuses what would have to be ignored."""
    if name in _READ or name in _WITHOUT_EFFECT:
        return
    if name not in _NEUTRAL:
        raise bad_request(f"unknown field {name!r:.80}", name[:80], "unknown_parameter")
    accepted, why = _NEUTRAL[name]
    # True and False are 1 and 0 in Python, but not in JSON.
    if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in accepted):
        valid = " or ".join(json.dumps(one) for one in accepted)
        raise bad_request(
            f"{name} is {value!r:.80}, which is not supported (valid: {valid}): {why}",
            name,
            "unsupported_value",
        )


def _flag(value: Any, name: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise bad_request(f"{name} is {value!r:.80}; it must be true or false", name)
    return bool(value)


def _include_usage(options: Any, stream: bool) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict) or set(options) - {"include_usage", "include_obfuscation"}:
        raise bad_request(
            f"stream_options is {options!r:.80}; it must be an object with include_usage", "stream_options"
        )
    if options.get("include_obfuscation") not in (None, False):
        raise bad_request(
            "stream_options.include_obfuscation is not supported: pieces are as long as their text",
            "stream_options.include_obfuscation",
            "unsupported_value",
        )
    if not stream:
        raise bad_request("stream_options goes with stream: true", "stream_options")
    return _flag(options.get("include_usage"), "stream_options.include_usage")


def _max_tokens(request: dict[str, Any]) -> int | None:
    given = {
        name: request[name]
        for name in ("max_tokens", "max_completion_tokens")
        if request.get(name) is not None
    }
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_TOKENS:
            raise bad_request(
                f"{name} is {value!r:.80}; it must be a whole number from 1 to {MOST_TOKENS}", name
            )
    return min(given.values(), default=None)


def _told(asking: Asking, system: list[str]) -> Asking:
    """With the words of a system before the user's."""
    if asking.kind not in (AskingKind.QUERY, AskingKind.ASK):
        raise bad_request(
            f"a message of the system goes with molmo.kind query and ask, not with {asking.kind.value}, whose words "
            "are those that the model was trained on",
            "messages",
        )
    return replace(asking, words="\n".join([*system, asking.words]))


def _read_messages(messages: Any, bounds: RequestBounds) -> tuple[list[str], str, tuple[SentPicture, ...]]:
    """The words of a system, and those and the pictures of the one message of a user."""
    if not isinstance(messages, list) or not messages:
        raise bad_request("messages must be a list with one message of the user", "messages")
    words: list[str] = []
    users: list[tuple[str, dict[str, Any]]] = []
    for number, message in enumerate(messages):
        param = f"messages[{number}]"
        if not isinstance(message, dict):
            raise bad_request(f"{param} is {message!r:.80}; it must be an object", param)
        role = message.get("role")
        if role in ("system", "developer"):
            words += _system_words(message, param, bounds, first=not users)
        elif role == "user":
            users.append((param, message))
        else:
            raise bad_request(
                f"{param}.role is {role!r:.80}; valid: user. The models were trained on single questions: put what "
                "was said before into the question, where it matters",
                f"{param}.role",
            )
    if len(users) != 1:
        raise bad_request(
            f"there are {len(users)} messages of the user; there must be one: each question stands for itself",
            "messages",
        )
    param, message = users[0]
    _only(message, ("role", "content", "name"), param)
    text, urls = _content(message.get("content"), f"{param}.content")
    if not urls:
        raise bad_request("the message has no image; the models answer about pictures", f"{param}.content")
    if len(urls) > bounds.pictures:
        raise bad_request(
            f"the message has {len(urls)} images; this server takes up to {bounds.pictures}",
            f"{param}.content",
        )
    pictures = tuple(read_data_url(url, bounds.pixels, where) for url, where in urls)
    together = sum(one.coded.width * one.coded.height for one in pictures)
    if together > bounds.pixels:  # they are decoded together
        raise bad_request(
            f"the images have {together} px together; this server takes up to {bounds.pixels} in one request: send "
            "smaller ones",
            f"{param}.content",
            "image_too_large",
        )
    return words, text, pictures


def _system_words(message: dict[str, Any], param: str, bounds: RequestBounds, first: bool) -> list[str]:
    """The words of a system message, where they may go before the user's; none where it is empty."""
    text, urls = _content(message.get("content"), f"{param}.content")
    if not text.strip() and not urls:
        return []
    if urls or not first or not bounds.prepend_system:
        raise bad_request(
            f"{param} is a message of the system, which the models were not trained with: put its words into the "
            "user's message. (molmo-ros serve --system-message prepend does that.)",
            f"{param}.role",
            "unsupported_value",
        )
    return [text]


def _content(content: Any, param: str) -> tuple[str, list[tuple[str, str]]]:
    """The words, those of several parts as lines, and the URLs of the images with where they stand."""
    if isinstance(content, str):
        return content, []
    if not isinstance(content, list):
        raise bad_request(f"{param} is {content!r:.80}; it must be text, or a list of parts", param)
    texts, urls = [], []
    for number, part in enumerate(content):
        where = f"{param}[{number}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            _only(part, ("type", "text"), where)
            texts.append(part["text"])
        elif kind == "image_url":
            _only(part, ("type", "image_url"), where)
            urls.append((_url(part.get("image_url"), f"{where}.image_url"), f"{where}.image_url.url"))
        else:
            raise bad_request(f"{where} is of type {kind!r:.80}; valid: text and image_url", f"{where}.type")
    return "\n".join(texts), urls


def _url(image: Any, param: str) -> str:
    if isinstance(image, dict):
        _only(image, ("url", "detail"), param)
        if image.get("detail") not in (None, "auto", "high"):
            raise bad_request(
                f"{param}.detail is {image['detail']!r:.80}; valid: auto and high. molmo.max_crops says how finely "
                "images are looked at",
                f"{param}.detail",
                "unsupported_value",
            )
        image = image.get("url")
    if not isinstance(image, str):
        raise bad_request(f"{param}.url is {image!r:.80}; it must be a data URL", f"{param}.url")
    return image


def _only(part: dict[str, Any], known: tuple[str, ...], param: str) -> None:
    for name in part:
        if name not in known:
            raise bad_request(
                f"{param} has an unknown field {name!r:.80}", f"{param}.{name[:80]}", "unknown_parameter"
            )
