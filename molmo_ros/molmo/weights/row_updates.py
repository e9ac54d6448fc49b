"""What an adapter does to rows of a stored tensor while they are read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molmo_ros.molmo.weights.stored_tensor import ReadRows, RowUpdate, StoredTensor


@dataclass(frozen=True)
class Replacement(RowUpdate):
    """The adapter's own rows: a module that was trained as a whole, or a bias."""

    tensor: StoredTensor

    def apply(self, target: Tensor, first: int, read: ReadRows) -> None:
        begin = first - self.first + self.own_first
        target.copy_(read(self.tensor, begin, begin + len(target)))


@dataclass(frozen=True)
class LowRank(RowUpdate):
    """LoRA (arXiv:2106.09685): W + scaling * B A, computed in float32.

    Attributes:
        a: [rank, columns]; of an embedding [rank, rows].
        b: [rows, rank]; of an embedding [columns, rank].
        scaling: Of their product.
        embedding: Whether W is a table, to which the product is added transposed.
        magnitude: [rows], of DoRA (arXiv:2402.09353): each row of the sum gets this length. None for plain LoRA.
    """

    a: StoredTensor
    b: StoredTensor
    scaling: float
    embedding: bool = False
    magnitude: StoredTensor | None = None

    def apply(self, target: Tensor, first: int, read: ReadRows) -> None:
        begin = first - self.first + self.own_first
        end = begin + len(target)
        a = read(self.a, 0, self.a.shape[0]).float()
        if self.embedding:
            b = read(self.b, 0, self.b.shape[0]).float()
            target.addmm_(a[:, begin:end].T, b.T, alpha=self.scaling)
            return
        target.addmm_(read(self.b, begin, end).float(), a, alpha=self.scaling)
        if self.magnitude is not None:
            lengths = torch.linalg.vector_norm(target, dim=1)
            target.mul_((read(self.magnitude, begin, end).float() / lengths).unsqueeze(1))
