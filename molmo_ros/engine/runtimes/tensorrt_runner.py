"""Engines of TensorRT, over torch tensors on a CUDA device."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil, prod
from types import ModuleType

import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError, EngineMismatchError
from molmo_ros.engine.runtimes.graph_runner import RunnerSetup
from molmo_ros.engine.runtimes.signatures import decoder_signature, vision_signature
from molmo_ros.engine.runtimes.tensorrt_engine import EngineContext, TensorRTEngine, records_graphs
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt.module import load_tensorrt
from molmo_ros.molmo.config import DecoderConfig, MolmoConfig
from molmo_ros.molmo.running.cuda_graphs import CudaGraphs
from molmo_ros.molmo.running.runtime import StepOutput
from molmo_ros.molmo.running.staging import Staging
from molmo_ros.molmo.running.static_decode import read_width

ALIGNMENT = 256
"""TensorRT takes tensors at multiples of this [bytes]."""


class TensorRTRunner:
    """See `GraphRunner`. All work is on a stream of its own, between what torch's current stream does before and after.

    Prefill passes have the mask's exact width. A decoded token reads a width of few values, each of which has a
    context with fixed addresses, and is a CUDA graph from its second token on.

    Attributes:
        graphs: The recorded steps; `graphs.refused` says why there are none.
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

        Raises:
            EngineMismatchError: An engine is of another GPU, TensorRT, model or shape.
            EngineError: The device has no room.
        """
        self.device, self.dtype, self._config, self._shapes = device, dtype, config, shapes
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        own = "TensorRT for RTX records by itself" if records_graphs(trt) else None
        self.graphs: CudaGraphs[None] = CudaGraphs(device, own)
        self._staging = Staging(device)
        self._contexts: dict[tuple[int, int], EngineContext] = {}
        try:
            with self._on_own_stream():
                self._load(vision, decoder, trt, rebuild)
        except torch.cuda.OutOfMemoryError as error:
            raise EngineError(
                f"the GPU has no room for the engine and its cache of {shapes.max_context} tokens: "
                f"{str(error).splitlines()[0]}. End what else uses it, or build with a smaller --max-context: {rebuild}"
            ) from error

    def _load(
        self, vision: bytes | mmap.mmap, decoder: bytes | mmap.mmap, trt: ModuleType, rebuild: str
    ) -> None:
        self._vision = TensorRTEngine("vision", vision, trt, rebuild)
        self._vision.check(vision_signature(self._config, self.dtype))
        self._decoder = TensorRTEngine("decoder", decoder, trt, rebuild)
        signature = decoder_signature(self._config, self.dtype, self._shapes)
        self._decoder.check(signature)
        # The two never run at the same time.
        scratch = max(self._vision.scratch_bytes, self._decoder.scratch_bytes, ALIGNMENT)
        self._scratch = torch.empty(scratch, dtype=torch.uint8, device=self.device)
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
        self._prefill_context = self._decoder.context(self._scratch)
        # What a decoded token takes and gives.
        self._columns = torch.arange(slots, dtype=torch.int64, device=self.device)
        self._mask = torch.zeros(1, 1, 1, slots, dtype=torch.bool, device=self.device)
        self._slot = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._first = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._embedding = torch.zeros(1, 1, width, dtype=self.dtype, device=self.device)
        self._outputs = self._decoder_outputs(1, 1)

    def vision(self, crops: Tensor, pooling: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See `GraphRunner`; tensors in memory of the host go through pinned memory.

        Raises:
            EngineError: TensorRT refuses.
        """
        with self._on_own_stream():
            inputs = {"crops": self._staging.send(crops, self.dtype), "pooling": self._staging.send(pooling)}
            if masks is not None:
                inputs["coverage"] = self._staging.send(masks, torch.float32)
            outputs = {"tokens": self._empty(len(pooling), self._config.connector.output_width)}
            if self._config.point_head is not None:
                count = len(crops if masks is None else masks) * crops.shape[1]
                outputs["patches"] = self._empty(count, self._config.vision.feature_width)
            self._run(self._vision_context, inputs, outputs)
        return outputs["tokens"], outputs.get("patches")

    def decoder(
        self, embeddings: Tensor, positions: Tensor, mask: Tensor, write_index: int, logits_for: Tensor
    ) -> StepOutput:
        """See `GraphRunner`.

        Raises:
            EngineError: TensorRT refuses.
        """
        with self._on_own_stream():
            inputs = {
                "embeddings": embeddings,
                "positions": positions,
                "mask": mask,
                "write_index": torch.full((1,), write_index, dtype=torch.int64, device=self.device),
                "logits_for": logits_for,
            }
            outputs = self._decoder_outputs(embeddings.shape[1], len(logits_for))
            self._run(self._prefill_context, inputs, self._cache.tensors() | outputs)
            end = write_index + embeddings.shape[1]
            self._cache.passed(end)
            self._cache.wipe(end)
        return StepOutput(outputs["logits"], outputs.get("states"))

    def decode(self, embedding: Tensor, length: int) -> StepOutput:
        """See `GraphRunner`.

        Raises:
            EngineError: TensorRT refuses.
        """
        kind = (read_width(length + 1, self._shapes.max_context), self._cache.turn)
        with self._on_own_stream():
            self._embedding.copy_(embedding)
            self._slot.fill_(length)
            torch.le(self._columns, self._slot, out=self._mask.view(-1))
            context = self._contexts.get(kind) or self._decode_context(kind)
            self.graphs.run(kind, lambda: context.enqueue(self._handle()))
            self._cache.passed(length + 1)
            outputs = {name: value.clone() for name, value in self._outputs.items()}
        return StepOutput(outputs["logits"], outputs.get("states"))

    def memory(self) -> dict[str, int]:
        """See `GraphRunner`: weights (as the plans' sizes), activations, kv_cache; staging is on the host."""
        return {
            "weights": self._vision.nbytes + self._decoder.nbytes,
            "activations": self._scratch.nbytes,
            "kv_cache": self._cache.memory.nbytes,
            "staging": self._staging.nbytes,
        }

    def _decode_context(self, kind: tuple[int, int]) -> EngineContext:
        """The context of one width of the mask and one turn of the cache, with everything bound."""
        context = self._decoder.context(self._scratch, repeats=True)
        inputs = {
            "embeddings": self._embedding,
            "positions": self._slot.view(1, 1),
            "mask": self._mask[..., : kind[0]],
            "write_index": self._slot,
            "logits_for": self._first,
        }
        context.bind(inputs | self._cache.tensors() | self._outputs)
        self._contexts[kind] = context
        return context

    def _decoder_outputs(self, count: int, scored: int) -> dict[str, Tensor]:
        config = self._config.decoder
        vocab = config.vocab + (config.extra_vocab if config.extra_head else 0)
        outputs = {"logits": torch.empty(1, scored, vocab, dtype=torch.float32, device=self.device)}
        if self._config.point_head is not None:
            outputs["states"] = self._empty(1, count, config.width)
        return outputs

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def _run(self, context: EngineContext, inputs: dict[str, Tensor], own: dict[str, Tensor]) -> None:
        """One pass over somebody's inputs, and the tensors that are the runner's."""
        context.bind({name: _aligned(value) for name, value in inputs.items()} | own)
        context.enqueue(self._handle())

    def _handle(self) -> int:
        """Of torch's current stream, which is another one while a step is recorded."""
        return 0 if self._stream is None else torch.cuda.current_stream(self.device).cuda_stream

    @contextmanager
    def _on_own_stream(self) -> Iterator[None]:
        if self._stream is None:
            yield
            return
        current = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)


class CacheBuffers:
    """Keys and values of every layer, in one allocation that stays where it is.

    An engine that updates in place finds each at one address, going in and coming out. For one that does not, there
    are two copies: a pass reads the one and writes the other, and then they change roles.

    Attributes:
        memory: uint8; all of it.
        turn: Which copy holds the cache; always 0 where there is one.
    """

    def __init__(
        self, config: DecoderConfig, slots: int, dtype: torch.dtype, device: torch.device, in_place: bool
    ) -> None:
        """Allocates.

        Args:
            config: The decoder's shape.
            slots: Of the cache.
            dtype: Of keys and values.
            device: Where they are.
            in_place: Whether the engine updates in place.
        """
        names = [f"{part}_{layer}" for layer in range(config.layers) for part in ("key", "value")]
        shape = (1, config.kv_heads, slots, config.head_dim)
        size = prod(shape) * dtype.itemsize
        room = ceil(size / ALIGNMENT) * ALIGNMENT
        copies = 1 if in_place else 2
        self.memory = torch.zeros(copies, len(names), room, dtype=torch.uint8, device=device)
        self.turn, self._names = 0, names
        self._parts = self.memory[..., :size].view(dtype).unflatten(-1, shape)
        self._written = 0

    def tensors(self) -> dict[str, Tensor]:
        """What the next pass takes and gives, by the graph's names; each [1, kv_heads, slots, head_dim]."""
        past, present = self._parts[self.turn], self._parts[self._next]
        inputs = {f"past_{name}": tensor for name, tensor in zip(self._names, past, strict=True)}
        return inputs | {f"present_{name}": tensor for name, tensor in zip(self._names, present, strict=True)}

    def passed(self, end: int) -> None:
        """To be told of every pass, with the slot at which its tokens ended."""
        self.turn = self._next
        self._written = max(self._written, end)

    def wipe(self, end: int) -> None:
        """Clears what earlier prompts left behind slot `end`.

        A masked slot counts 0 times what it holds, which is not 0 where a failed answer left infinities.
        """
        self._parts[self.turn, ..., end : self._written, :] = 0
        self._written = end

    @property
    def _next(self) -> int:
        return (self.turn + 1) % len(self._parts)


def open_runner(setup: RunnerSetup) -> TensorRTRunner:
    """Engines of TensorRT, on the CUDA device that was named, or else on the first.

    Raises:
        EngineError: See `TensorRTRunner`, `load_tensorrt` and `EngineFiles.content`.
    """
    trt = load_tensorrt(setup.runtime.package)
    vision, decoder = (setup.files.content(name) for name in setup.runtime.files)
    device = torch.device(setup.device if setup.device.startswith("cuda") else "cuda")
    return TensorRTRunner(
        vision, decoder, setup.config, setup.shapes, setup.dtype, trt, device, setup.rebuild
    )


def _aligned(value: Tensor) -> Tensor:
    """The tensor, or a copy of it at an address that TensorRT takes."""
    if value.is_contiguous() and value.data_ptr() % ALIGNMENT == 0:
        return value
    return value.clone(memory_format=torch.contiguous_format)
