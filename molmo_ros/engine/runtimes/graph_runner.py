"""What runs the two graphs of an engine."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from molmo_ros.molmo.running.runtime import StepOutput


class GraphRunner(Protocol):
    """The two graphs of an engine on one device, and the one KV cache that they own.

    Inputs and outputs are those of `graphs/vision_graph.py` and `graphs/decoder_graph.py`; all tensors are on
    `device`, but for a picture's, which may be in memory of the host. Callers keep to the engine's shapes.
    """

    name: str
    """onnx or tensorrt."""
    device: torch.device
    """Where tensors go in and come out."""
    dtype: torch.dtype
    """The graphs' floating-point type."""

    def vision(self, crops: Tensor, pooling: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Image features [tokens, width]; with a point head also the patches [crops * patches, feature width].

        Args:
            crops: The views, of any floating-point type, see the graph.
            pooling: See the graph.
            masks: The graph's coverage, of all crops; None for models without.
        """

    def decoder(
        self, embeddings: Tensor, positions: Tensor, mask: Tensor, write_index: int, logits_for: Tensor
    ) -> StepOutput:
        """One pass over any number of tokens; the cache keeps their keys and values from `write_index` on."""

    def decode(self, embedding: Tensor, length: int) -> StepOutput:
        """One token [1, 1, width] that sees the first `length` slots and itself, and goes to the next slot."""

    def memory(self) -> dict[str, int]:
        """What each part takes on the device [bytes]."""
