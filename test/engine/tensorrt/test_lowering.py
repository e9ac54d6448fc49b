# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The graphs for TensorRT without layers of language models compute the same as the canonical ones."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from molmo_ros.engine.graphs.export import export_graphs
from molmo_ros.engine.tensorrt.lowering import lower_file, lower_to_legacy

MODELS = [*sorted(path.name for path in (Path(__file__).parents[2] / "vectors").glob("*-tiny")), "tiny"]
NEW = {"MoE", "TensorScatter", "Attention", "RotaryEmbedding", "RMSNormalization", "Gelu"}
SIZES = {"crops": 2, "tokens": 9, "slots": 4}
CLOSE = 1e-4


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


def outputs(runner, feed):
    return dict(zip([one.name for one in runner.get_outputs()], runner.run(None, feed), strict=True))


@pytest.fixture(params=MODELS)
def model(request, exported, tmp_path):
    """Canonical and lowered graphs of a model; the lowered ones lie beside the others, with their weights."""
    one = exported(request.param)
    paths = {}
    for part in ("vision", "decoder"):
        paths[part] = one.folder / f"{part}.onnx", one.folder / f"{part}.legacy.onnx"
        lower_file(*paths[part], "legacy")
    return one, paths


def test_no_new_operator_is_left(model):
    _, paths = model
    for canonical, legacy in paths.values():
        lowered = onnx.load(str(legacy), load_external_data=False)
        assert lowered.opset_import[0].version == 20
        assert not NEW & {node.op_type for node in lowered.graph.node}
        original = onnx.load(str(canonical), load_external_data=False)
        assert NEW & {node.op_type for node in original.graph.node}
        assert original.graph.initializer == lowered.graph.initializer
        onnx.checker.check_model(str(legacy))


def test_the_decoder_says_the_same(model):
    """Prefill, one token, and several tokens with a mask of their own, over a cache that goes along."""
    one, paths = model
    decoder = one.config.decoder
    runners = [session(path) for path in paths["decoder"]]
    rng = np.random.default_rng(0)
    shape = [one.shape for one in runners[0].get_inputs() if one.name == "past_key_0"][0]
    names = [f"{part}_{layer}" for layer in range(decoder.layers) for part in ("key", "value")]
    caches = [{f"past_{name}": np.zeros(shape, np.float32) for name in names} for _ in runners]
    start = 0
    for count in (11, 1, 4, 1):
        mask = np.tril(np.ones((count, start + count), bool), start)
        if count == 4:
            mask[2, -3] = False  # a branch of a tree
        feed = {
            "embeddings": rng.standard_normal((1, count, decoder.width)).astype(np.float32),
            "positions": np.arange(start, start + count)[None],
            "mask": mask[None, None],
            "write_index": np.array([start]),
            "logits_for": np.arange(count)[-3:],
        }
        expected, found = (
            outputs(runner, feed | cache) for runner, cache in zip(runners, caches, strict=True)
        )
        for name in expected:
            assert np.abs(expected[name] - found[name]).max() < CLOSE, name
        caches = [
            {f"past_{name}": result[f"present_{name}"] for name in names} for result in (expected, found)
        ]
        start += count


def test_the_vision_side_says_the_same(model):
    one, paths = model
    rng = np.random.default_rng(0)
    vision, feed = one.config.vision, {}
    table = rng.integers(-1, 2 * vision.patches, (9, 4))
    table[:, 0] = np.arange(9)
    feed = {
        "crops": 0.5 * rng.standard_normal((2, vision.patches, vision.patch_values)).astype(np.float32),
        "pooling": table,
    }
    if one.config.connector.pad_embed:
        feed["coverage"] = rng.random((2, vision.patches)).astype(np.float32).round(1)
    expected, found = (outputs(session(path), feed) for path in paths["vision"])
    for name in expected:
        assert np.abs(expected[name] - found[name]).max() < CLOSE * max(
            1, np.abs(expected[name]).max() / 10
        ), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bit_graphs_keep_their_types(dtype, exported, tmp_path):
    """Softmax, norms and rotations in float32, everything else in the graph's own type: onnx infers no conflict."""
    one = exported("molmo2-4b-tiny")
    export_graphs(tmp_path, one.config, 64, dtype, one.model.state_dict().__getitem__)
    for part in ("vision", "decoder"):
        canonical = onnx.load(str(tmp_path / f"{part}.onnx"), load_external_data=False)
        lowered = onnx.shape_inference.infer_shapes(lower_to_legacy(canonical), strict_mode=True)
        counts = Counter(node.op_type for node in lowered.graph.node)
        assert counts["Softmax"] == Counter(node.op_type for node in canonical.graph.node)["Attention"]
        softmax = {node.input[0] for node in lowered.graph.node if node.op_type == "Softmax"}
        types = {one.name: one.type.tensor_type.elem_type for one in lowered.graph.value_info}
        assert {types[name] for name in softmax} == {onnx.TensorProto.FLOAT}
