# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Quantised graphs: onnxruntime computes what torch does with dequantised weights, TensorRT-RTX builds them."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch.nn import functional

from benchmarks.rounded_parameters import RoundedParameters
from molmo_ros.engine.graphs.decoder_graph import decoder_graph
from molmo_ros.engine.graphs.graph_writer import GraphWriter
from molmo_ros.engine.graphs.layers import linear
from molmo_ros.engine.quantisation.formats import Format
from molmo_ros.engine.quantisation.quantised_linear import quantise, quantise_inputs
from molmo_ros.engine.tensorrt.process_runtime import process_log

DECODER = "decoder.onnx"


class OneLinear:
    """A quantised layer by itself."""

    def __init__(self, form, weight, dtype):
        self.formats = {"layer": form}
        self.made = quantise(weight, form, dtype, input_range=3.0)
        self.reads = 0

    def linear(self, name):
        self.reads += 1
        return self.made


def written(folder, form, dtype=torch.float32, inputs=256, outputs=48):
    """A graph of one layer with a bias, saved; its layer, and its bias."""
    torch.manual_seed(0)
    quantised, bias = OneLinear(form, torch.randn(outputs, inputs), dtype), torch.randn(outputs)
    graph = GraphWriter("one", dtype, lambda name: bias, quantised)
    x = graph.input("x", dtype, [1, "q", inputs])
    graph.output(linear(graph, x, "layer", inputs, outputs, bias=True), "y", dtype, [1, "q", outputs])
    assert quantised.reads == 0  # nothing is read before the graph is saved
    graph.save(folder / "one.onnx")
    return quantised.made, bias


FORMATS = [Format("int4", 128), Format("int4", 64), Format("int4", 16), Format("int8"), Format("fp8")]


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_onnxruntime_computes_what_torch_does(form, tmp_path, exact_session):
    made, bias = written(tmp_path, form)
    x = torch.randn(1, 7, 256) * 2  # some inputs lie beyond the range of 3
    want = functional.linear(quantise_inputs(x, made), made.dequantise(), bias)
    (got,) = exact_session(tmp_path / "one.onnx").run(None, {"x": x.numpy()})
    np.testing.assert_allclose(got, want.numpy(), atol=1e-4)
    assert bool((quantise_inputs(x, made) - x).abs().max() > 1) is form.quantises_inputs


def test_four_bits_are_packed_as_onnxruntime_reads_them(tmp_path, exact_session):
    made, _ = written(tmp_path, Format("int4", 128))
    model = onnx.load(tmp_path / "one.onnx")
    (node,) = (node for node in model.graph.node if node.op_type == "DequantizeLinear")
    attributes = {one.name: one.i for one in node.attribute}
    assert attributes == {"axis": 0, "block_size": 128}
    del model.graph.output[:]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, [256, 48])
    )
    onnx.save(model, tmp_path / "weight.onnx")
    (weight,) = exact_session(tmp_path / "weight.onnx").run(None, {"x": np.zeros((1, 1, 256), np.float32)})
    np.testing.assert_array_equal(weight, made.dequantise().t().numpy())


def test_e2m1_is_packed_as_onnx_reads_it(tmp_path):
    made, _ = written(tmp_path, Format("nvfp4", 16))
    model = onnx.load(tmp_path / "one.onnx")
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    values, scales = (stored[f"layer.{part}"].astype(np.float32) for part in ("values", "scales"))
    weight = values * np.repeat(scales, 16, axis=0) * stored["layer.global_scale"]
    np.testing.assert_allclose(weight, made.dequantise().t().numpy(), rtol=1e-6)


@pytest.fixture(scope="module")
def decoders(exported, tmp_path_factory):
    """The embedded model's decoder at a precision and dtype, in a folder."""
    model = exported("tiny")

    def get(precision, dtype):
        folder = tmp_path_factory.mktemp(precision)
        read = model.model.state_dict().__getitem__
        quantised = RoundedParameters(model.config.decoder, precision, dtype, read)
        decoder_graph(model.config, 64, dtype, read, quantised).save(folder / DECODER)
        return folder, quantised

    return get


def test_a_weight_takes_the_bits_that_it_should(decoders):
    size = {}
    for precision in ("int4", "nvfp4", "int8"):
        folder, quantised = decoders(precision, torch.float16)
        model = onnx.load(folder / DECODER, load_external_data=False)
        size[precision] = sum(
            int(entry.value)
            for one in model.graph.initializer
            if one.name.startswith("decoder.blocks.") and one.name.endswith(("values", "scales"))
            for entry in one.external_data
            if entry.key == "length"
        )
        assert len(quantised.formats) == 16
    weights = 4 * (192 * 320 + 192 * 192 + 192 * 1024 + 512 * 192)  # of tiny's four blocks
    assert weights / 2 * 1.05 < size["int4"] < weights / 2 * 1.07  # groups of 64, and of 128 in `down`
    assert size["nvfp4"] == weights / 2 + weights / 16
    assert weights < size["int8"] < weights * 1.02


@pytest.mark.parametrize(
    ("precision", "dtype", "capability", "builds"),
    [
        ("int4", torch.float16, "SM86", True),
        ("int4", torch.bfloat16, "SM120", True),
        ("int8", torch.bfloat16, "SM86", True),
        ("fp8", torch.bfloat16, "SM89", True),
        ("fp8", torch.bfloat16, "SM86", False),
        ("nvfp4", torch.bfloat16, "SM120", True),
        ("nvfp4", torch.bfloat16, "SM89", False),
    ],
)
def test_tensorrt_builds_what_the_chip_has(decoders, precision, dtype, capability, builds):
    tensorrt = pytest.importorskip("tensorrt_rtx")
    folder, _ = decoders(precision, dtype)
    logger = process_log(tensorrt)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(folder / DECODER)), parser.get_error(0)
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(tensorrt.ComputeCapability, capability), 0)
    profile = builder.create_optimization_profile()
    for name, shapes in {
        "embeddings": [(1, 1, 192), (1, 16, 192)],
        "positions": [(1, 1), (1, 16)],
        "mask": [(1, 1, 1, 1), (1, 1, 16, 64)],
        "logits_for": [(1,), (4,)],
    }.items():
        profile.set_shape(name, shapes[0], shapes[1], shapes[1])
    config.add_optimization_profile(profile)
    assert (builder.build_serialized_network(network, config) is not None) is builds
