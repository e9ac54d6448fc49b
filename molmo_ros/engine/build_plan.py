# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is to be built: checked as far as it can be before any work, and what it will take."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch

from molmo_ros.engine.errors import UnsupportedBuildError
from molmo_ros.engine.quantisation.formats import LINEARS, QUANTISED
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.store.engines_home import engine_name
from molmo_ros.engine.targets import Target, TensorRTTarget, find_target
from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.weights.stored_parameters import BASE, EXTRA, HEAD, StoredParameters

BITS = {"fp32": 32, "fp16": 16, "bf16": 16, "int8": 8, "fp8": 8, "int4": 4, "nvfp4": 4}
SCALE_BITS = {"int4": 16 / 128, "nvfp4": 8 / 16}
"""Bits of a group's scale, for each of its values."""
WRITE_RATE, BUILD_RATE = 110e6, 65e6
"""Bytes of graph that are written, and of engine that are built, in a second; seen on two cores of a server."""
CALIBRATION_RATE = 1e6
"""Weights that are calibrated in a second on the same cores; a GPU's rate is not known yet, and not counted."""
BUILD_MEMORY = 3.2
"""Memory of a TensorRT build as a multiple of the engine; seen with 4-bit engines."""
FEW_BITS = tuple(f"{linear}.weight" for linear in LINEARS)
"""The parameters of a block that have fewer bits where the decoder has."""


@dataclass(frozen=True)
class Estimate:
    """What a build will take, roughly; the quality gate not counted.

    Attributes:
        seconds: Wall time.
        disk: The largest need while it is built [bytes].
        memory: The largest need [bytes].
        engine: What stays [bytes].
    """

    seconds: float
    disk: float
    memory: float
    engine: float

    def __str__(self) -> str:
        minutes = self.seconds / 60
        time = f"{minutes:.0f} min" if minutes >= 2 else f"{self.seconds:.0f} s"
        time = f"{minutes / 60:.1f} h" if minutes >= 90 else time
        return (
            f"about {time}, {_size(self.disk)} of disk, {_size(self.memory)} of memory; the engine will have about "
            f"{_size(self.engine)}"
        )


@dataclass(frozen=True)
class BuildPlan:
    """One engine.

    Attributes:
        model: As the user named it.
        checkpoint: Its folder.
        config: Its shape.
        shapes: What the engine takes.
        target: What it is for.
        precision: The number format of the decoder's weights.
        name: Of the engine.
        command: What builds it again.
        sizes: Values of every parameter.
        eight_bits: Whether patches of images come in 8 bits, see `ImageStyle.eight_bits`.
    """

    model: str
    checkpoint: Path
    config: MolmoConfig
    shapes: Shapes
    target: Target
    precision: str
    name: str
    command: str
    sizes: dict[str, int]
    eight_bits: bool

    @classmethod
    def make(
        cls,
        model: str,
        target: str,
        precision: str | None = None,
        *,
        max_crops: int | None = None,
        max_context: int | None = None,
        gpu: tuple[int, int] | None = None,
    ) -> BuildPlan:
        """Checks what was asked for.

        Args:
            model: A name or a folder, see `Molmo.from_pretrained`.
            target: One of `TARGET_NAMES`.
            precision: None for the target's usual one.
            max_crops: See `Shapes.of`.
            max_context: See `Shapes.of`.
            gpu: The compute capability of this machine's GPU; None without one.

        Raises:
            CheckpointError: There is no such model.
            UnsupportedBuildError: The target, the precision, the machine or a size cannot be.
        """
        chosen = find_target(target, gpu)
        wanted = precision or chosen.usual_precision
        chosen.check_precision(wanted)
        chosen.check_machine(gpu)
        folder = checkpoint_folder(model)
        stored = StoredParameters(folder)
        if stored.config.decoder.experts and wanted in QUANTISED:
            raise UnsupportedBuildError(
                f"{model} is a mixture of experts, whose weights are not quantised; build with fp16 or bf16"
            )
        images = read_image_processing(folder)
        shapes = Shapes.of(stored.config, images, max_crops, max_context)
        words = ["molmo-ros", "build", model, "--target", target, "--precision", wanted]
        words += [] if max_crops is None else ["--max-crops", str(max_crops)]
        words += [] if max_context is None else ["--max-context", str(max_context)]
        return cls(
            model=model,
            checkpoint=folder,
            config=stored.config,
            shapes=shapes,
            target=chosen,
            precision=wanted,
            name=engine_name(model, target, wanted, max_crops, max_context),
            command=shlex.join(words),
            sizes={name: prod(shape) for name, shape in stored.shapes.items()},
            eight_bits=images.style.eight_bits,
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of the graphs' values; decoders with quantised weights compute in bfloat16, which does not overflow."""
        return {"fp32": torch.float32, "fp16": torch.float16}.get(self.precision, torch.bfloat16)

    @property
    def quantised(self) -> bool:
        """Whether the decoder's weights have fewer than 16 bits."""
        return self.precision in QUANTISED

    @property
    def prompts_apart(self) -> bool:
        """Whether the decoder gets a second profile, with kernels for prompts.

        Where kernels are chosen by the build; TensorRT for RTX compiles for the lengths that come. It was seen to
        store weights of few bits once for each profile.
        """
        return isinstance(self.target, TensorRTTarget) and not self.target.ahead and not self.quantised

    def weight_bytes(self) -> float:
        """Ideal size of the engine's weights: parameters times bits, scales included."""
        total = 0.0
        for name, count in self.sizes.items():
            if name in (BASE, EXTRA) and not (name == BASE and HEAD not in self.sizes):
                continue  # embeddings are looked up outside; a tied one is the head all the same
            bits: float = self.dtype.itemsize * 8
            if self.quantised and self._is_quantised(name):
                bits = BITS[self.precision] + SCALE_BITS.get(self.precision, 0)
            total += count * bits / 8
        return total

    def _is_quantised(self, name: str) -> bool:
        """Whether a parameter is one of those that have fewer bits where the decoder has."""
        return name.startswith("decoder.blocks.") and name.endswith(FEW_BITS)

    def estimate(self) -> Estimate:
        """What the build will take."""
        graph = self.weight_bytes()
        largest = max(self.sizes.values()) * 4.0
        if not isinstance(self.target, TensorRTTarget):
            return Estimate(graph / WRITE_RATE + 1, graph, 0.5e9 + 2 * largest, graph)
        seconds = graph / WRITE_RATE + graph / BUILD_RATE + 5
        if self.quantised and not torch.cuda.is_available():
            few = sum(count for name, count in self.sizes.items() if self._is_quantised(name))
            seconds += few / CALIBRATION_RATE
        memory = 0.5e9 + max(BUILD_MEMORY * graph, 2 * largest)
        return Estimate(seconds, 2.2 * graph, memory, 1.1 * graph)


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(count / 1e6, 1):.0f} MB"
