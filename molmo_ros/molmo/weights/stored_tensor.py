# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where a tensor lies in a checkpoint's files, and what changes it while it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies.

    Attributes:
        name: What it is called.
        path: The file.
        dtype: As safetensors names it: "F32", "BF16", …
        shape: Its shape.
        begin: Its place in the file's data [bytes]; only the order of places matters.
        size: Bytes.
        key: Its name in the file, which may be another: a program may have put a prefix before all of them.
        updates: What an adapter does to its rows.
    """

    name: str
    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    size: int
    key: str
    updates: tuple[RowUpdate, ...] = ()


ReadRows = Callable[[StoredTensor, int, int], "Tensor"]
"""Rows of a tensor, from the first to the last (excluded)."""


@dataclass(frozen=True)
class RowUpdate(ABC):
    """A change of some rows of a tensor.

    Attributes:
        first: The first of them in that tensor.
        rows: How many.
        own_first: The first of them in what the adapter holds.
    """

    first: int
    rows: int
    own_first: int

    @abstractmethod
    def apply(self, target: Tensor, first: int, read: ReadRows) -> None:
        """Changes rows in place.

        Args:
            target: float32 [n, ...]: rows of the tensor from `first` on, all of them among the changed ones.
            first: Counted in the tensor.
            read: Reads from the adapter's file.
        """
