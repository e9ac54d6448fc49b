# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Bodies of requests, within bounds: of each, and of all that are held at a time."""

from __future__ import annotations

from starlette.requests import Request

from molmo_ros.server.request_error import RequestError, bad_request, unavailable


class HeldBodies:
    """How many bytes of bodies are held.

    Args:
        most_each: Of one body [bytes].
        most_together: Of all of them [bytes].
    """

    def __init__(self, most_each: int, most_together: int) -> None:
        self.most_each, self._most = most_each, max(most_each, most_together)
        self.nbytes = 0

    def hold(self, nbytes: int) -> None:
        """Makes room, before the bytes come.

        Raises:
            RequestError: 503 where there is none now.
        """
        if self.nbytes + nbytes > self._most:
            raise unavailable(
                f"bodies of {self.nbytes >> 20} MiB are held, of up to {self._most >> 20}; try again",
                "busy",
                1.0,
            )
        self.nbytes += nbytes

    def release(self, nbytes: int) -> None:
        """Gives room back."""
        self.nbytes -= nbytes


class RequestBody:
    """One body; a context manager that gives its room back.

    Args:
        held: Of all.
    """

    def __init__(self, held: HeldBodies) -> None:
        self._held, self._nbytes = held, 0

    def __enter__(self) -> RequestBody:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._held.release(self._nbytes)

    async def read(self, request: Request) -> bytearray:
        """The whole body.

        Raises:
            RequestError: 413 where it is too large, by its header or by what comes; 503 where no room is left; 400
                where the header is no number.
        """
        claimed = request.headers.get("content-length")
        if claimed is not None and not (claimed.isascii() and claimed.isdigit()):
            raise bad_request(f"Content-Length is {claimed[:40]!r}; it must be a number")
        self._hold(int(claimed or 0))
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._nbytes:  # sent in pieces, of which nobody has said how many
                self._hold(max(1 << 16, len(body) - self._nbytes))
        return body

    def _hold(self, nbytes: int) -> None:
        if self._nbytes + nbytes > self._held.most_each + (1 << 16):
            raise RequestError(
                413,
                f"the body is larger than {self._held.most_each >> 10} KiB, which this server takes; send a smaller "
                "picture, or one that is compressed",
                code="request_too_large",
            )
        self._held.hold(nbytes)
        self._nbytes += nbytes
