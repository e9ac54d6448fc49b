# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The first directory of a TIFF, or of EXIF data, which have the same layout (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct

# Type of a field -> struct's letter for it, of those that hold whole numbers.
_TYPES = {1: "B", 3: "H", 4: "I"}
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


class TiffError(ValueError):
    """Bytes that are no TIFF, or a field that is missing, outside of them or of another type."""


class TiffDirectory:
    """Fields by tag, read where they are asked for.

    Attributes:
        order: "<" or ">", as struct writes the byte order.
    """

    def __init__(self, data: bytes, order: str, fields: dict[int, tuple[int, int, int]]) -> None:
        self._data, self.order, self._fields = data, order, fields

    @classmethod
    def first(cls, data: bytes) -> TiffDirectory:
        """The first directory.

        Raises:
            TiffError: No TIFF, or its directory does not lie within the data.
        """
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
        if order is None or len(data) < 8:
            raise TiffError("it does not begin as a TIFF")
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        if at + 2 > len(data):
            raise TiffError(f"its directory at byte {at} is outside of its {len(data)} bytes")
        (count,) = struct.unpack_from(f"{order}H", data, at)
        if at + 2 + 12 * count > len(data):
            raise TiffError(f"its directory of {count} fields is outside of its {len(data)} bytes")
        fields: dict[int, tuple[int, int, int]] = {}
        for index in range(count):
            place = at + 2 + 12 * index
            tag, kind, length = struct.unpack_from(f"{order}HHI", data, place)
            fields.setdefault(tag, (kind, length, place + 8))
        return cls(data, order, fields)

    def __contains__(self, tag: int) -> bool:
        return tag in self._fields

    def numbers(self, tag: int, most: int) -> tuple[int, ...]:
        """The whole numbers of a field, `most` of them at the most.

        Raises:
            TiffError: There is no such field, it holds something else, or it is not within the data.
        """
        if tag not in self._fields:
            raise TiffError(f"field {tag} is missing")
        kind, length, at = self._fields[tag]
        if kind not in _TYPES or not 1 <= length <= most:
            raise TiffError(
                f"field {tag} holds {length} values of type {kind}, at most {most} numbers are valid"
            )
        if length * _BYTES[kind] > 4:
            (at,) = struct.unpack_from(f"{self.order}I", self._data, at)
        if at + length * _BYTES[kind] > len(self._data):
            raise TiffError(f"field {tag} is outside of the {len(self._data)} bytes")
        return struct.unpack_from(f"{self.order}{length}{_TYPES[kind]}", self._data, at)

    def number(self, tag: int, default: int | None = None) -> int:
        """A field's only number; the default where there is no such field.

        Raises:
            TiffError: As `numbers`.
        """
        if default is not None and tag not in self._fields:
            return default
        return self.numbers(tag, 1)[0]
