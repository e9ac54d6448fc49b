# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The way of pictures from the host to a CUDA device: through pinned memory, which the device reads by itself."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import torch
from torch import Tensor

ALIGNMENT = 256
"""Tensors that are sent together begin at multiples of this, as TensorRT takes them [bytes]."""


class Staging:
    """Sends tensors to one device; on any other than CUDA it is a plain copy.

    Attributes:
        nbytes: Pinned memory held [bytes].
    """

    def __init__(self, device: torch.device) -> None:
        self.nbytes, self._device = 0, device

    def send(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The values on the device: what lies in memory of the host is copied once, and goes over in one transfer."""
        if self._device.type != "cuda":
            return {name: value.to(self._device) for name, value in values.items()}
        places, size = dict[str, int](), 0
        for name, value in values.items():
            if value.device.type == "cpu":
                places[name] = size
                size += ceil(value.nbytes / ALIGNMENT) * ALIGNMENT
        if not size:
            return {name: value.to(self._device) for name, value in values.items()}
        if self.nbytes < size:
            self._memory = torch.empty(size, dtype=torch.uint8, device="cpu", pin_memory=True)
            self.nbytes, self._sent = size, torch.cuda.Event()
        self._sent.synchronize()  # what was sent before has left the memory
        for name, start in places.items():
            _place(self._memory, start, values[name]).copy_(values[name])
        arrived = self._memory[:size].to(self._device, non_blocking=True)
        self._sent.record(torch.cuda.current_stream(self._device))
        return {
            name: _place(arrived, places[name], value) if name in places else value.to(self._device)
            for name, value in values.items()
        }


def _place(memory: Tensor, start: int, like: Tensor) -> Tensor:
    """A part of the memory, uint8, as a tensor like another."""
    return memory[start : start + like.nbytes].view(like.dtype).view(like.shape)
