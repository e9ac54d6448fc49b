# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures that were encoded lately, within a bound of memory: asked about again, they are not encoded again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from molmo_ros.molmo.answers.encoded_image import EncodedImage


@dataclass
class KeptImage:
    """Pictures as the model has encoded them.

    Attributes:
        encoded: What the model made of them.
        notes: What was assumed about them.
        asked: How many questions have been about them.
    """

    encoded: EncodedImage
    notes: tuple[str, ...] = ()
    asked: int = 0


class EncodedImages:
    """Forgets what was asked about longest ago. Only the model's thread comes here.

    Args:
        most: Bytes that it may hold; the pictures asked about last are kept whatever they take.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[int | None, bytes], KeptImage] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def nbytes(self) -> int:
        """What all of them hold [bytes]."""
        return sum(kept.encoded.nbytes for kept in self._kept.values())

    def get(self, key: tuple[int | None, bytes]) -> KeptImage | None:
        """The pictures of a `ModelJob.image_key`, if they are kept."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def keep(self, key: tuple[int | None, bytes], image: KeptImage) -> None:
        """Keeps pictures; `trim` is called when their questions are answered, and they have grown by their cache."""
        self._kept[key] = image

    def trim(self) -> None:
        """Forgets down to the bound."""
        while len(self._kept) > 1 and self.nbytes > self._most:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forgets all."""
        self._kept.clear()
