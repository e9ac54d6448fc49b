# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A question as such servers take it: one turn of a user, a picture or several and the bare words.

The server's own template frames them; a second framing here would be one that no model was trained with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from molmo_ros.molmo.prompts.tokenizer import MARKERS
from molmo_ros.remote.answer_chunk import OWN_FIELD

TOP = 20
"""Of so many candidates for each token the probability is asked for; the most that OpenAI's interface has."""
_MARKER = re.compile(
    "|".join(
        [*map(re.escape, MARKERS), r"<\|[A-Za-z0-9_]{1,40}\|>", r"<(?=/?(?:image|video|s|bos|eos|pad|unk)>)"]
    )
)
_HERE = "\ue000"
"""Where a picture goes, while the rest is written: of the private use area of Unicode."""


def plain(text: str) -> str:
    """A text that a server cannot take for special tokens: their spelling gets a blank after its "<".

    What runs here tells text from tokens; servers tokenise all of it.
    """
    return _MARKER.sub(lambda found: f"< {found[0][1:]}", text)


def completion_request(
    model: str,
    urls: Sequence[bytes],
    text: str,
    max_tokens: int,
    *,
    scores: bool = False,
    own: Mapping[str, Any] | None = None,
) -> bytes:
    """The body of a POST to `chat/completions`.

    Args:
        model: The server's name for it.
        urls: Data URLs of the pictures; they are put in as they are.
        text: The user's words.
        max_tokens: Longest answer [tokens].
        scores: Whether to ask for log probabilities.
        own: For `molmo-ros serve` alone, which tells text from special tokens itself: its field of the request.
    """
    pictures = [{"type": "image_url", "image_url": {"url": _HERE}} for _ in urls]
    words = (plain(text) if own is None else text).replace(_HERE, "")
    body: dict[str, Any] = {
        "model": model.replace(_HERE, ""),
        "messages": [{"role": "user", "content": [*pictures, {"type": "text", "text": words}]}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if own is not None:
        body[OWN_FIELD] = dict(own)
    elif scores:
        body |= {"logprobs": True, "top_logprobs": TOP}
    parts = json.dumps(body, ensure_ascii=False).split(f'"{_HERE}"')
    joined = [parts[0].encode()]
    for url, part in zip(urls, parts[1:], strict=True):
        joined += [b'"', url, b'"', part.encode()]
    return b"".join(joined)
