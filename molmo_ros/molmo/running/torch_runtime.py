# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A model's networks run by torch, on the CPU or a CUDA device."""

from __future__ import annotations

import torch
from torch import Tensor

from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.network.model import ImageFeatures, MolmoModel
from molmo_ros.molmo.running.colours import normalise
from molmo_ros.molmo.running.runtime import Cache, ForkGuard, ImageTensors, StepOutput
from molmo_ros.molmo.running.staging import Staging
from molmo_ros.molmo.running.static_decode import StaticDecode


class TorchRuntime:
    """See `Runtime`.

    Attributes:
        model: The network.
        static: Decodes over memory at fixed addresses, on CUDA devices as CUDA graphs; None where each prompt has a
            cache of its own and each step reads just what is filled.
    """

    name = "torch"

    def __init__(self, model: MolmoModel, static: bool | None = None) -> None:
        """Puts the interface around a model.

        Args:
            model: The network.
            static: Whether to decode over memory at fixed addresses. Default: on CUDA devices, but for mixtures of
                experts, which cannot.
        """
        self.model, self.config = model, model.config
        self.device, self.dtype = model.device, model.dtype
        self.max_context = self.max_scores = model.config.decoder.max_positions
        self.embedding, self.point_head = model.decoder.embedding, model.point_head
        self._staging = Staging(self.device)
        self._process = ForkGuard()
        if static is None:
            static = self.device.type == "cuda" and not model.config.decoder.experts
        self.static = StaticDecode(model.decoder, self.dtype, self.device) if static else None

    def graphs_refused(self) -> str:
        """See `Runtime`."""
        if self.device.type != "cuda":
            return ""
        if self.static is None:
            return "which experts work on a token goes through the host"
        return self.static.graphs.refused or self.static.passes.refused or ""

    def encode_image(self, image: ImageTensors) -> ImageFeatures:
        """See `Runtime`."""
        self._check_process()
        given = image._asdict() | {"crops": image.crops[:1] if image.single_view else image.crops}
        sent = self._staging.send({name: value for name, value in given.items() if isinstance(value, Tensor)})
        crops = normalise(sent.pop("crops"), sent.pop("colours", None)).to(self.dtype)
        crops = crops.expand(len(image.crops), -1, -1) if image.single_view else crops
        features = self.model.image_features(crops, single_view=image.single_view, **sent)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return features

    def cache(self, max_len: int, old: Cache | None = None) -> KVCache:
        """See `Runtime`."""
        if self.static is not None:
            return self.static.cache(max_len, old)
        assert old is None or isinstance(old, KVCache), "a cache goes back to the runtime that it came from"
        if old is not None and old.max_len >= max_len:
            return old
        new = KVCache(self.config.decoder, max_len, dtype=self.dtype, device=self.device)
        if old is not None:
            new.keep(old)
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
        self._check_process()
        assert isinstance(cache, KVCache), "a cache goes back to the runtime that it came from"
        if positions is None:
            end = cache.length + embeddings.shape[1]
            positions = torch.arange(cache.length, end, dtype=torch.int64, device=self.device).unsqueeze(0)
        if self.static is not None:
            verified = self.static.verify(embeddings, mask, cache, positions, logits_for)
            if verified is not None:
                return verified
        chosen = slice(-1, None) if logits_for is None else logits_for
        output = self.model.decoder(embeddings, positions, mask, cache, chosen)
        if self.static is not None:
            self.static.filled(cache)
        return StepOutput(output.logits, output.states)

    def decode(self, embedding: Tensor, cache: Cache) -> StepOutput:
        """See `Runtime`."""
        self._check_process()
        if self.static is not None:
            return self.static.decode(embedding, cache)
        assert isinstance(cache, KVCache), "a cache goes back to the runtime that it came from"
        position = torch.full((1, 1), cache.length, dtype=torch.int64, device=self.device)
        output = self.model.decoder(embedding, position, None, cache)
        return StepOutput(output.logits, output.states)

    def _check_process(self) -> None:
        """One thread on the CPU works in a fork too: it is the thread that asks."""
        if self.device.type != "cpu" or torch.get_num_threads() > 1:
            self._process.check(self.name)
