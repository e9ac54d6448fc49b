"""TensorRT's Python interface as far as the runner uses it, over onnxruntime on the CPU.

It computes the real graph at the addresses that were bound, so that everything around the GPU is tested: names, shapes,
addresses, the turns of the cache, the widths of the mask. A plan is the path of a graph. It is as strict as TensorRT is
said to be: every tensor needs an address, an engine that updates in place wants past and present at the same one, and
any other must not get them there.
"""

from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

KINDS = {
    TensorProto.FLOAT: ("FLOAT", np.float32),
    TensorProto.FLOAT16: ("HALF", np.float16),
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


class Context:
    """Also counts its passes."""

    def __init__(self, engine) -> None:
        self.engine, self.shapes, self.addresses, self.passes = engine, {}, {}, 0

    def set_device_memory(self, address: int, size: int) -> None:
        assert address and size >= self.engine.device_memory_size_v2

    def set_input_shape(self, name: str, shape: tuple) -> bool:
        declared = self.engine.get_tensor_shape(name)
        self.shapes[name] = shape
        most = self.engine.limits.get(name, shape)
        return len(declared) == len(shape) and all(
            size <= limit and want in (-1, size)
            for size, limit, want in zip(shape, most, declared, strict=True)
        )

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return bool(address)

    def get_tensor_shape(self, name: str) -> tuple:
        """With the sizes that the inputs' shapes gave."""
        sizes = {}
        for given, shape in self.shapes.items():
            sizes |= dict(zip(self.engine.tensors[given].names, shape, strict=True))
        if "crops" in self.shapes:
            sizes["all_patches"] = sizes.get("crops", sizes["views"]) * self.shapes["crops"][1]
        return tuple(sizes.get(size, size) for size in self.engine.tensors[name].names)

    def execute_async_v3(self, stream: int) -> bool:
        self.passes += 1
        for present, past in self.engine.pairs:
            assert (self.addresses[present] == self.addresses[past]) == self.engine.in_place
        binding = self.engine.session.io_binding()
        for name, tensor in self.engine.tensors.items():
            bind = binding.bind_input if tensor.mode == TensorIOMode.INPUT else binding.bind_output
            shape = self.shapes[name] if name in self.shapes else self.get_tensor_shape(name)
            bind(name, "cpu", 0, tensor.numpy, shape, self.addresses[name])
        self.engine.session.run_with_iobinding(binding)
        return True


class LegacyEngine:
    """As before TensorRT 10.15: the cache that comes out is another tensor than the one that went in."""

    in_place = False
    device_memory_size_v2 = 1000

    def __init__(self, path: Path, limits: dict) -> None:
        graph = onnx.load(str(path), load_external_data=False).graph
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.tensors, self.limits, self.contexts = {}, limits, []
        for mode, values in ((TensorIOMode.INPUT, graph.input), (TensorIOMode.OUTPUT, graph.output)):
            for value in values:
                kind = value.type.tensor_type
                name, dtype = KINDS[kind.elem_type]
                sizes = [size.dim_param or size.dim_value for size in kind.shape.dim]
                self.tensors[value.name] = SimpleNamespace(mode=mode, kind=name, numpy=dtype, names=sizes)
        self.num_io_tensors = len(self.tensors)
        self.pairs = [
            (name, f"past{name.removeprefix('present')}")
            for name in self.tensors
            if name.startswith("present")
        ]

    def get_tensor_name(self, number: int) -> str:
        return list(self.tensors)[number]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return self.tensors[name].mode

    def get_tensor_dtype(self, name: str):
        return SimpleNamespace(name=self.tensors[name].kind)

    def get_tensor_location(self, name: str) -> TensorLocation:
        return TensorLocation.DEVICE

    def get_tensor_shape(self, name: str) -> tuple:
        return tuple(-1 if isinstance(size, str) else size for size in self.tensors[name].names)

    def create_execution_context(self, strategy) -> Context:
        assert strategy == "user managed"
        self.contexts.append(Context(self))
        return self.contexts[-1]


class NativeEngine(LegacyEngine):
    """Updates the cache where it lies."""

    in_place = True

    def get_aliased_input_tensor(self, name: str) -> str | None:
        return dict(self.pairs).get(name)


class FakeTensorRT:
    """Takes the place of the module.

    Attributes:
        engines: What was deserialised, in order.
    """

    __version__ = "10.16.0"
    ILogger, TensorIOMode, TensorLocation = ILogger, TensorIOMode, TensorLocation
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user managed")

    def __init__(self, kind: str = "native", limits: dict | None = None) -> None:
        """Of a kind of engine, with the largest shape of some inputs."""
        self._engine = {"native": NativeEngine, "legacy": LegacyEngine}[kind]
        self._limits, self.engines = limits or {}, []

    def Runtime(self, log: ILogger):  # noqa: N802 (TensorRT's name)
        def deserialize(plan: bytes):
            self.engines.append(self._engine(Path(plan.decode()), self._limits))
            return self.engines[-1]

        return SimpleNamespace(deserialize_cuda_engine=deserialize)


@pytest.fixture(scope="session")
def fake_tensorrt() -> type[FakeTensorRT]:
    """Makes a module that does as TensorRT does."""
    return FakeTensorRT
