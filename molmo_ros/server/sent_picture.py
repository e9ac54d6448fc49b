# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures as clients send them: data URLs, held against their bytes before anything is decoded."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field

import cv2
import numpy as np

from molmo_ros.pictures.bit_depth import stretched
from molmo_ros.pictures.coded_picture import CodedPicture, PictureError
from molmo_ros.pictures.decode import Bounds, decode, look_through
from molmo_ros.pictures.exif import upright
from molmo_ros.server.request_error import RequestError, bad_request

BYTES_A_PIXEL = 16
"""What decoding may take for each pixel of the limit [bytes]: 16-bit colour, the same in 8 bits, and RGB."""
_DATA_URL = re.compile(r"data:([\w.+*-]+/[\w.+*-]+)?((?:;[\w-]+=[\w.+-]+)*)(;base64)?,", re.ASCII | re.I)
_KINDS = {
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WebP",
    "image/tiff": "TIFF",
}
"""Types and what their bytes are. Those that say nothing (`image/*`, `application/octet-stream`) are looked into."""
_SILENT = ("", "image/*", "application/octet-stream", "binary/octet-stream")


@dataclass(frozen=True)
class SentPicture:
    """A picture that was sent, not decoded yet.

    Attributes:
        digest: SHA-256 of its bytes: the same picture is encoded once, whoever asks about it.
        coded: What its bytes claim.
    """

    digest: bytes
    coded: CodedPicture = field(repr=False)

    def pixels(self, most: int) -> tuple[np.ndarray, str]:
        """The picture as people look at it: an EXIF orientation is applied.

        Args:
            most: Pixels that it may have.

        Returns:
            uint8 [h, w, 3] RGB, and what was assumed about it in words, mostly nothing.

        Raises:
            PictureError: The decoder finds it damaged.
        """
        stored, note = decode(self.coded, _bounds(most)), ""
        if stored.dtype != np.uint8:
            stored, note = stretched(stored)
        turned = np.ascontiguousarray(upright(stored, self.coded.orientation))
        return cv2.cvtColor(turned, cv2.COLOR_GRAY2RGB if turned.ndim == 2 else cv2.COLOR_BGR2RGB), note


def read_data_url(url: str, most_pixels: int, param: str) -> SentPicture:
    """The picture in a data URL; nothing is ever fetched, and no file is read.

    Args:
        url: "data:image/png;base64,...".
        most_pixels: The most that it may have [px].
        param: Where it stands in the request.

    Raises:
        RequestError: 400: another kind of URL, no Base64, no bytes, no picture, one that is larger than the limit, or
            of another type than the URL says.
    """
    head = _DATA_URL.match(url[:200])
    if head is None:
        raise bad_request(
            f"the image is {url[:60]!r}; it must be a data URL (data:image/png;base64,...): this server fetches no "
            "addresses and reads no files",
            param,
            "invalid_image_url",
        )
    if not head[3]:
        raise bad_request(
            "the image's data URL is not in Base64; write data:image/png;base64,...", param, "invalid_image"
        )
    try:
        data = base64.b64decode(url[head.end() :].encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad_request(f"the image's Base64 is damaged: {error}", param, "invalid_base64") from None
    kind = (head[1] or "").lower()
    try:
        return _looked_through(data, kind, most_pixels, param)
    except PictureError as error:
        raise bad_request(
            f"the image of {len(data)} bytes cannot be read: {error}", param, "invalid_image"
        ) from None


def _looked_through(data: bytes, kind: str, most_pixels: int, param: str) -> SentPicture:
    if not data:
        raise PictureError("it has no bytes")
    coded = look_through(data)
    if kind not in _SILENT and _KINDS.get(kind) != coded.kind:
        raise PictureError(
            f"its type is {kind[:60]!r} and its bytes are {coded.kind}; send the type that it is"
        )
    bounds = _bounds(most_pixels)
    if coded.width * coded.height > most_pixels or coded.memory > bounds.memory:
        raise RequestError(
            400,
            f"the image claims {coded.width}x{coded.height} px, which take {coded.memory >> 20} MiB to decode; this "
            f"server takes up to {most_pixels} px and {bounds.memory >> 20} MiB: send a smaller one",
            param=param,
            code="image_too_large",
        )
    return SentPicture(hashlib.sha256(data).digest(), coded)


def _bounds(most_pixels: int) -> Bounds:
    return Bounds(most_pixels, BYTES_A_PIXEL * most_pixels)
