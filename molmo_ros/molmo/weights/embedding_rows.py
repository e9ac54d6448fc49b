# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Token embeddings straight from a checkpoint's files: a query needs few rows of a large table."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from molmo_ros.molmo.running.staging import Staging
from molmo_ros.molmo.weights.stored_parameters import BASE, EXTRA, StoredParameters, StoredRows
from molmo_ros.molmo.weights.weight_reader import WeightReader


class EmbeddingRows:
    """Takes the place of `TokenEmbedding`, with the same values, bit for bit.

    The files stay mapped, so the system keeps the rows that are used in memory as long as there is room. They go to a
    CUDA device through pinned memory.
    """

    def __init__(self, stored: StoredParameters, dtype: torch.dtype, device: torch.device) -> None:
        """Opens the files.

        Args:
            stored: The checkpoint.
            dtype: What the rows are converted to.
            device: Where they go.

        Raises:
            CheckpointError: A file cannot be read, or changed since the checkpoint was opened.
        """
        self._dtype, self._device, self._staging = dtype, device, Staging(device)
        # One for each piece: each keeps its own file open, so that one that is replaced later is still the old one.
        self._pieces = [
            (first, source, WeightReader(sys.maxsize)) for first, source in _placed(stored, (BASE, EXTRA))
        ]
        self._count = sum(source.rows for _, source, _ in self._pieces)
        self._read([first for first, _, _ in self._pieces])
        stored.check_unchanged()

    def __call__(self, ids: Tensor) -> Tensor:
        """Embeddings [..., width] of `ids` [...]; the host waits for them where they are on a device.

        Raises:
            CheckpointError: A row cannot be read, or is not finite.
            IndexError: There is no such token.
        """
        tokens, places = np.unique(ids.cpu().numpy(), return_inverse=True)
        rows = self._sent(tokens.tolist())
        return functional.embedding(torch.from_numpy(places.reshape(ids.shape)).to(self._device), rows)

    def row(self, token: int) -> Tensor:
        """The embedding [1, 1, width] of one id; raises what a call does."""
        return self._sent([token]).view(1, 1, -1)

    def _sent(self, tokens: Sequence[int]) -> Tensor:
        """Their rows [tokens, width], on the device."""
        return self._staging.send({"rows": self._read(tokens)})["rows"]

    def _read(self, tokens: Sequence[int]) -> Tensor:
        """Their rows [tokens, width], in memory of the host."""
        made = torch.empty(len(tokens), self._width, dtype=self._dtype, device="cpu")
        for number, token in enumerate(tokens):
            first, source, reader = self._piece(token)
            row = source.first + token - first
            reader.copy(source.tensor, row, row + 1, made[number : number + 1])
        return made

    @property
    def _width(self) -> int:
        return self._pieces[0][1].tensor.shape[1]

    def _piece(self, token: int) -> tuple[int, StoredRows, WeightReader]:
        for piece in self._pieces:
            if 0 <= token - piece[0] < piece[1].rows:
                return piece
        raise IndexError(f"token {token} is not one of the {self._count} that have an embedding")


def _placed(stored: StoredParameters, names: Sequence[str]) -> Iterator[tuple[int, StoredRows]]:
    """The pieces of tables that follow each other, each with the number of its first row."""
    begin = 0
    for name in names:
        for source in stored.sources(name):
            yield begin + source.place, source
        begin += stored.shapes[name][0]
