# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Who may ask: a token in the header, and no page of a browser that happens to run on this machine."""

from __future__ import annotations

import hmac
import ipaddress

from starlette.datastructures import Headers

from molmo_ros.server.request_error import RequestError

OPEN_PATHS = ("/health",)
"""What anyone may look at."""


class AccessGate:
    """Lets requests through.

    Args:
        token: What "Authorization: Bearer ..." must say; None where everybody may ask.
        loopback: Whether only programs of this machine are served.
    """

    def __init__(self, token: str | None, loopback: bool) -> None:
        self._token = None if token is None else token.encode()
        self._loopback = loopback

    def check(self, path: str, headers: Headers) -> None:
        """Refuses who may not ask.

        Raises:
            RequestError: 401 without the token; 403 where the request names another host than this machine, as
                those of a page do that has rebound its name (DNS rebinding).
        """
        if path in OPEN_PATHS:
            return
        if self._token is not None:
            self._check_token(headers.get("authorization", ""))
        elif self._loopback and not _names_this_machine(headers.get("host", "")):
            raise RequestError(
                403,
                f"the request is for the host {headers.get('host', '')[:80]!r}; without a token this server answers "
                "to localhost only; start it with a token to use other names",
                code="wrong_host",
            )

    def _check_token(self, authorization: str) -> None:
        scheme, _, given = authorization.partition(" ")
        # Compared in a time that tells nothing; the value is never shown.
        right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token or b"")
        if scheme.lower() != "bearer" or not right:
            what = "is wrong" if authorization else "is missing"
            raise RequestError(
                401,
                f"the token {what}: send it as 'Authorization: Bearer TOKEN' (api_key of an OpenAI client)",
                kind="authentication_error",
                code="invalid_api_key",
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address or name."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _names_this_machine(host: str) -> bool:
    name = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
    return is_loopback(name)
