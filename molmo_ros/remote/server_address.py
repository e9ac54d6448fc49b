# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where a server is, and what it is shown: nothing of the key is ever printed."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from molmo_ros.remote.server_error import ServerError, Trouble

KEY = "MOLMO_ROS_SERVER_KEY"
"""The environment variable with the key that the server asks for; nothing where it asks for none."""
_KEY = re.compile(r"[\x21-\x7e]{1,4096}")


@dataclass(frozen=True)
class ServerAddress:
    """A server that speaks the language of OpenAI's chat completions.

    Attributes:
        base: Such as "http://192.168.1.20:8000/v1".
        certificate: A file with the certificate that the server's is signed by; "" for those that the system trusts.
        key: What it is shown; "" for nothing.
    """

    base: str
    certificate: str = ""
    key: str = field(default="", repr=False)

    @classmethod
    def of(
        cls, address: str, certificate: str = "", environment: Mapping[str, str] | None = None
    ) -> ServerAddress:
        """Reads an address, and the key from the environment.

        Args:
            address: "http://host:8000", or with a path such as "https://host/molmo/v1"; without "/v1" it is added.
            certificate: See `ServerAddress`.
            environment: Where the key is; default: this process'.

        Raises:
            ServerError: It is no such address, it holds a name or a password, or the key cannot be sent.
        """
        key = (os.environ if environment is None else environment).get(KEY, "")
        if key and not _KEY.fullmatch(key):
            raise ServerError(
                Trouble.REFUSED,
                f"the key in {KEY} holds blanks, line ends or characters beyond ASCII, or is longer than 4096 "
                "characters; it is sent as it is, so take them out",
            )
        return cls(_base(address), certificate, key)

    @property
    def is_of_this_machine(self) -> bool:
        """Whether what is sent there never leaves this machine."""
        host = urlsplit(self.base).hostname or ""
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def shows_key(self) -> bool:
        """Whether others on the network can read the key that is sent."""
        return bool(self.key) and self.base.startswith("http:") and not self.is_of_this_machine

    def trusted(self) -> ssl.SSLContext | bool:
        """What a server's certificate is held against.

        Raises:
            ServerError: The certificate's file cannot be read.
        """
        if not self.base.startswith("https:"):
            return True
        if not self.certificate:
            return ssl.create_default_context()
        try:
            return ssl.create_default_context(cafile=str(Path(self.certificate).expanduser()))
        except (OSError, ssl.SSLError) as error:
            raise ServerError(
                Trouble.REFUSED,
                f"the server's certificate cannot be read from {self.certificate!r:.200}: "
                f"{getattr(error, 'strerror', None) or error}; it is a file in PEM format",
            ) from None

    def headers(self) -> dict[str, str]:
        """What goes with every request."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "molmo_ros"}
        return headers | ({"Authorization": f"Bearer {self.key}"} if self.key else {})

    def without_key(self, text: str) -> str:
        """A text that may come from anyone, with the key crossed out."""
        return text.replace(self.key, "***") if self.key else text


def _base(address: str) -> str:
    """The address with "/v1", once it is known to be one."""

    def refused(why: str) -> ServerError:
        return ServerError(
            Trouble.REFUSED,
            f"server {_shown(address)} is refused: {why}; give it as in http://192.168.1.20:8000",
        )

    if not isinstance(address, str) or not address.strip():
        raise refused("it is empty")
    address = address.strip()
    if not address.isascii() or not address.isprintable() or " " in address or "\\" in address:
        raise refused("it holds blanks, control characters or characters beyond ASCII")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise refused(f"{error}") from None
    if "@" in parts.netloc:
        raise refused(f"a name or a password does not belong there; put the server's key into {KEY}")
    if parts.scheme not in ("http", "https"):
        raise refused("it begins with neither http:// nor https://")
    if not host:
        raise refused("it names no host")
    if parts.query or parts.fragment:
        raise refused("it ends in a query or a fragment")
    path = parts.path.rstrip("/")
    path = path.removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith('/v1') else f'{path}/v1'}"


def _shown(address: object) -> str:
    """An address for a message, without what may be a password in it."""
    return (
        re.sub(r"//[^/]*@", "//***@", repr(address)[:200]) if isinstance(address, str) else repr(address)[:80]
    )
