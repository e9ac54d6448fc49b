# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Why a request is not answered, in the shape that clients of OpenAI's interface read."""

from __future__ import annotations

import math
from typing import Any


class RequestError(Exception):
    """A request that is refused, or that came to nothing.

    Attributes:
        status: Of HTTP.
        message: A sentence for people: what is wrong, with the value, and what would be right.
        kind: `type` of the error object.
        param: Which part of the request is at fault; None for none.
        code: A word for programs; None for none.
        retry_after: When to try again [s]; None where trying again is of no use.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "",
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.kind = kind or ("invalid_request_error" if status < 500 else "server_error")
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object of the response."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """Of the response, beside those of its content."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers


def bad_request(message: str, param: str | None = None, code: str | None = None) -> RequestError:
    """What the client can mend: 400."""
    return RequestError(400, message, param=param, code=code)


def overloaded(message: str, retry_after: float) -> RequestError:
    """Too much is waiting: 429, which clients try again by themselves."""
    return RequestError(
        429, message, kind="rate_limit_error", code="rate_limit_exceeded", retry_after=retry_after
    )


def unavailable(message: str, code: str, retry_after: float | None = 5.0) -> RequestError:
    """The server cannot answer now: 503."""
    return RequestError(503, message, code=code, retry_after=retry_after)
