# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a vision graph is given of a picture: patches of 8 bits as they are, or normalised where it takes floats."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.running.colours import check_colours, normalise


class VisionInputs:
    """Of one graph, which takes patches of 8 bits or of floats.

    Attributes:
        eight_bits: Whether it takes patches of 8 bits, and their colours.
    """

    def __init__(self, names: Collection[str], dtype: torch.dtype) -> None:
        """Of a graph by what it takes.

        Args:
            names: Of its inputs.
            dtype: Of its values.
        """
        self.eight_bits, self._dtype = "colours" in names, dtype

    def sent(
        self, crops: Tensor, pooling: Tensor, masks: Tensor | None, colours: Tensor | None
    ) -> dict[str, Tensor]:
        """What is to be sent to the graph's device, checked; see `GraphRunner.vision`.

        Raises:
            ImageError: The graph takes patches of 8 bits, and these are floats; or see `normalise`.
        """
        check_colours(crops, colours)
        if self.eight_bits and crops.dtype != torch.uint8:
            raise ImageError(
                f"this engine takes patches of 8 bits, as this model's image processor makes them; these are "
                f"{crops.dtype}"
            )
        values = {"crops": crops, "pooling": pooling}
        if crops.dtype == torch.uint8 and colours is not None:
            values["colours"] = colours.to(torch.float32)
        if masks is not None:
            values["coverage"] = masks.to(torch.float32)
        return values

    def made(self, sent: dict[str, Tensor]) -> dict[str, Tensor]:
        """The graph's inputs, of what was sent and has arrived."""
        if self.eight_bits:
            return sent
        rest = {name: value for name, value in sent.items() if name not in ("crops", "colours")}
        return {"crops": normalise(sent["crops"], sent.get("colours")).to(self._dtype)} | rest
