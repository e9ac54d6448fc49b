# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the inputs of a linear layer looked like while pictures went through its block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from molmo_ros.engine.quantisation.formats import LINEARS

SAMPLE = 1024
"""Tokens whose inputs are kept."""


@dataclass(frozen=True)
class LinearInputs:
    """Inputs of one layer.

    Attributes:
        sample: Of some tokens, float32 [n, inputs].
        peak: The largest magnitude of each input over all tokens [inputs].
    """

    sample: Tensor
    peak: Tensor

    def divided(self, scales: Tensor) -> LinearInputs:
        """As they are when what comes before gives each input divided by its scale [inputs]."""
        return LinearInputs(self.sample / scales, self.peak / scales)


class InputRecorder:
    """Collects the inputs of a block's linear layers, prompt by prompt.

    Half of a sample is words, which are few beside the image's tokens: decoding sees nothing else.
    """

    def __init__(self, prompts: int) -> None:
        """Prepares for so many prompts, each of which gives the same number of tokens to the samples."""
        self._tokens = max(2, SAMPLE // prompts)
        self._samples: dict[str, list[Tensor]] = {name: [] for name in LINEARS}
        self._peaks: dict[str, Tensor] = {}

    @contextmanager
    def listening(self, block: nn.Module, words: int) -> Iterator[None]:
        """Records one prompt that goes through the block, the last tokens of which are so many words."""
        hooks = [
            block.get_submodule(name).register_forward_pre_hook(
                lambda _, inputs, name=name: self._record(name, inputs[0], words)
            )
            for name in LINEARS
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def inputs(self) -> dict[str, LinearInputs]:
        """Of each layer."""
        return {name: LinearInputs(torch.cat(self._samples[name]), self._peaks[name]) for name in LINEARS}

    def _record(self, name: str, x: Tensor, words: int) -> None:
        tokens = x.flatten(0, -2).float()
        peak = tokens.abs().amax(0)
        self._peaks[name] = torch.maximum(self._peaks[name], peak) if name in self._peaks else peak
        first_word = len(tokens) - words
        for part in (tokens[:first_word], tokens[first_word:]):
            count = min(self._tokens // 2, len(part))
            self._samples[name].append(
                part[
                    torch.linspace(0, len(part) - 1, count, dtype=torch.float32, device="cpu").round().long()
                ]
            )
