# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Objects as responses."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from molmo_ros.server.request_error import RequestError


class JsonResponse(Response):
    """An object in ASCII: what clients send, and errors quote, may hold half a character (a lone surrogate), which no
    other encoding can write."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")


def error_response(error: RequestError) -> JsonResponse:
    """An error, with the headers that go with it."""
    return JsonResponse(error.body, error.status, error.headers)
