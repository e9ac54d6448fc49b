# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The folder that holds a quantised decoder: one safetensors file for each block."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.quantisation.block_quantiser import QuantisedBlock
from molmo_ros.engine.quantisation.formats import linear_formats
from molmo_ros.engine.quantisation.quantised_linear import QuantisedLinear, ReadParameter
from molmo_ros.molmo.config import DecoderConfig

PARTS = ("values", "scales", "input_scale", "global_scale")
KEY = "made_of"


class QuantisedParameters:
    """A model's parameters, those of its decoder's blocks as a folder has them.

    Attributes:
        formats: The format of each quantised layer, by the name that `MolmoModel` has for it.
    """

    def __init__(self, folder: Path, config: DecoderConfig, precision: str, read: ReadParameter) -> None:
        """Opens a folder; nothing is read yet.

        Args:
            folder: What `quantise_decoder` has filled.
            config: The decoder's shape.
            precision: What it was filled with.
            read: Reads the parameters that no block has.

        Raises:
            EngineError: A block is missing.
            UnsupportedBuildError: See `linear_formats`.
        """
        self.formats = linear_formats(config, precision)
        self._folder, self._read = folder, read
        missing = [layer for layer in range(config.layers) if not block_file(folder, layer).is_file()]
        if missing:
            raise EngineError(
                f"{folder} lacks {len(missing)} of {config.layers} quantised blocks, the first is {missing[0]}; "
                "the same build goes on where it was interrupted"
            )

    def read(self, name: str) -> Tensor:
        """A parameter that is not quantised, by the name that `MolmoModel` has for it.

        Raises:
            EngineError: The block's file cannot be read.
        """
        layer, within = _place(name)
        return self._read(name) if layer is None else self._tensors(layer, within)[within]

    def linear(self, name: str) -> QuantisedLinear:
        """The weight of one layer of `formats`.

        Raises:
            EngineError: The block's file cannot be read.
        """
        layer, within = _place(name)
        assert layer is not None, "only layers of blocks are quantised"
        parts = self._tensors(layer, *(f"{within}.{part}" for part in PARTS))
        values, scales, input_scale, global_scale = (parts.get(f"{within}.{part}") for part in PARTS)
        if values is None or scales is None:
            raise EngineError(
                f"{block_file(self._folder, layer)} does not hold {within}; remove it and build again"
            )
        return QuantisedLinear(self.formats[name], values, scales, input_scale, global_scale)

    def _tensors(self, layer: int, *names: str) -> dict[str, Tensor]:
        """Those of the tensors that the block's file has."""
        path = block_file(self._folder, layer)
        try:
            with safe_open(path, "pt") as file:
                return {name: file.get_tensor(name) for name in names if name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise EngineError(f"{path} cannot be read: {error}; remove it and build again") from error


def block_file(folder: Path, layer: int) -> Path:
    """Where a block is kept."""
    return folder / f"block_{layer:03}.safetensors"


def made_of(path: Path) -> str | None:
    """What a block's file says that it was made of; None where there is no file, or not a whole one."""
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get(KEY)
    except (OSError, SafetensorError):
        return None


def write_block(path: Path, block: QuantisedBlock, key: str) -> None:
    """Writes a block's file, which appears under its name when it is complete.

    Raises:
        EngineError: The disk is full, or the folder cannot be written to.
    """
    tensors = dict(block.parameters)
    for name, linear in block.linears.items():
        parts = zip(
            PARTS, (linear.values, linear.scales, linear.input_scale, linear.global_scale), strict=True
        )
        tensors |= {f"{name}.{part}": value for part, value in parts if value is not None}
    new = path.with_suffix(".new")
    try:
        save_file(
            {name: value.contiguous().cpu() for name, value in tensors.items()}, new, metadata={KEY: key}
        )
        os.replace(new, path)
    except (OSError, SafetensorError) as error:
        raise EngineError(f"{path} cannot be written: {error}") from error
    finally:
        if new.is_file():
            new.unlink()


def _place(name: str) -> tuple[int | None, str]:
    """The block that a parameter belongs to, and its name within it; None and the name for others."""
    if not name.startswith("decoder.blocks."):
        return None, name
    layer, within = name.removeprefix("decoder.blocks.").split(".", 1)
    return int(layer), within
