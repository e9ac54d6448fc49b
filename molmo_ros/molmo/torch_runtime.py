"""A model's networks run by torch, on the CPU or a CUDA device."""

from __future__ import annotations

import torch
from torch import Tensor

from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.network.model import ImageFeatures, MolmoModel
from molmo_ros.molmo.runtime import Cache, ImageTensors, StepOutput


class TorchRuntime:
    """See `Runtime`.

    Attributes:
        model: The network.
    """

    def __init__(self, model: MolmoModel) -> None:
        self.model, self.config = model, model.config
        self.device, self.dtype = model.device, model.dtype
        self.max_context = model.config.decoder.max_positions
        self.embedding, self.point_head = model.decoder.embedding, model.point_head

    def encode_image(self, image: ImageTensors) -> ImageFeatures:
        """See `Runtime`."""
        crops = image.crops.to(self.device, self.dtype)
        tables = {"masks": image.masks, "input_idx": image.input_idx, "pooling": image.pooling}
        on_device = {name: None if table is None else table.to(self.device) for name, table in tables.items()}
        features = self.model.image_features(crops, single_view=image.single_view, **on_device)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return features

    def cache(self, max_len: int, old: Cache | None = None) -> KVCache:
        """See `Runtime`."""
        assert old is None or isinstance(old, KVCache), "a cache goes back to the runtime that it came from"
        if old is not None and old.max_len >= max_len:
            return old
        new = KVCache(self.config.decoder, max_len, dtype=self.dtype, device=self.device)
        if old is not None:
            new.keys[..., : old.length, :] = old.keys[..., : old.length, :]
            new.values[..., : old.length, :] = old.values[..., : old.length, :]
            new.length = old.length
        return new

    def prefill(
        self,
        embeddings: Tensor,
        mask: Tensor,
        cache: Cache,
        *,
        positions: Tensor | None = None,
        logits_for: Tensor | None = None,
    ) -> StepOutput:
        """See `Runtime`."""
        assert isinstance(cache, KVCache), "a cache goes back to the runtime that it came from"
        if positions is None:
            end = cache.length + embeddings.shape[1]
            positions = torch.arange(cache.length, end, device=self.device).unsqueeze(0)
        chosen = slice(-1, None) if logits_for is None else logits_for
        output = self.model.decoder(embeddings, positions, mask, cache, chosen)
        return StepOutput(output.logits, output.states)

    def decode(self, embedding: Tensor, cache: Cache) -> StepOutput:
        """See `Runtime`."""
        assert isinstance(cache, KVCache), "a cache goes back to the runtime that it came from"
        position = torch.full((1, 1), cache.length, device=self.device)
        output = self.model.decoder(embedding, position, None, cache)
        return StepOutput(output.logits, output.states)
