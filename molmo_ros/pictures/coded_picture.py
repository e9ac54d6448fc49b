# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a coded picture claims to be, after its structure was walked through and before anything was decoded."""

from __future__ import annotations

from dataclasses import dataclass


class PictureError(ValueError):
    """A coded picture that cannot be read; the message says what is wrong with it and what would be right."""


@dataclass(frozen=True)
class CodedPicture:
    """A coded picture whose parts all lie within its bytes.

    Attributes:
        kind: "JPEG", "PNG", "WebP" or "TIFF".
        width, height: Its size, as stored [px].
        channels: How many samples a decoded pixel has; transparency is dropped.
        sample_bytes: Bytes of a decoded sample.
        data: What the decoder gets: the parts that decide pixels. Text, profiles and thumbnails are left out where
            a decoder would unpack them.
        working_bytes: The most that its decoder holds besides `data` and the decoded pixels.
        orientation: How the stored pixels are to be turned (EXIF, tag 274); 1 means not at all.
    """

    kind: str
    width: int
    height: int
    channels: int
    sample_bytes: int
    data: bytes
    working_bytes: int = 0
    orientation: int = 1

    @property
    def memory(self) -> int:
        """The most that decoding takes, to 8-bit RGB and besides `data` [bytes]."""
        decoded = self.channels * self.sample_bytes
        # The pixels as decoded; the same in 8 bits, where they are wider; RGB.
        per_pixel = decoded + (self.channels if self.sample_bytes > 1 else 0) + 3
        return self.width * self.height * per_pixel + self.working_bytes
