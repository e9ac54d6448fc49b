# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What this package uses of TensorRT's Python interface, and which versions have it.

Read from the bindings of the full TensorRT 10.3, 10.15, 10.16, 11.0 and 11.4 and of the one for RTX 1.7, which load
without their libraries or a GPU. To compare again, with a wheel of bindings or with what is installed:

    pip download --no-deps tensorrt-cu12-bindings==10.16.1.11
    python test/engine/runtimes/test_tensorrt_names.py tensorrt_cu12_bindings-10.16.1.11-*.whl
    python test/engine/runtimes/test_tensorrt_names.py tensorrt
"""

import ast
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from molmo_ros.engine.tensorrt.parsed import layer_functions, network_reader
from molmo_ros.engine.tensorrt.parsed.constant import STORED

ENGINE = Path(__file__).parents[3] / "molmo_ros" / "engine"
RECEIVERS = {
    "tensorrt/build_process.py": {
        "builder": "Builder",
        "config": "IBuilderConfig",
        "network": "INetworkDefinition",
        "parser": "OnnxParser",
        "profile": "IOptimizationProfile",
        "attention": "IAttention",
    },
    "tensorrt/guards.py": {"network": "INetworkDefinition", "layer": "ILayer", "attention": "IAttention"},
    "tensorrt/process_runtime.py": {},
    "tensorrt/parsed/constant.py": {"weights": "Weights"},
    "tensorrt/parsed/network_reader.py": {
        "network": "INetworkDefinition",
        "layer": "ILayer",
        "tensor": "ITensor",
    },
    "tensorrt/parsed/parser.py": {"builder": "Builder", "parser": "OnnxParser"},
    "runtimes/tensorrt_engine.py": {
        "self._engine": "ICudaEngine",
        "self._context": "IExecutionContext",
        "context": "IExecutionContext",
        "settings": "IRuntimeConfig",
        "self._jit_cache": "IRuntimeCache",
        "shared.runtime": "Runtime",
    },
    "runtimes/tensorrt_runner.py": {},
}
"""What the files that talk to TensorRT call its objects."""
OTHER = {
    "EngineContext": {"begin", "failure", "inputs"},
    "ILayer": {"__class__", "attention"},
    "Weights": {"ctypes", "nbytes"},
}
"""Of this package's own, of a layer that was given its class, or of weights that are arrays."""
VERSIONS = ("10.3", "10.15", "10.16", "11.0", "11.4", "rtx")
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
WANTED = (
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL"),
    *("createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL", "getBuilderPluginRegistry"),
    *("getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins"),
)
"""What bindings ask of the libraries; nothing of it is called."""

CONTEXTS = "runtimes/tensorrt_engine.py"
EVERYWHERE = {
    "ActivationType": "GELU_ERF GELU_TANH RELU SIGMOID TANH",
    "Builder": "build_serialized_network create_builder_config create_network create_optimization_profile",
    "DataType": "BF16 BOOL FLOAT FP8 HALF INT32 INT4 INT64 INT8 UINT8",
    "ElementWiseOperation": "AND DIV EQUAL FLOOR_DIV GREATER LESS MAX MIN OR POW PROD SUB SUM XOR",
    "ExecutionContextAllocationStrategy": "USER_MANAGED",
    "FillOperation": "LINSPACE",
    "GatherMode": "DEFAULT",
    "IActivationLayer": "alpha beta type",
    "IBuilderConfig": "add_optimization_profile create_timing_cache get_timing_cache progress_monitor set_flag "
    "set_memory_pool_limit set_timing_cache",
    "ICastLayer": "to_type",
    "IConcatenationLayer": "axis",
    "IConstantLayer": "shape weights",
    "ICudaEngine": "create_execution_context device_memory_size_v2 get_tensor_dtype get_tensor_location "
    "get_tensor_mode get_tensor_name get_tensor_shape num_io_tensors num_optimization_profiles",
    "IDequantizeLayer": "axis to_type",
    "IElementWiseLayer": "op",
    "IExecutionContext": "execute_async_v3 get_tensor_shape set_device_memory set_input_shape "
    "set_optimization_profile_async set_tensor_address",
    "IFillLayer": "alpha beta is_alpha_beta_int64 operation shape to_type",
    "IGatherLayer": "axis mode num_elementwise_dims",
    "IIdentityLayer": "name",
    "ILayer": "get_input get_output metadata name num_inputs num_outputs type",
    "ILogger": "Severity log",
    "IMatrixMultiplyLayer": "op0 op1",
    "INetworkDefinition": "get_input get_layer get_output num_inputs num_layers num_outputs",
    "INormalizationLayer": "axes epsilon num_groups",
    "IOptimizationProfile": "set_shape",
    "IProgressMonitor": "phase_finish phase_start step_complete",
    "IQuantizeLayer": "axis to_type",
    "IReduceLayer": "axes keep_dims op",
    "IScatterLayer": "axis mode",
    "ISelectLayer": "name",
    "IShapeLayer": "name",
    "IShuffleLayer": "first_transpose reshape_dims second_transpose zero_is_placeholder",
    "ISliceLayer": "axes mode shape start stride",
    "ISoftMaxLayer": "axes",
    "ITensor": "dtype is_shape_tensor name shape",
    "ITimingCache": "serialize",
    "ITopKLayer": "axes k op",
    "IUnaryLayer": "op",
    "LayerType": "ACTIVATION CAST CONCATENATION CONSTANT DEQUANTIZE ELEMENTWISE FILL GATHER IDENTITY MATRIX_MULTIPLY "
    "NORMALIZATION QUANTIZE REDUCE SCATTER SELECT SHAPE SHUFFLE SLICE SOFTMAX TOPK UNARY",
    "Logger": "ERROR",
    "MatrixOperation": "NONE TRANSPOSE",
    "MemoryPoolType": "WORKSPACE",
    "NetworkDefinitionCreationFlag": "STRONGLY_TYPED",
    "OnnxParser": "get_error num_errors parse_from_file",
    "ReduceOperation": "AVG MAX MIN SUM",
    "Runtime": "deserialize_cuda_engine",
    "SampleMode": "CLAMP STRICT_BOUNDS",
    "ScatterMode": "ELEMENT",
    "TensorIOMode": "INPUT OUTPUT",
    "TensorLocation": "DEVICE HOST",
    "TopKOperation": "MAX MIN",
    "UnaryOperation": "ABS CEIL COS EXP FLOOR LOG NEG NOT RECIP SIN SQRT",
    "Weights": "dtype size",
}
SOMEWHERE = {
    ("10.3", "10.15", "10.16"): {"INormalizationLayer": "compute_precision"},
    ("10.15", "10.16", "11.0", "11.4", "rtx"): {
        "AttentionNormalizationOp": "SOFTMAX",
        "DataType": "FP4",
        "IAttention": "causal decomposable mask metadata name norm_op normalization_quantize_scale "
        "normalization_quantize_to_type",
        "IAttentionInputLayer": "attention",
        "IAttentionOutputLayer": "attention",
        "IDequantizeLayer": "block_shape",
        "ICudaEngine": "get_aliased_input_tensor",
        "IKVCacheUpdateLayer": "cache_mode",
        "INormalizationLayer": "is_v2",
        "IQuantizeLayer": "block_shape",
        "IRotaryEmbeddingLayer": "interleaved rotary_embedding_dim",
        "ISqueezeLayer": "name",
        "ITopKLayer": "indices_type",
        "IUnsqueezeLayer": "name",
        "KVCacheMode": "LINEAR",
        "LayerType": "ATTENTION_INPUT ATTENTION_OUTPUT KV_CACHE_UPDATE ROTARY_EMBEDDING SQUEEZE UNSQUEEZE",
    },
    ("11.0", "11.4", "rtx"): {
        "AttentionIOForm": "PADDED_BHND",
        "CausalMaskKind": "LOWER_RIGHT NONE UPPER_LEFT",
        "IAttention": "causal_kind key_value_form key_value_lengths query_form query_lengths",
        "IKVCacheUpdateLayer": "update_form update_lengths",
    },
    ("rtx",): {
        "BuilderFlag": "REQUIRE_USER_ALLOCATION",
        "ComputeCapability": "SM120 SM86 SM89",
        "CudaGraphStrategy": "WHOLE_GRAPH_CAPTURE",
        "DynamicShapesKernelSpecializationStrategy": "EAGER",
        "IBuilderConfig": "num_compute_capabilities set_compute_capability",
        "ICudaEngine": "create_runtime_config",
        "IExecutionContext": "is_stream_capturable",
        "IRuntimeCache": "deserialize serialize",
        "IRuntimeConfig": "create_runtime_cache cuda_graph_strategy dynamic_shapes_kernel_specialization_strategy "
        "set_execution_context_allocation_strategy set_runtime_cache",
    },
}
"""Used where it is there, or on what is known to have it alone. Others may have it too."""
ARGUMENTS = {
    "Builder.build_serialized_network": "network config",
    "Builder.create_network": "flags",
    "IBuilderConfig.set_memory_pool_limit": "pool pool_size",
    "IBuilderConfig.set_timing_cache": "cache ignore_mismatch",
    "IExecutionContext.execute_async_v3": "stream_handle",
    "IExecutionContext.set_device_memory": "memory size",
    "IExecutionContext.set_input_shape": "name shape",
    "IExecutionContext.set_optimization_profile_async": "profile_index stream_handle",
    "IExecutionContext.set_tensor_address": "name memory",
    "IOptimizationProfile.set_shape": "input min opt max",
    "OnnxParser.parse_from_file": "model",
    "Runtime.deserialize_cuda_engine": "serialized_engine",
}


READ = {
    "ActivationType": layer_functions.ACTIVATIONS,
    "DataType": STORED,
    "ElementWiseOperation": layer_functions.BINARY,
    "IAttention": network_reader.ATTENTION,
    "LayerType": network_reader.CLASSES,
    "UnaryOperation": layer_functions.UNARY,
} | {owner: network_reader.ATTRIBUTES.get(kind, ()) for kind, owner in network_reader.CLASSES.items()}
"""What parsed networks are read by: names in tables, which are looked up in TensorRT's classes."""
UNKNOWN_TO = {"10.3": {"IAttentionInputLayer", "IAttentionOutputLayer", "IKVCacheUpdateLayer", "IRotaryEmbeddingLayer",
                       "ISqueezeLayer", "IUnsqueezeLayer"}}  # fmt: skip
"""Kinds of layers that a version has not."""


def names(version: str) -> dict[str, set[str]]:
    """Members by class that a version is said to have."""
    known = {name: set(members.split()) for name, members in EVERYWHERE.items()}
    for versions, classes in SOMEWHERE.items():
        if version in versions:
            for name, members in classes.items():
                known.setdefault(name, set()).update(members.split())
    return known


def differences(module, version: str) -> list[str]:
    """What a module has not, or takes otherwise."""
    wrong = []
    for name, members in names(version).items():
        found = getattr(module, name, None)
        wrong += [f"{name}.{one} is missing" for one in sorted(members) if not hasattr(found, one)]
    for name, arguments in ARGUMENTS.items():
        owner, method = name.split(".")
        said = getattr(getattr(module, owner, None), method, None).__doc__ or ""
        signatures = re.findall(rf"{method}\((self.*)\) ->", said) or [""]
        wanted = arguments.split()
        if not any(re.findall(r"(?:^|, )(\w+): ", one)[1 : len(wanted) + 1] == wanted for one in signatures):
            wrong.append(f"{name} takes {signatures}, not {wanted}")
    return wrong


def version_of(module) -> str:
    """The one of `VERSIONS` whose names it should have."""
    if "rtx" in module.__name__:
        return "rtx"
    major, minor = map(int, module.__version__.split(".")[:2])
    older = [one for one in VERSIONS[:-1] if tuple(map(int, one.split("."))) <= (major, minor)]
    return older[-1]


def _compare(name: str) -> None:
    module = importlib.import_module(name)
    version = version_of(module)
    wrong = differences(module, version)
    print(
        f"{name} {module.__version__}, as {version}:",
        *(wrong or ["all names and arguments are there"]),
        sep="\n  ",
    )
    sys.exit(bool(wrong))


def _compare_wheel(wheel: str) -> int:
    """In a process of its own, with empty libraries in the place of TensorRT's."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        major = Path(wheel).name.split("-")[1].split(".")[0]
        source = "\n".join(f"void *{name}(void) {{ return 0; }}" for name in WANTED)
        for library in LIBRARIES:
            file = f"lib{library}.so.{major}"
            flags = ["-shared", "-fPIC", "-x", "c", "-", "-o", file, f"-Wl,-soname,{file}"]
            subprocess.run(["gcc", *flags], input=source, text=True, check=True, cwd=folder)
        paths = {"LD_LIBRARY_PATH": folder, "PYTHONPATH": folder}
        command = [sys.executable, __file__, "tensorrt_bindings"]
        return subprocess.run(command, env=os.environ | paths, check=False).returncode


def test_what_is_used_is_on_the_list():
    """Every name of the module, and every member of its objects, somewhere in a version."""
    known: dict[str, set[str]] = {}
    for version in VERSIONS:
        for name, members in names(version).items():
            known.setdefault(name, set()).update(members)
    seen = set()
    for file, receivers in RECEIVERS.items():
        for node in ast.walk(ast.parse((ENGINE / file).read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            owner = ast.unparse(node.value)
            if owner in ("trt", "self._trt") and node.attr not in ("__version__", "__name__"):
                assert node.attr in known, f"{file}: trt.{node.attr}"
                seen.add(node.attr)
            elif owner.startswith(("trt.", "self._trt.")) and owner.count(".") == (
                2 if owner[0] == "s" else 1
            ):
                name = owner.rsplit(".", 1)[-1]
                assert node.attr in known[name] | {"__init__"}, f"{file}: {owner}.{node.attr}"
            elif owner in receivers:
                name = receivers[owner]
                own = OTHER["EngineContext"] if (file, owner) == (CONTEXTS, "self._engine") else set()
                assert node.attr in known[name] | own | OTHER.get(name, set()), f"{file}: {owner}.{node.attr}"
                seen.add(f"{name}.{node.attr}")
    assert len(seen) > 40
    assert not set(ARGUMENTS) - {f"{name}.{one}" for name, members in known.items() for one in members}


def test_what_is_read_of_parsed_networks_is_on_the_list():
    """Every kind of layer, attribute, operation and type of the tables; and nothing that only looks like one."""
    known = {version: names(version) for version in VERSIONS}
    for owner, members in READ.items():
        of_all = set().union(*(one.get(owner, set()) for one in known.values()))
        assert set(members) <= of_all, (owner, set(members) - of_all)
    for version in VERSIONS:
        missing = {one for one in network_reader.CLASSES.values() if one not in known[version]}
        assert missing == UNKNOWN_TO.get(version, set()), version
        kinds = {kind for kind in network_reader.CLASSES if kind not in known[version]["LayerType"]}
        assert {network_reader.CLASSES[kind] for kind in kinds} == missing, version


@pytest.mark.parametrize(
    "module", [one for one in ("tensorrt_rtx", "tensorrt") if importlib.util.find_spec(one)]
)
def test_the_installed_one_has_it(module):
    installed = importlib.import_module(module)
    assert differences(installed, version_of(installed)) == []


def test_what_is_missing_is_seen():
    installed = pytest.importorskip("tensorrt_rtx")

    class Without:
        """Of a version before the layers of language models."""

        def __getattr__(self, name):
            if name == "IAttention":
                raise AttributeError(name)
            return getattr(installed, name)

    assert "IAttention.mask is missing" in differences(Without(), "rtx")


@pytest.mark.parametrize(
    "kind, versions", [("legacy", VERSIONS[:1]), ("native", VERSIONS[1:5]), ("rtx", VERSIONS[5:])]
)
def test_the_stand_in_offers_nothing_else(fake_tensorrt, kind, versions):
    """What TensorRT has not must not make a test pass."""
    stand_in = fake_tensorrt(kind)
    context, engine = stand_in.kind._context, stand_in.kind
    classes = {"IExecutionContext": context, "ICudaEngine": engine, "ILogger": stand_in.ILogger}
    classes |= {name: getattr(stand_in, name) for name in ("TensorIOMode", "TensorLocation")}
    classes["Runtime"] = sys.modules[fake_tensorrt.__module__].Runtime
    if kind == "rtx":
        for name in ("IRuntimeCache", "IRuntimeConfig"):
            classes[name] = getattr(sys.modules[fake_tensorrt.__module__], name)
    for version in versions:
        known = names(version)
        for name, offered in classes.items():
            members = {one for one in vars(offered) if not one.startswith("_")} | {
                one for base in offered.__mro__[1:-1] for one in vars(base) if not one.startswith("_")
            }
            if name in ("TensorIOMode", "TensorLocation"):
                members = set(offered.__members__)
            assert members <= known[name], (version, name, members - known[name])
            for one in members & {
                method.split(".")[1] for method in ARGUMENTS if method.startswith(f"{name}.")
            }:
                code = getattr(offered, one).__code__
                assert code.co_varnames[1 : code.co_argcount] == tuple(ARGUMENTS[f"{name}.{one}"].split()), (
                    one
                )


if __name__ == "__main__":
    for given in sys.argv[1:]:
        if given.endswith(".whl"):
            sys.exit(_compare_wheel(given))
        _compare(given)
