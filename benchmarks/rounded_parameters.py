# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A decoder's layers rounded to the nearest values when they are read, without pictures and without files."""

from __future__ import annotations

import torch

from molmo_ros.engine.quantisation.formats import linear_formats
from molmo_ros.engine.quantisation.quantised_linear import QuantisedLinear, ReadParameter, quantise
from molmo_ros.molmo.config import DecoderConfig


class RoundedParameters:
    """What `QuantisedParameters` is, of a model that nothing is known of but its weights.

    For the time and the size of an engine, with random weights too. Inputs that a format rounds are taken to reach
    `NOMINAL_RANGE`: answers need a calibration.

    Attributes:
        formats: The format of each quantised layer.
        read: Reads the parameters.
    """

    def __init__(
        self, config: DecoderConfig, precision: str, dtype: torch.dtype, read: ReadParameter
    ) -> None:
        """Nothing is read yet.

        Args:
            config: The decoder's shape.
            precision: See `linear_formats`.
            dtype: Of the engine.
            read: Reads a parameter, by the name that `MolmoModel` has for it.

        Raises:
            UnsupportedBuildError: See `linear_formats`.
        """
        self.formats = linear_formats(config, precision)
        self.read, self._dtype = read, dtype
        self._last: tuple[str, QuantisedLinear] | None = None

    def linear(self, name: str) -> QuantisedLinear:
        """The weight of one layer of `formats`."""
        if (
            self._last is None or self._last[0] != name
        ):  # a graph asks for values and scales one after the other
            weight = self.read(f"{name}.weight")
            self._last = name, quantise(weight, self.formats[name], self._dtype)
        return self._last[1]
