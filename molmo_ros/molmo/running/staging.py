# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The way of pictures from the host to a CUDA device: through pinned memory, which the device reads by itself."""

from __future__ import annotations

import torch
from torch import Tensor


class Staging:
    """Sends tensors to one device; on any other than CUDA it is a plain copy.

    Attributes:
        nbytes: Pinned memory held [bytes].
    """

    def __init__(self, device: torch.device) -> None:
        self.nbytes, self._device = 0, device

    def send(self, value: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """The values on the device, in their own type or in `dtype`, to which the device converts them."""
        dtype = dtype or value.dtype
        if self._device.type != "cuda" or value.device.type != "cpu" or value.nbytes == 0:
            return value.to(self._device, dtype)
        if self.nbytes < value.nbytes:
            self._memory, self.nbytes = (
                torch.empty(value.nbytes, dtype=torch.uint8, device="cpu", pin_memory=True),
                value.nbytes,
            )
            self._sent = torch.cuda.Event()
        self._sent.synchronize()  # what was sent before has left the memory
        staged = self._memory[: value.nbytes].view(value.dtype).view(value.shape)
        staged.copy_(value)
        arrived = staged.to(self._device, non_blocking=True)
        self._sent.record(torch.cuda.current_stream(self._device))
        return arrived.to(dtype)
