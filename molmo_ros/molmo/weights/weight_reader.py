# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Stored tensors into parameters, a few rows at a time, so that reading needs no memory to speak of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.weights.stored_tensor import StoredTensor

CHUNK_BYTES = 64 << 20


class WeightReader:
    """Reads through memory maps that are renewed often.

    What has been read through a map counts as this process' memory until the map is closed. So a file is opened
    anew after every `CHUNK_BYTES`, which costs a fraction of the copy, and what was read stays in the system's
    page cache only.
    """

    def __init__(self, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.chunk_bytes = chunk_bytes
        self._file: Any = None
        self._path: Path | None = None
        self._touched = 0
        self._beside: WeightReader | None = None

    def rows(self, tensor: StoredTensor, first: int, last: int) -> Tensor:
        """Rows `first` to `last` (excluded) of a tensor as stored, a view of the file: use it and let it go.

        Rows that an adapter changes are in memory of their own, in float32 at least.
        """
        stored = self._stored_rows(tensor, first, last)
        updates = [one for one in tensor.updates if one.first < last and first < one.first + one.rows]
        if not updates:
            return stored
        if self._beside is None:
            self._beside = WeightReader(self.chunk_bytes)
        merged = stored.to(torch.promote_types(stored.dtype, torch.float32), copy=True)
        for update in updates:
            begin, end = max(first, update.first), min(last, update.first + update.rows)
            update.apply(merged[begin - first : end - first], begin, self._beside.rows)
        return merged

    def _stored_rows(self, tensor: StoredTensor, first: int, last: int) -> Tensor:
        size = tensor.size // max(tensor.shape[0], 1) * (last - first)
        if tensor.path != self._path or self._touched + size > self.chunk_bytes:
            self._open(tensor.path)
        self._touched += size
        try:
            with torch.device("cpu"):  # where the file is; safetensors itself asks torch's default
                return self._file.get_slice(tensor.key)[first:last]
        except SafetensorError as error:
            raise CheckpointError(f"{tensor.path}: tensor {tensor.name} cannot be read: {error}") from error

    def copy(self, tensor: StoredTensor, first: int, last: int, target: Tensor) -> None:
        """Copies rows `first` to `last` (excluded) into `target`, converted to its dtype, on its device.

        Args:
            tensor: What to read.
            first: The first row.
            last: One after the last row.
            target: [last - first, ...].

        Raises:
            CheckpointError: The file cannot be read, or values are not finite, in the file or once converted.
        """
        for start, end in self.chunks(tensor, first, last):
            stored, part = self.rows(tensor, start, end), target[start - first : end - first]
            part.copy_(stored)
            # A sum is finite unless a value is not, or it overflows itself: cheap, and then looked at closely.
            if not part.sum().isfinite():
                _require_finite(tensor, stored, part)

    def equal(
        self,
        one: StoredTensor,
        first: int,
        other: StoredTensor,
        other_first: int,
        rows: int,
        dtype: torch.dtype,
    ) -> bool:
        """Whether `rows` rows of two tensors, from `first` and `other_first` on, are equal once converted."""
        for start, end in self.chunks(one, first, first + rows):
            beside = other_first + start - first
            part = self.rows(one, start, end).to(dtype)
            if not torch.equal(part, self.rows(other, beside, beside + end - start).to(dtype)):
                return False
        return True

    def chunks(self, tensor: StoredTensor, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Ranges of rows of at most `chunk_bytes`, but of one row at least."""
        row = max(tensor.size // max(tensor.shape[0], 1), 1)
        if tensor.updates:  # in float32, with what is added beside it
            row *= 4
        step = max(self.chunk_bytes // row, 1)
        for start in range(first, last, step):
            yield start, min(start + step, last)

    def _open(self, path: Path) -> None:
        self._file = None  # Closes the old map before the new one grows.
        try:
            self._file = safe_open(path, framework="pt", device="cpu")
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error
        self._path, self._touched = path, 0


def _require_finite(tensor: StoredTensor, stored: Tensor, part: Tensor) -> None:
    """Refuses values that are not finite; `part` is `stored`, converted."""
    if lost := int((~stored.isfinite()).sum()):
        raise CheckpointError(
            f"{tensor.path}: {tensor.name} holds {lost} values that are NaN or infinite; expected numbers"
        )
    if lost := int((~part.isfinite()).sum()):
        dtype, limit = str(part.dtype).removeprefix("torch."), torch.finfo(part.dtype).max
        raise CheckpointError(
            f"{tensor.path}: {lost} values of {tensor.name} do not fit {dtype}: found up to "
            f"{float(stored.abs().max()):.6g}, expected at most {limit:.6g}; load it as float32"
        )
