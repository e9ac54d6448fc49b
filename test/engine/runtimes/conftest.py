# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""TensorRT's Python interface as far as the runner uses it, over onnxruntime on the CPU.

It computes the real graph at the addresses that were bound, so that everything around the GPU is tested: names, shapes,
addresses, the turns of the cache, the widths of the mask. A plan is the path of a graph. It is as strict as TensorRT is
said to be: every tensor needs an address at a multiple of 256 that lies in memory which somebody still holds, an engine
that updates in place wants past and present at the same one, and any other must not get them there. It uses the first
logger it was given for everything, as TensorRT does, and fails where a test wants it to, with a word to that logger.
What it offers is held against the list in test_tensorrt_names.py.
"""

import ctypes
import gc
import weakref
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

KINDS = {
    TensorProto.FLOAT: ("FLOAT", np.float32),
    TensorProto.FLOAT16: ("HALF", np.float16),
    TensorProto.UINT8: ("UINT8", np.uint8),
    TensorProto.INT64: ("INT64", np.int64),
    TensorProto.BOOL: ("BOOL", np.bool_),
}


class TensorIOMode(IntEnum):
    INPUT = 1
    OUTPUT = 2


class TensorLocation(IntEnum):
    DEVICE = 0
    HOST = 1


class Severity(IntEnum):
    ERROR = 1
    WARNING = 2
    INFO = 3


class ILogger:
    Severity = Severity

    def log(self, severity, message: str) -> None: ...


ALIGNED = 256


def held() -> list[tuple[int, int]]:
    """Where the memory of tensors begins and ends that somebody holds: what was freed may be anybody's by now."""
    storages = [
        one.untyped_storage()
        for one in gc.get_objects()
        if issubclass(type(one), torch.Tensor) and one.device.type == "cpu"
    ]
    return [(one.data_ptr(), one.data_ptr() + one.nbytes()) for one in storages]


class IExecutionContext:
    """Also counts its passes."""

    def __init__(self, engine, settings) -> None:
        self._engine, self._settings = engine, settings
        self._shapes, self._addresses, self._passes, self._scratch = {}, {}, 0, None
        self._profile, self._switched_on = 0, None

    def set_device_memory(self, memory: int, size: int) -> None:
        assert memory and memory % ALIGNED == 0 and size >= self._engine.device_memory_size_v2
        self._scratch = memory, size

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        """Forgets the shapes; whoever runs it on another stream must wait, which nobody does."""
        if not 0 <= profile_index < self._engine.num_optimization_profiles:
            return self._engine._trt().refuse(f"there is no profile {profile_index}")
        self._profile, self._switched_on, self._shapes = profile_index, stream_handle, {}
        return True

    def set_input_shape(self, name: str, shape: tuple) -> bool:
        declared = self._engine.get_tensor_shape(name)
        self._shapes[name] = shape
        most = self._engine._limits.get(name, shape)
        return len(declared) == len(shape) and all(
            size <= limit and want in (-1, size)
            for size, limit, want in zip(shape, most, declared, strict=True)
        )

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if memory % ALIGNED:
            return self._engine._trt().refuse(f"the address of {name} is not aligned")
        self._addresses[name] = memory
        return bool(memory)

    def get_tensor_shape(self, name: str) -> tuple:
        """With the sizes that the inputs' shapes gave."""
        sizes = {}
        for given, shape in self._shapes.items():
            sizes |= dict(zip(self._engine._tensors[given].names, shape, strict=True))
        if "crops" in self._shapes:
            sizes["all_patches"] = sizes.get("crops", sizes["views"]) * self._shapes["crops"][1]
        shape = tuple(sizes.get(size, size) for size in self._engine._tensors[name].names)
        return tuple(size + 1 for size in shape) if self._engine._trt().fails("another shape") else shape

    def execute_async_v3(self, stream_handle: int) -> bool:
        trt = self._engine._trt()
        assert self._switched_on in (None, stream_handle)
        if trt.cuda is None:
            return self._execute(trt)
        trt.cuda.enqueue(lambda: self._execute(trt), stream_handle)
        return True

    def _execute(self, trt) -> bool:
        self._passes += 1
        trt.shapes.append(dict(self._shapes))
        trt.profiles.append(self._profile)
        self._compile(trt)
        for present, past in self._engine._pairs:
            assert (self._addresses[present] == self._addresses[past]) == self._engine._in_place
        failing = trt.fails("enqueue")
        memory = held() if trt.checks_memory else [(0, 1 << 64)]

        def check(what: str, address: int, size: int) -> None:
            assert any(start <= address and address + size <= end for start, end in memory), (
                f"{what} was freed"
            )

        check("working memory", *self._scratch)
        binding = self._engine._session.io_binding()
        for name, tensor in self._engine._tensors.items():
            bind = binding.bind_input if tensor.mode == TensorIOMode.INPUT else binding.bind_output
            shape = self._shapes[name] if name in self._shapes else self.get_tensor_shape(name)
            size = int(np.prod(shape)) * np.dtype(tensor.numpy).itemsize
            check(name, self._addresses[name], size)
            bind(name, "cpu", 0, tensor.numpy, shape, self._addresses[name])
        self._engine._session.run_with_iobinding(binding)
        if failing:  # on its way: what it wrote is no number
            for present, _ in self._engine._pairs:
                values = np.ctypeslib.as_array(
                    (ctypes.c_float * int(np.prod(self.get_tensor_shape(present)))).from_address(
                        self._addresses[present]
                    )
                ).reshape(self.get_tensor_shape(present))
                index = ctypes.c_int64.from_address(self._addresses["write_index"]).value
                values[:, :, index : index + self._shapes["embeddings"][1]] = np.nan
            return trt.refuse("an error on the way")
        return True

    def _compile(self, trt) -> None:
        """Kernels are in the plan."""


class RtxContext(IExecutionContext):
    """Compiles at the first pass of each shape, where it was told to do so at once; else only before its first."""

    def __init__(self, engine, settings) -> None:
        super().__init__(engine, settings)
        self._ready = set()

    def is_stream_capturable(self, stream: int) -> bool:
        return bool(self._ready) and not self._engine._trt().fails("recording")

    def _compile(self, trt) -> None:
        eager = self._settings.dynamic_shapes_kernel_specialization_strategy == "eager"
        shapes = tuple(self._shapes.items()) if eager else "any"
        if shapes not in self._ready:
            self._ready.add(shapes)
            trt.compilations += 1


class IRuntimeCache:
    """Of TensorRT for RTX: what was compiled, here by the name of what it was compiled for."""

    def __init__(self) -> None:
        self._known = set()

    def serialize(self) -> bytes:
        return b"kernels:" + b",".join(sorted(self._known))

    def deserialize(self, blob: bytes) -> bool:
        if not bytes(blob).startswith(b"kernels:"):
            return False
        self._known |= set(bytes(blob)[8:].split(b","))
        return True


class IRuntimeConfig:
    def __init__(self) -> None:
        self._cache = self._strategy = None
        self.cuda_graph_strategy = self.dynamic_shapes_kernel_specialization_strategy = "as it is"

    def set_execution_context_allocation_strategy(self, strategy) -> None:
        self._strategy = strategy

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache()

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self._cache = cache
        return True


@lru_cache(maxsize=2)
def session(path: Path) -> onnxruntime.InferenceSession:
    """Of a graph; making one takes longer than a pass."""
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


class LegacyEngine:
    """As before TensorRT 10.15: the cache that comes out is another tensor than the one that went in."""

    _in_place, _context = False, IExecutionContext
    device_memory_size_v2 = 1000

    def __init__(self, path: Path, trt) -> None:
        graph = onnx.load(str(path), load_external_data=False).graph
        self._session = session(path)
        self._tensors, self._limits, self._contexts = {}, trt.limits, []
        self._trt = weakref.ref(trt)
        for mode, values in ((TensorIOMode.INPUT, graph.input), (TensorIOMode.OUTPUT, graph.output)):
            for value in values:
                kind = value.type.tensor_type
                name, dtype = KINDS[kind.elem_type]
                sizes = [size.dim_param or size.dim_value for size in kind.shape.dim]
                self._tensors[value.name] = SimpleNamespace(mode=mode, kind=name, numpy=dtype, names=sizes)
        self.num_io_tensors = len(self._tensors)
        self.num_optimization_profiles = trt.prompt_profile + 1 if "embeddings" in self._tensors else 1
        self._pairs = [
            (name, f"past{name.removeprefix('present')}")
            for name in self._tensors
            if name.startswith("present")
        ]

    def get_tensor_name(self, number: int) -> str:
        return list(self._tensors)[number]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return self._tensors[name].mode

    def get_tensor_dtype(self, name: str):
        return SimpleNamespace(name=self._tensors[name].kind)

    def get_tensor_location(self, name: str) -> TensorLocation:
        return TensorLocation.DEVICE

    def get_tensor_shape(self, name: str) -> tuple:
        return tuple(-1 if isinstance(size, str) else size for size in self._tensors[name].names)

    def create_execution_context(self, strategy) -> IExecutionContext | None:
        trt = self._trt()
        if trt.fails("context"):
            trt.refuse("out of memory")
            return None
        assert (strategy._strategy if trt.rtx else strategy) == "user managed"
        if trt.rtx:
            strategy._cache._known.add(b"a kernel")
        self._contexts.append(self._context(self, strategy))
        return self._contexts[-1]


class NativeEngine(LegacyEngine):
    """Updates the cache where it lies."""

    _in_place = True

    def get_aliased_input_tensor(self, name: str) -> str | None:
        return dict(self._pairs).get(name)


class RtxEngine(NativeEngine):
    _context = RtxContext

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig()


class Runtime:
    def __init__(self, logger: ILogger, trt) -> None:
        self._trt = weakref.ref(trt)
        if trt.logger is None:
            trt.logger = weakref.ref(logger)

    def deserialize_cuda_engine(self, serialized_engine: bytes):
        trt = self._trt()
        if trt.fails("deserialize"):
            trt.refuse("out of memory")
            return None
        trt.engines.append(trt.kind(Path(bytes(serialized_engine).decode()), trt))
        return trt.engines[-1]


class FakeTensorRT:
    """Takes the place of the module.

    Attributes:
        engines: What was deserialised, in order.
        shapes: Of the inputs of every pass.
        profiles: Of every pass.
        prompt_profile: The number of the decoder's last profile.
        failing: What fails next time, by name: how many times it works before.
        compilations: How often a pass waited for kernels to be compiled.
        cuda: The device that passes run on, see `cuda_stand_in`; None to run them at once.
        checks_memory: Whether every pass looks for what holds its memory, which takes its time.
    """

    __version__ = "10.16.0"
    ILogger, TensorIOMode, TensorLocation = ILogger, TensorIOMode, TensorLocation
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user managed")

    def __init__(self, kind: str = "native", limits: dict | None = None) -> None:
        """Of a kind of engine, with the largest shape of some inputs."""
        self.kind = {"native": NativeEngine, "legacy": LegacyEngine, "rtx": RtxEngine}[kind]
        self.limits, self.engines, self.shapes, self.failing = limits or {}, [], [], {}
        self.profiles, self.prompt_profile = [], 0
        self.logger, self.checks_memory, self.rtx = None, False, kind == "rtx"
        self.compilations, self.cuda = 0, None
        if self.rtx:
            self.CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")
            self.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")

    def Runtime(self, logger: ILogger) -> Runtime:  # noqa: N802 (TensorRT's name)
        return Runtime(logger, self)

    def fails(self, what: str) -> bool:
        """Whether it is to fail now."""
        if what not in self.failing:
            return False
        self.failing[what] -= 1
        if self.failing[what] < 0:
            del self.failing[what]
            return True
        return False

    def refuse(self, words: str) -> bool:
        """Says why, to the first logger that it was given."""
        logger = self.logger()
        assert logger is not None, "the logger was freed"
        logger.log(Severity.ERROR, words)
        return False


@pytest.fixture(scope="session")
def fake_tensorrt() -> type[FakeTensorRT]:
    """Makes a module that does as TensorRT does."""
    return FakeTensorRT
