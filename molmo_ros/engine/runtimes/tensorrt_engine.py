# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One engine of TensorRT, and the contexts that run it over torch tensors."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from math import prod
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError, EngineMismatchError
from molmo_ros.engine.runtimes.signatures import Signature
from molmo_ros.engine.store.jit_cache import JitCacheFile
from molmo_ros.engine.tensorrt.process_runtime import process_runtime

TYPES = {
    "FLOAT": torch.float32,
    "HALF": torch.float16,
    "BF16": torch.bfloat16,
    "UINT8": torch.uint8,
    "INT64": torch.int64,
    "BOOL": torch.bool,
}
"""TensorRT's names of the types that the graphs have."""
ALIGNMENT = 256
"""TensorRT takes tensors and working memory at multiples of this [bytes]."""


class TensorRTEngine:
    """A deserialised engine.

    Attributes:
        nbytes: Of the plan, which is its weights above all.
        scratch_bytes: What a context needs beside inputs and outputs, for the largest shapes.
        profiles: How many ways it has of choosing kernels; all take the same shapes.
        aliases: The outputs that must be at the address of an input, and which.
    """

    def __init__(
        self,
        part: str,
        plan: bytes | mmap.mmap,
        trt: ModuleType,
        rebuild: str,
        kept: JitCacheFile | None = None,
    ) -> None:
        """Deserialises a plan on torch's current CUDA device.

        Args:
            part: "vision" or "decoder", for messages.
            plan: Bytes, or a map of the file; not needed afterwards. Whoever calls has made sure where they come
                from: a plan is code.
            trt: The module `tensorrt` or `tensorrt_rtx`.
            rebuild: The command that builds it for this machine, for messages.
            kept: Where TensorRT for RTX keeps what it compiles; None for nowhere.

        Raises:
            EngineError: The GPU has no room for it.
            EngineMismatchError: TensorRT does not take it: another version's, another GPU's, or no plan at all.
        """
        self._part, self._trt, self._rebuild = part, trt, rebuild
        shared = process_runtime(trt)
        self._log = shared.log
        self.begin()
        self._engine = shared.runtime.deserialize_cuda_engine(plan)
        if self._engine is None and "out of memory" in self.said().lower():
            raise EngineError(f"the GPU has no room for the {part} engine: {self.said()}")
        if self._engine is None:
            raise EngineMismatchError(
                f"TensorRT {trt.__version__} cannot load the {part} engine here: {self.said()}. An engine runs on the "
                f"GPU and the TensorRT that it was built for; build it again: {rebuild}"
            )
        self.nbytes, self.scratch_bytes = len(plan), self._engine.device_memory_size_v2
        self.profiles = self._engine.num_optimization_profiles
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self._tensors = {name: self._signature(name) for name in names}
        self.inputs = {name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT}
        # Before TensorRT 10.15 there is no update in place, and no such question.
        aliased = getattr(self._engine, "get_aliased_input_tensor", lambda name: None)
        outputs = {name: aliased(name) for name in names if name not in self.inputs}
        self.aliases = {name: source for name, source in outputs.items() if source}
        self._kept, self._compiled = kept, False
        self._jit_cache: Any = None

    def _signature(self, name: str) -> Signature:
        kind = self._engine.get_tensor_dtype(name).name
        on_host = self._engine.get_tensor_location(name) == self._trt.TensorLocation.HOST
        if kind not in TYPES or on_host:
            where = "in memory of the host" if on_host else f"as {kind}"
            raise EngineMismatchError(
                f"the {self._part} engine wants {name} {where}, which no build of this version does. Build it again: "
                f"{self._rebuild}"
            )
        return Signature(TYPES[kind], tuple(self._engine.get_tensor_shape(name)))

    def check(self, expected: Mapping[str, Signature]) -> None:
        """Makes sure that inputs and outputs are those of a model and of the shapes it was built for.

        Raises:
            EngineMismatchError: Names the first that is not.
        """
        for name in [*expected, *(self._tensors.keys() - expected.keys())]:
            wanted, found = expected.get(name), self._tensors.get(name)
            if wanted is None or found is None or not found.takes(wanted):
                raise EngineMismatchError(
                    f"the {self._part} engine is of another model or other limits: {name} is {found or 'missing'} in "
                    f"it, and should be {wanted or 'missing'}. Build it again: {self._rebuild}"
                )

    def context(
        self, scratch: Tensor, repeats: bool = False, profile: int = 0, stream: int = 0
    ) -> EngineContext:
        """A context, which keeps shapes and addresses.

        Args:
            scratch: uint8 [scratch_bytes or more], on the device, at a multiple of `ALIGNMENT`. Contexts that never
                run at the same time may share it.
            repeats: Whether it will run again and again with the same shapes. TensorRT for RTX compiles for them at
                once, and records such a context as a CUDA graph by itself.
            profile: Whose kernels it takes, below `profiles`.
            stream: Handle of the CUDA stream that it will run on.

        Raises:
            EngineError: The device has no room for it.
        """
        self.begin()
        user_managed = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        settings = self._rtx_settings(repeats) if records_graphs(self._trt) else user_managed
        context = self._engine.create_execution_context(settings)
        if context is None:
            raise EngineError(f"the GPU has no room to run the {self._part} engine: {self.said()}")
        context.set_device_memory(scratch.data_ptr(), scratch.nbytes)
        if profile and not context.set_optimization_profile_async(profile, stream):
            raise self.failure(f"does not take its profile {profile} of {self.profiles}")
        return EngineContext(self, context)

    def _rtx_settings(self, repeats: bool) -> Any:
        """How TensorRT for RTX is to run a context. What is compiled for one serves all."""
        settings = self._engine.create_runtime_config()
        settings.set_execution_context_allocation_strategy(
            self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        if self._jit_cache is None:
            self._jit_cache = settings.create_runtime_cache()
            earlier = self._kept.read() if self._kept is not None else b""
            if earlier:
                self._jit_cache.deserialize(earlier)  # False, and empty, where it is of another GPU or driver
        settings.set_runtime_cache(self._jit_cache)
        if repeats:
            kinds = self._trt.DynamicShapesKernelSpecializationStrategy
            settings.dynamic_shapes_kernel_specialization_strategy = kinds.EAGER
            settings.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return settings

    def compiled(self) -> None:
        """To be told after a pass that TensorRT for RTX may have compiled something for."""
        self._compiled = True

    def keep_compiled(self) -> None:
        """Writes what was compiled since the last time beside the engine. Takes a moment: not for between tokens."""
        if self._compiled and self._jit_cache is not None and self._kept is not None:
            self._kept.write(memoryview(self._jit_cache.serialize()))
        self._compiled = False

    def begin(self) -> None:
        """Forgets what TensorRT said before the call that comes."""
        self._log.clear()

    def failure(self, what: str) -> EngineError:
        """What to raise when TensorRT refused something."""
        return EngineError(f"the {self._part} engine {what}: {self.said()}")

    def said(self) -> str:
        """TensorRT's last warnings and errors."""
        return " | ".join(self._log.lines) or "TensorRT gave no reason"


class EngineContext:
    """Runs an engine over tensors that others own."""

    def __init__(self, engine: TensorRTEngine, context: Any) -> None:
        self._engine, self._context = engine, context
        self._bound: dict[str, Tensor] = {}

    def bind(self, tensors: Mapping[str, Tensor]) -> None:
        """Says where inputs and outputs are, from now on; shapes are theirs.

        Args:
            tensors: By name, contiguous; they are kept. Inputs come before the outputs whose shapes depend on them.

        Raises:
            EngineError: A shape is outside of what the engine was built for.
        """
        self._engine.begin()
        for name, tensor in tensors.items():
            shape = tuple(tensor.shape)
            assert tensor.is_contiguous(), name
            if name in self._engine.inputs:
                if not self._context.set_input_shape(name, shape):
                    raise self._engine.failure(f"does not take {name} of shape {shape}")
            elif tuple(self._context.get_tensor_shape(name)) != shape:  # it would write beyond the tensor
                found = tuple(self._context.get_tensor_shape(name))
                raise self._engine.failure(f"makes {name} of shape {found}, not {shape}")
            if not self._context.set_tensor_address(name, tensor.data_ptr()):
                raise self._engine.failure(f"does not take {name} from where it is")
        self._bound.update(tensors)

    def enqueue(self, stream: int) -> None:
        """Starts a pass over what is bound.

        Args:
            stream: Handle of a CUDA stream.

        Raises:
            EngineError: TensorRT refuses.
        """
        self._engine.begin()
        if not self._context.execute_async_v3(stream):
            raise self._engine.failure("does not run")

    def recordable(self, stream: int) -> bool:
        """Whether TensorRT for RTX can record what is bound; to be asked after a pass, which compiles what is missing.

        Args:
            stream: Handle of a CUDA stream.
        """
        return bool(self._context.is_stream_capturable(stream))


def records_graphs(trt: ModuleType) -> bool:
    """Whether this TensorRT makes CUDA graphs by itself: the one for RTX does."""
    return hasattr(trt, "CudaGraphStrategy")


def aligned(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros at an address that TensorRT takes, wherever the allocator puts them."""
    size = prod(shape) * dtype.itemsize
    memory = torch.zeros(size + ALIGNMENT, dtype=torch.uint8, device=device)
    start = -memory.data_ptr() % ALIGNMENT
    return memory[start : start + size].view(dtype).view(shape)
