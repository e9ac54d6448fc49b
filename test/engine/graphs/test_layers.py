# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Norms of the graphs: whose epsilon each one has, and where RMSNorm casts back."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from transformers.models.molmo2.modeling_molmo2 import Molmo2RMSNorm

from molmo_ros.engine.graphs.export import export_graphs
from molmo_ros.engine.graphs.graph_writer import GraphWriter
from molmo_ros.engine.graphs.layers import rms_norm
from molmo_ros.engine.tensorrt.lowering import lower_to_legacy
from molmo_ros.molmo.families.table import parse_config
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

VECTORS = Path(__file__).parents[2] / "vectors"
MODELS = sorted(path.name for path in VECTORS.glob("*-tiny"))
NORMS = ("RMSNormalization", "LayerNormalization")
DECODER, TOWER, CLIP = 0.3, 0.7, 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_every_norm_has_its_epsilon(name, tmp_path):
    raw, tower = json.loads((VECTORS / name / "config.json").read_text()), CLIP
    if "vit_config" in raw:
        raw["vit_config"]["layer_norm_eps"] = tower = TOWER
    raw.get("text_config", raw)["layer_norm_eps"] = DECODER
    config, stored = parse_config(raw), StoredParameters(VECTORS / name)
    export_graphs(tmp_path, config, 64, torch.float32, lambda one: stored.read(one, torch.float32))
    for graph, epsilon in (("vision", tower), ("decoder", DECODER)):
        model = onnx.load(str(tmp_path / f"{graph}.onnx"), load_external_data=False)
        nodes = [node for node in model.graph.node if node.op_type in NORMS]
        assert len(nodes) >= 5
        for node in nodes:
            attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            assert attributes["epsilon"] == pytest.approx(epsilon, rel=1e-6), node.name
            assert attributes["stash_type"] == onnx.TensorProto.FLOAT, node.name


def test_rms_norm_casts_back_before_the_weight(tmp_path):
    """Written out for TensorRT 10.3 and run by ONNX's own reference: bit for bit what transformers computes.

    onnxruntime on a CPU has no 16-bit kernels and leaves the cast out.
    """
    generator = torch.Generator().manual_seed(1)
    x, weight = (torch.randn(*size, generator=generator).half() for size in ((64, 96), (96,)))
    theirs = Molmo2RMSNorm(96, 1e-6).half()
    graph = GraphWriter("one", torch.float16, lambda name: weight)
    graph.input("x", torch.float16, ["rows", 96])
    graph.output(rms_norm(graph, "x", "norm", 96, 1e-6), "y", torch.float16, ["rows", 96])
    graph.save(tmp_path / "one.onnx")
    written_out = lower_to_legacy(onnx.load(str(tmp_path / "one.onnx")))
    (found,) = ReferenceEvaluator(written_out).run(None, {"x": x.numpy()})
    with torch.inference_mode():
        theirs.weight.copy_(weight)
        assert torch.equal(torch.from_numpy(found), theirs(x))
