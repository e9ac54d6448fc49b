# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One server's connections: a pool of them, on an event loop in a thread of its own, so that nothing waits for ever.

Whoever asks waits in its own thread and can give up at any moment; what it has asked for is then cancelled, which
closes its connection, and the server notices.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import ssl
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

from molmo_ros.remote.answer_chunk import AnswerChunk, EventReader, error_text, parse_chunk
from molmo_ros.remote.server_address import KEY, ServerAddress
from molmo_ros.remote.server_error import ServerError, Trouble

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response

CONNECT = 3.0
"""So long may it take to reach a server [s], its certificate included."""
IDLE = 4.0
"""Connections that nobody has used for so long are closed [s]: most servers close theirs after five."""
CONNECTIONS = 64
LONGEST_ANSWER = 16 << 20
"""Bytes of an answer in one piece."""
LONGEST_LIST = 4 << 20
"""Bytes of a list of models."""
LONGEST_ERROR = 64 << 10
AFTERWARDS = 1.0
"""How long the end of a connection's answer may come after the answer's own [s]."""
LONGEST_WAIT = 3600.0
"""Limit of what is limited by who asks [s]."""
LOG = logging.getLogger(__name__)

# A server that is gone, its cable cut, is noticed while it still owes an answer: by probes of the kernel, and by what
# it has not confirmed.
_SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
for _name, _value in (
    ("TCP_KEEPIDLE", 1),
    ("TCP_KEEPINTVL", 1),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 4000),
):
    if hasattr(socket, _name):
        _SOCKET_OPTIONS.append((socket.IPPROTO_TCP, getattr(socket, _name), _value))


def http_client() -> ModuleType:
    """The HTTP client.

    Raises:
        ServerError: This Python has none.
    """
    try:
        import httpx2
    except ImportError as error:
        raise ServerError(
            Trouble.LIBRARY,
            f"engine remote needs httpx2, which {sys.executable} does not have ({error}): pip install 'httpx2>=2.12', "
            "which is the extra 'remote' (pip install '.[remote]' in the checkout)",
        ) from None
    return httpx2


class ServerLink:
    """Sends requests to one server. From any thread.

    Attributes:
        address: The server's.
    """

    def __init__(self, address: ServerAddress) -> None:
        """Starts its thread; nothing is sent yet.

        Raises:
            ServerError: There is no HTTP client, or the certificate's file cannot be read.
        """
        self.address, self._http = address, http_client()
        if address.shows_key:
            LOG.warning(
                "the key in %s goes to %s without encryption: whoever is on the network can read it",
                KEY,
                address.base,
            )
        self._client = self._http.AsyncClient(
            transport=self._http.AsyncHTTPTransport(
                verify=address.trusted(),
                limits=self._http.Limits(max_connections=CONNECTIONS, keepalive_expiry=IDLE),
                socket_options=_SOCKET_OPTIONS,
                trust_env=False,
            ),
            headers=address.headers(),
            timeout=self._http.Timeout(LONGEST_WAIT, connect=CONNECT),
            follow_redirects=False,  # elsewhere, pictures and the key have no business
            trust_env=False,  # no proxy, and no password of a .netrc
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_serve, args=(self._loop,), name="molmo_ros server", daemon=True
        )
        self._thread.start()
        self.close: Callable[[], None] = weakref.finalize(self, _close, self._loop, self._client)

    def start(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Runs something on the loop; what it returns can be waited for, with a limit, and cancelled."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def get(self, path: str, patience: float) -> Any:
        """The JSON that a path of the server holds.

        Args:
            path: Such as "models".
            patience: How long it may take [s].

        Raises:
            ServerError: It holds none, or is not there.
        """
        try:
            return await asyncio.wait_for(self._json(path), patience)
        except asyncio.TimeoutError:
            raise ServerError(
                Trouble.SILENT,
                f"{self.address.base} took the connection and did not answer within {patience:.3g} s",
            ) from None

    async def _json(self, path: str) -> Any:
        async with self._answered(
            self._client.build_request("GET", f"{self.address.base}/{path}")
        ) as response:
            body = await self._body(response, LONGEST_LIST)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise self._error(
                Trouble.NONSENSE, f"answers {path} with {_kind(response)} that is no JSON; {_WRONG_PATH}"
            ) from None

    async def ask(
        self, body: bytes, take: Callable[[AnswerChunk], None], end: Callable[[], None] = lambda: None
    ) -> None:
        """Asks for a chat completion.

        Args:
            body: See `completion_request`.
            take: Called with each piece, in the loop's thread.
            end: Called there once the answer is whole; what the server sends after that is read for a moment, so that
                the connection can be used again.

        Raises:
            ServerError: There is no answer, or only half of one.
        """
        try:
            await self._ask(body, take, end)
        except _NotBegun as old:
            # Mostly a kept connection that the server closed just then.
            LOG.debug("asking %s again: %s", self.address.base, old)
            try:
                await self._ask(body, take, end)
            except _NotBegun as again:
                raise ServerError(again.trouble, str(again)) from None

    async def _ask(self, body: bytes, take: Callable[[AnswerChunk], None], end: Callable[[], None]) -> None:
        request = self._client.build_request(
            "POST",
            f"{self.address.base}/chat/completions",
            content=body,
            headers={"Content-Type": "application/json", "Accept": "text/event-stream, application/json"},
        )
        async with self._answered(request) as response:
            kind = _kind(response)
            if kind == "application/json":
                whole = await self._body(response, LONGEST_ANSWER)
                with self._named():
                    take(parse_chunk(whole))
                end()
            elif kind == "text/event-stream":
                await self._events(response, take, end)
            else:
                raise self._error(Trouble.NONSENSE, f"answers with {kind}; {_WRONG_PATH}")

    async def _events(
        self, response: Response, take: Callable[[AnswerChunk], None], end: Callable[[], None]
    ) -> None:
        """Reads a stream to its end."""
        reader, data = EventReader(), response.aiter_raw()
        finished = False
        async for piece in data:
            with self._named():
                for chunk in reader.feed(piece):
                    finished |= bool(chunk.finish)
                    take(chunk)
            if reader.done:
                break
        with self._named():
            for chunk in reader.finish():
                finished |= bool(chunk.finish)
                take(chunk)
        if not finished:
            raise self._error(Trouble.CUT, "ended the connection in the middle of an answer")
        end()
        if reader.done:
            with suppress(asyncio.TimeoutError, self._http.TransportError):
                await asyncio.wait_for(_exhaust(data), AFTERWARDS)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Puts the server's address before what is wrong with its words."""
        try:
            yield
        except ServerError as error:
            raise self._error(error.trouble, str(error)) from None

    @asynccontextmanager
    async def _answered(self, request: Any) -> AsyncIterator[Response]:
        """The response to a request, once it is known to be one; what goes wrong with it is a `ServerError`."""
        http, begun = self._http, False
        try:
            response = await self._client.send(request, stream=True)
            begun = True
            try:
                if response.status_code != 200:
                    raise await self._refusal(response)
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise self._error(Trouble.NONSENSE, "answers in a coding that it was not asked for")
                yield response
            finally:
                await response.aclose()
        except http.ConnectTimeout:
            raise self._error(Trouble.UNREACHABLE, f"cannot be reached within {CONNECT:.3g} s") from None
        except http.ConnectError as error:
            raise self._error(Trouble.UNREACHABLE, f"cannot be reached: {_reason(error)}") from None
        except http.TransportError as error:
            if begun:
                raise self._error(
                    Trouble.CUT, f"ended the connection in the middle of an answer: {_reason(error)}"
                ) from None
            raise _NotBegun(
                Trouble.CUT, f"{self.address.base} ended the connection without an answer: {_reason(error)}"
            ) from None
        except http.InvalidURL as error:
            raise self._error(Trouble.REFUSED, f"is no address: {_reason(error)}") from None

    async def _refusal(self, response: Response) -> ServerError:
        """What an answer other than 200 means."""
        code, after = response.status_code, _seconds(response.headers.get("retry-after", ""))
        try:
            body = await self._body(response, LONGEST_ERROR)
        except (ServerError, self._http.TransportError):
            body = b""
        if code in (401, 403):  # servers quote the key there
            cure = (
                f"set {KEY} in the environment of this process"
                if not self.address.key
                else f"it is not that of {KEY}"
            )
            return self._error(Trouble.REFUSED, f"wants another key ({code}): {cure}")
        try:
            said = error_text(json.loads(body))
        except (ValueError, RecursionError):
            said = ""
        said = f": {said}" if said else ""
        if 300 <= code < 400:
            return self._error(
                Trouble.REFUSED,
                f"sends elsewhere ({code}), which is not followed; give the address that is meant",
            )
        if code == 429 or (code == 503 and after is not None):
            return self._error(Trouble.BUSY, f"has too much to do ({code}){said}", after)
        if code >= 500:
            return self._error(Trouble.FAILED, f"has failed ({code}){said}")
        if code in (404, 405):
            return self._error(
                Trouble.UNKNOWN, f"knows no such model or address ({code}){said}; {_WRONG_PATH}"
            )
        return self._error(Trouble.REQUEST, f"does not take the request ({code}){said}")

    async def _body(self, response: Response, most: int) -> bytes:
        """A body, up to a length."""
        read = bytearray()
        async for data in response.aiter_raw():
            read += data
            if len(read) > most:
                raise self._error(
                    Trouble.NONSENSE, f"sends more than {most >> 10} KiB where a short answer was due"
                )
        return bytes(read)

    def _error(self, trouble: Trouble, what: str, retry_after: float | None = None) -> ServerError:
        return ServerError(trouble, self.address.without_key(f"{self.address.base} {what}"), retry_after)


_WRONG_PATH = (
    "is it the address of an OpenAI-compatible server, and does it run the model that was asked for?"
)


class _NotBegun(ServerError):
    """The connection ended before anything came of the answer."""


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _close(loop: asyncio.AbstractEventLoop, client: AsyncClient) -> None:
    """Ends what is under way, the connections and the thread."""

    async def end() -> None:
        under_way = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await client.aclose()
        loop.stop()

    if not loop.is_closed():
        asyncio.run_coroutine_threadsafe(end(), loop)


async def _exhaust(data: AsyncIterator[bytes]) -> None:
    async for _ in data:
        pass


def _kind(response: Response) -> str:
    kind: str = response.headers.get("content-type", "something without a type")
    return kind.partition(";")[0].strip().lower()[:80]


def _reason(error: BaseException) -> str:
    """The system's own reason where there is one, in one line."""
    inner: BaseException | None = error
    text = str(error)
    for _ in range(16):
        if isinstance(inner, OSError):
            known = inner.errno and inner.errno > 0 and not isinstance(inner, ssl.SSLError)
            text = os.strerror(inner.errno or 0) if known else inner.strerror or str(inner) or text
        elif inner is None:
            break
        several = getattr(inner, "exceptions", ())  # of one host's several addresses
        inner = several[0] if several else inner.__cause__ or inner.__context__
    return " ".join(text.split())[:300] or type(error).__name__


def _seconds(value: str) -> float | None:
    """A Retry-After in seconds; dates are too coarse for a robot."""
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 <= seconds < LONGEST_WAIT else None
