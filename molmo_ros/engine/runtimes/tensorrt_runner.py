# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Engines of TensorRT, over torch tensors on a CUDA device."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from molmo_ros.engine.errors import EngineError, EngineMismatchError
from molmo_ros.engine.graphs.vision_inputs import VisionInputs
from molmo_ros.engine.runtimes.cache_buffers import CacheBuffers
from molmo_ros.engine.runtimes.graph_runner import RunnerSetup
from molmo_ros.engine.runtimes.signatures import decoder_signature, vision_signature
from molmo_ros.engine.runtimes.tensorrt_engine import (
    ALIGNMENT,
    EngineContext,
    TensorRTEngine,
    aligned,
    records_graphs,
)
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.store.jit_cache import JitCacheFile
from molmo_ros.engine.tensorrt.module import load_tensorrt
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.running.cuda_graphs import CudaGraphs
from molmo_ros.molmo.running.fixed_pass import FixedPass
from molmo_ros.molmo.running.runtime import StepOutput
from molmo_ros.molmo.running.staging import Staging
from molmo_ros.molmo.running.static_decode import read_width
from molmo_ros.molmo.running.verify_widths import verify_slots, verify_width

LOG = logging.getLogger(__name__)
UNRECORDED = "TensorRT for RTX says that it cannot record them"
STEP = 64
"""TensorRT for RTX compiles kernels for every length of a prefill, so lengths are rounded up to multiples of this."""


class TensorRTRunner:
    """See `GraphRunner`. All work is on a stream of its own, between what torch's current stream does before and after.

    Prefill passes have the mask's exact width; for TensorRT for RTX, one of few. A decoded token reads a width of few
    values, each of which has a context with fixed addresses, and is a CUDA graph from its second token on. So do passes
    over a few tokens, see `FixedPass`.

    Attributes:
        graphs: The recorded steps of one token; TensorRT for RTX makes its own.
        passes: Those of a few tokens.
    """

    name = "tensorrt"

    def __init__(
        self,
        vision: bytes | mmap.mmap,
        decoder: bytes | mmap.mmap,
        config: MolmoConfig,
        shapes: Shapes,
        dtype: torch.dtype,
        trt: ModuleType,
        device: torch.device,
        rebuild: str = "molmo-ros build",
        home: Path | None = None,
    ) -> None:
        """Loads both engines and allocates everything but the contexts of decoding.

        Args:
            vision: The plan of vision.engine: bytes, or a map of the file, that were verified.
            decoder: The plan of decoder.engine.
            config: The model's shape.
            shapes: What the engines were built for.
            dtype: Of activations.
            trt: The module `tensorrt` or `tensorrt_rtx`.
            device: The CUDA device.
            rebuild: The command that builds them, for messages.
            home: The engine's folder, where TensorRT for RTX keeps what it compiles; None for nowhere.

        Raises:
            EngineMismatchError: An engine is of another GPU, TensorRT, model or shape.
            EngineError: The device has no room.
        """
        self.device, self.dtype, self._config, self._shapes = device, dtype, config, shapes
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._compiles = records_graphs(trt)
        own = "TensorRT for RTX records by itself" if self._compiles else None
        self.graphs: CudaGraphs[None] = CudaGraphs(device, own)
        self.passes = self.graphs.beside("passes over a few tokens run")
        self._staging = Staging(device)
        self._contexts: dict[tuple[int, ...], EngineContext] = {}
        self._recorded: dict[tuple[int, ...], bool] = {}
        try:
            with self._on_own_stream():
                self._load(vision, decoder, trt, rebuild, home)
        except torch.cuda.OutOfMemoryError as error:
            raise EngineError(
                f"the GPU has no room for the engine and its cache of {shapes.max_context} tokens: "
                f"{str(error).splitlines()[0]}. End what else uses it, or build with a smaller --max-context: {rebuild}"
            ) from error

    def _load(
        self,
        vision: bytes | mmap.mmap,
        decoder: bytes | mmap.mmap,
        trt: ModuleType,
        rebuild: str,
        home: Path | None,
    ) -> None:
        def kept(part: str) -> JitCacheFile | None:
            return None if home is None else JitCacheFile(home, part)

        self._vision = TensorRTEngine("vision", vision, trt, rebuild, kept("vision"))
        self._vision_inputs = VisionInputs(self._vision.inputs, self.dtype)
        self._vision.check(vision_signature(self._config, self.dtype, self._vision_inputs.eight_bits))
        self._decoder = TensorRTEngine("decoder", decoder, trt, rebuild, kept("decoder"))
        signature = decoder_signature(self._config, self.dtype, self._shapes)
        self._decoder.check(signature)
        # The two never run at the same time.
        scratch = max(self._vision.scratch_bytes, self._decoder.scratch_bytes, ALIGNMENT)
        self._scratch = aligned((scratch,), torch.uint8, self.device)
        slots, width = self._shapes.max_context, self._config.decoder.width
        caches = {name: name.replace("present", "past") for name in signature if name.startswith("present")}
        in_place = self._decoder.aliases == caches
        if self._decoder.aliases and not in_place:
            raise EngineMismatchError(
                f"the decoder engine updates only a part of its cache in place: {self._decoder.aliases}. Build it "
                f"again: {rebuild}"
            )
        self._cache = CacheBuffers(self._config.decoder, slots, self.dtype, self.device, in_place)
        self._vision_context = self._vision.context(self._scratch)
        # The first profile is for single tokens; the last one, which may be the same, for prompts.
        prompts = self._decoder.profiles - 1
        self._prefill_context = self._decoder.context(self._scratch, profile=prompts, stream=self._handle())
        # What a decoded token takes and gives.
        self._columns = torch.arange(slots, dtype=torch.int64, device=self.device)
        self._mask = aligned((1, 1, 1, slots), torch.bool, self.device)
        self._slot = aligned((1,), torch.int64, self.device)
        self._first = aligned((1,), torch.int64, self.device)
        self._embedding = aligned((1, 1, width), self.dtype, self.device)
        self._outputs = self._decoder_outputs(1, 1)
        self._fixed = FixedPass(
            self._config.decoder,
            slots,
            lambda shape, dtype: aligned(shape, dtype, self.device),
            self.dtype,
            torch.float32,
        )

    def vision(
        self, crops: Tensor, pooling: Tensor, masks: Tensor | None, colours: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """See `GraphRunner`; tensors in memory of the host go through pinned memory.

        Raises:
            EngineError: TensorRT refuses.
        """
        for engine in (self._vision, self._decoder):  # between answers: what the last one had compiled
            engine.keep_compiled()
        with self._pass("this picture"):
            sent = self._vision_inputs.sent(crops, pooling, masks, colours)
            inputs = self._vision_inputs.made(self._staging.send(sent))
            outputs = {"tokens": self._empty(len(pooling), self._config.connector.output_width)}
            if self._config.point_head is not None:
                count = len(crops if masks is None else masks) * crops.shape[1]
                outputs["patches"] = self._empty(count, self._config.vision.feature_width)
            self._run(self._vision_context, inputs, outputs)
            self._vision.compiled()
        return outputs["tokens"], outputs.get("patches")

    def decoder(
        self, embeddings: Tensor, positions: Tensor, mask: Tensor, write_index: int, logits_for: Tensor
    ) -> StepOutput:
        """See `GraphRunner`.

        Raises:
            EngineError: TensorRT refuses.
        """
        count, slots = embeddings.shape[1], self._shapes.max_context
        width = verify_width(count, write_index, slots, self._shapes.fixed_widths)
        if width is not None and 0 < len(logits_for) <= width:
            return self._verify(width, embeddings, positions, mask, write_index, logits_for)
        with self._pass(f"{count} tokens"):
            if self._compiles:
                embeddings, positions, mask = self._rounded_up(embeddings, positions, mask, write_index)
            inputs = {
                "embeddings": embeddings,
                "positions": positions,
                "mask": mask,
                "write_index": torch.full((1,), write_index, dtype=torch.int64, device=self.device),
                "logits_for": logits_for,
            }
            outputs = self._decoder_outputs(embeddings.shape[1], len(logits_for))
            self._cache.writes(write_index + embeddings.shape[1])
            self._run(self._prefill_context, inputs, self._cache.tensors() | outputs)
            self._cache.passed()
            self._cache.wipe(write_index + count)
            self._decoder.compiled()
        states = outputs.get("states")
        return StepOutput(outputs["logits"], None if states is None else states[:, :count])

    def _verify(
        self,
        width: int,
        embeddings: Tensor,
        positions: Tensor,
        mask: Tensor,
        write_index: int,
        logits_for: Tensor,
    ) -> StepOutput:
        """`decoder` at a fixed width."""
        count, scored, end = embeddings.shape[1], len(logits_for), write_index + width
        read = verify_slots(end, self._shapes.max_context)
        with self._pass(f"{count} tokens"):
            self._cache.wipe(end)
            self._fixed.set(width, read, embeddings, mask, positions, write_index, logits_for)
            self._replay((width, read, self._cache.turn), end)
            logits = self._fixed.logits[:, :scored].clone()
            states = None if self._config.point_head is None else self._fixed.states[:, :count].clone()
        return StepOutput(logits, states)

    def _replay(self, kind: tuple[int, ...], end: int) -> None:
        """One pass of a kind that comes again, whose tokens end at a slot."""
        context = self._contexts.get(kind) or self._repeating(kind)
        self._cache.writes(end)
        graphs = self.graphs if len(kind) == 2 else self.passes
        graphs.run(kind, lambda: context.enqueue(self._handle()))
        self._cache.passed()
        if self._compiles and kind not in self._recorded:
            self._recorded[kind] = self._records(context)

    def _rounded_up(
        self, embeddings: Tensor, positions: Tensor, mask: Tensor, write_index: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The tokens of a pass and others of nothing, which write slots that are wiped, and that no other one sees."""
        count, columns = mask.shape[2], mask.shape[3]
        most = min(self._shapes.max_prompt, self._shapes.max_context - write_index)
        more = min(_rounded(count), most) - count
        width = min(_rounded(columns + more), self._shapes.max_context)
        mask = functional.pad(mask, (0, width - columns, 0, more))
        mask[:, :, count:, :1] = True  # an attention that sees nothing is not a number
        return functional.pad(embeddings, (0, 0, 0, more)), functional.pad(positions, (0, more)), mask

    def decode(self, embedding: Tensor, length: int) -> StepOutput:
        """See `GraphRunner`.

        Raises:
            EngineError: TensorRT refuses.
        """
        kind = (read_width(length + 1, self._shapes.max_context), self._cache.turn)
        with self._pass("a token"):
            self._embedding.copy_(embedding)
            self._slot.fill_(length)
            torch.le(self._columns, self._slot, out=self._mask.view(-1))
            self._cache.wipe(length + 1)  # what a verified guess left: it may be of a pass that failed
            self._replay(kind, length + 1)
            outputs = {name: value.clone() for name, value in self._outputs.items()}
        return StepOutput(outputs["logits"], outputs.get("states"))

    def _records(self, context: EngineContext) -> bool:
        """Whether TensorRT for RTX replays a token from its next time on."""
        recordable = context.recordable(self._handle())
        if not recordable and all(self._recorded.values()):
            LOG.warning("tokens are decoded kernel by kernel, which is slower: %s", UNRECORDED)
        return recordable

    def graphs_refused(self) -> str:
        """See `Runtime`."""
        if not self._compiles:
            return self.graphs.refused or self.passes.refused or ""
        return "" if all(self._recorded.values()) else UNRECORDED

    def memory(self) -> dict[str, int]:
        """See `GraphRunner`: weights (as the plans' sizes), activations, kv_cache; staging is on the host."""
        return {
            "weights": self._vision.nbytes + self._decoder.nbytes,
            "activations": self._scratch.nbytes,
            "kv_cache": self._cache.memory.nbytes,
            "staging": self._staging.nbytes,
        }

    def _repeating(self, kind: tuple[int, ...]) -> EngineContext:
        """The context of one width of the mask and one turn of the cache, with everything bound: of a token, or of a
        fixed number of them."""
        context = self._decoder.context(self._scratch, repeats=True)
        if len(kind) == 2:
            inputs, outputs = (
                {
                    "embeddings": self._embedding,
                    "positions": self._slot.view(1, 1),
                    "mask": self._mask[..., : kind[0]],
                    "write_index": self._slot,
                    "logits_for": self._first,
                },
                self._outputs,
            )
        else:
            width, read, _ = kind
            inputs = {
                "embeddings": self._fixed.embeddings[:, :width],
                "positions": self._fixed.positions[:, :width],
                "mask": self._fixed.mask(width, read),
                "write_index": self._fixed.places[:1],
                "logits_for": self._fixed.scored[:width],
            }
            outputs = {"logits": self._fixed.logits[:, :width]}
            if self._config.point_head is not None:
                outputs["states"] = self._fixed.states[:, :width]
        context.bind(inputs | self._cache.tensors() | outputs)
        self._contexts[kind] = context
        self._decoder.compiled()
        return context

    def _decoder_outputs(self, count: int, scored: int) -> dict[str, Tensor]:
        config = self._config.decoder
        vocab = config.vocab + (config.extra_vocab if config.extra_head else 0)
        outputs = {"logits": aligned((1, scored, vocab), torch.float32, self.device)}
        if self._config.point_head is not None:
            outputs["states"] = self._empty(1, count, config.width)
        return outputs

    def _empty(self, *shape: int) -> Tensor:
        return aligned(shape, self.dtype, self.device)

    def _run(self, context: EngineContext, inputs: dict[str, Tensor], own: dict[str, Tensor]) -> None:
        """One pass over somebody's inputs, and the tensors that are the runner's."""
        context.bind({name: _aligned(value) for name, value in inputs.items()} | own)
        context.enqueue(self._handle())

    def _handle(self) -> int:
        """Of torch's current stream, which is another one while a step is recorded."""
        return 0 if self._stream is None else torch.cuda.current_stream(self.device).cuda_stream

    @contextmanager
    def _pass(self, of: str) -> Iterator[None]:
        """On the own stream; memory that is not there ends the query and nothing else."""
        try:
            with self._on_own_stream():
                yield
        except torch.cuda.OutOfMemoryError as error:
            raise EngineError(
                f"the GPU has no memory left for a pass over {of}: {str(error).splitlines()[0]}. End what else uses "
                "it, or ask for fewer tiles with max_crops"
            ) from error

    @contextmanager
    def _on_own_stream(self) -> Iterator[None]:
        if self._stream is None:
            yield
            return
        current = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:  # also after a failure: the memory that its pass may still use is freed now
            current.wait_stream(self._stream)


def open_runner(setup: RunnerSetup) -> TensorRTRunner:
    """Engines of TensorRT, on the CUDA device that was named, or else on the first.

    Raises:
        EngineError: See `TensorRTRunner`, `load_tensorrt` and `EngineFiles.content`.
    """
    trt = load_tensorrt(setup.runtime.package)
    vision, decoder = (setup.files.content(name) for name in setup.runtime.files)
    device = torch.device(setup.device if setup.device.startswith("cuda") else "cuda")
    return TensorRTRunner(
        vision, decoder, setup.config, setup.shapes, setup.dtype, trt, device, setup.rebuild, setup.home
    )


def _aligned(value: Tensor) -> Tensor:
    """The tensor, or a copy of it at an address that TensorRT takes."""
    if value.is_contiguous() and value.data_ptr() % ALIGNMENT == 0:
        return value
    return aligned(tuple(value.shape), value.dtype, value.device).copy_(value)


def _rounded(size: int) -> int:
    return ceil(size / STEP) * STEP
