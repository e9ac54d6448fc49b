# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""transformers' own Molmo2 as a runtime, for the benchmark of GPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, Molmo2Config, Molmo2ForConditionalGeneration, StaticCache

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.families.table import family
from molmo_ros.molmo.running.colours import normalise
from molmo_ros.molmo.running.runtime import ImageTensors


class TransformersRuntime:
    """Random weights in the same shape, made where they are to be.

    Compiled means what `generate` makes of a static cache: one cache for all answers, and decoding compiled with CUDA
    graphs; vision and prefill are not.
    """

    def __init__(
        self, config: MolmoConfig, dtype: torch.dtype, device: torch.device, compiled_for: int | None = None
    ) -> None:
        """Makes the model.

        Args:
            config: Of a Molmo2.
            dtype: Of weights and activations.
            device: Where.
            compiled_for: The longest prompt and answer [tokens] of a compiled decoder; None for an eager one.
        """
        raw = family(config.family).write_config(config, str(dtype).removeprefix("torch."))
        standard = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with torch.device(device):
                self.model = Molmo2ForConditionalGeneration(Molmo2Config.from_dict(raw)).eval()
        finally:
            torch.set_default_dtype(standard)
        self._dtype, self._device, self._step = dtype, device, self.model.forward
        self._text, self._static = self.model.config.get_text_config(), None
        if compiled_for is None:
            return
        self._static = StaticCache(self._text, compiled_for)
        if device.type == "cuda":
            self._step = torch.compile(self.model.forward, mode="reduce-overhead", fullgraph=True)
        else:  # that it can be traced, no more
            self._step = torch.compile(self.model.forward, backend="eager", fullgraph=True)

    def encode_image(self, image: ImageTensors) -> Any:
        """Image features."""
        assert image.pooling is not None
        return self.model.get_image_features(
            normalise(image.crops, image.colours).to(self._device, self._dtype),
            image.pooling.to(self._device),
            torch.tensor([[len(image.pooling), 1, 0, 0]]),
        )

    def cache(self, max_len: int, old: Any = None) -> Any:
        """An empty cache."""
        if self._static is None:
            return DynamicCache(config=self._text)
        if self._static.is_initialized:
            self._static.reset()
        return self._static

    def prefill(self, embeddings: Tensor, mask: Tensor, cache: Any) -> Any:
        """Scores of the last token; image tokens see each other, as the mask says."""
        count = embeddings.shape[1]
        # An image token sees the one after it, a word does not.
        kinds = torch.zeros(1, count, dtype=torch.long, device=self._device)
        kinds[0, : int(mask[0, 0, 0].sum())] = 1
        return self.model(
            inputs_embeds=embeddings,
            mm_token_type_ids=kinds,
            position_ids=torch.arange(count, device=self._device).unsqueeze(0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )

    def decode(self, embedding: Tensor, cache: Any) -> Any:
        """Scores of one token."""
        position = torch.as_tensor(cache.get_seq_length()).to(self._device).view(1, 1)
        return self._step(
            inputs_embeds=embedding, position_ids=position.clone(), past_key_values=cache, use_cache=True
        )
