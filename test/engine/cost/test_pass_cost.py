# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Bytes and operations by formula, held against what the ONNX graphs of every family say node by node."""

from pathlib import Path

import onnx
import pytest
import torch

from benchmarks.graph_counts import SIZES, count_onnx, count_parsed, export, formulas, parse
from benchmarks.rounded_parameters import RoundedParameters
from molmo_ros.engine.cost.device import DEVICES, SIXTEEN
from molmo_ros.engine.cost.pass_cost import PassCost, decoder_pass, stored_values, vision_pass
from molmo_ros.engine.errors import UnsupportedBuildError
from molmo_ros.engine.graphs.decoder_graph import decoder_graph
from molmo_ros.engine.graphs.export import DECODER
from molmo_ros.engine.graphs.vision_graph import vision_graph
from molmo_ros.engine.quantisation.formats import QUANTISED
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

VECTORS = Path(__file__).parents[2] / "vectors"
FOLDERS = sorted(path.parent for path in VECTORS.glob("*/config.json"))
CONTEXT, QUERIES, KEYS, SCORED = 64, 7, 11, 2
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def counted(graph, **sizes):
    return count_onnx(onnx.load_from_string(graph.in_memory().model), sizes)


def reader(stored):
    return lambda name: stored.read(name, torch.float32)


def check_decoder(config, precision, graph):
    found = counted(graph, q=QUERIES, k=KEYS, n=SCORED)
    one = decoder_pass(config, precision, QUERIES, KEYS, SCORED)
    whole = decoder_pass(config, precision, max(config.decoder.experts, 1), KEYS, SCORED)
    tables = 4 * CONTEXT * config.decoder.head_dim * (1 if config.decoder.rope_scaling is None else 2)
    assert whole.weights + tables == found.weights
    assert sum(one.operations.values()) == found.operations > 0


@pytest.mark.parametrize(
    ("folder", "precision"),
    [(folder, "bf16") for folder in FOLDERS] + [(VECTORS / "molmo-7b-d-tiny", "fp32")],
    ids=lambda value: getattr(value, "name", value),
)
def test_formulas_equal_the_graphs_of_every_family(folder, precision):
    stored = StoredParameters(folder)
    config, dtype = stored.config, DTYPES[precision]
    check_decoder(config, precision, decoder_graph(config, CONTEXT, dtype, reader(stored)))
    found = counted(vision_graph(config, dtype, reader(stored)), views=3, crops=3, tokens=5, slots=4)
    cost = vision_pass(config, precision, 3, 5)
    assert (cost.weights, sum(cost.operations.values())) == (found.weights, found.operations)


@pytest.mark.parametrize("precision", QUANTISED)
def test_formulas_equal_the_graphs_of_every_format(precision):
    stored = StoredParameters(EMBEDDED / "tiny")
    config = stored.config
    rounded = RoundedParameters(config.decoder, precision, torch.bfloat16, reader(stored))
    check_decoder(config, precision, decoder_graph(config, CONTEXT, torch.bfloat16, reader(stored), rounded))
    kinds = set(decoder_pass(config, precision, QUERIES, KEYS).operations)
    assert kinds == ({precision, SIXTEEN} if precision in ("int8", "fp8") else {SIXTEEN})


@pytest.mark.parametrize(
    ("folder", "precision"),
    [
        (VECTORS / "molmo-7b-d-tiny", "bf16"),
        (EMBEDDED / "tiny", "int4"),
        (VECTORS / "molmoe-1b-tiny", "bf16"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_formulas_equal_the_networks_that_tensorrt_holds(folder, precision, tmp_path):
    """Some numbers of its own, such as epsilons, are constants with an axis there: up to a hundred bytes."""
    trt = pytest.importorskip("tensorrt_rtx")
    stored = StoredParameters(folder)
    export(stored, precision, tmp_path)
    for graph, formula in formulas(stored, precision).items():
        network, _alive = parse(trt, tmp_path / graph)
        found = count_parsed(trt, network, SIZES[graph])
        assert 0 <= found.weights - formula.weights < 100
        if stored.config.decoder.experts and graph == DECODER:  # all that can be in use work on every token
            assert found.operations > formula.operations
        else:
            assert found.operations == formula.operations


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_parts_add_up_to_what_a_checkpoint_holds(folder):
    stored = StoredParameters(folder)
    values = sum(torch.Size(shape).numel() for shape in stored.shapes.values())
    assert sum(count for _, count in stored_values(stored.config)) == values


def test_keys_and_values_are_read_once_and_written_once():
    config = StoredParameters(VECTORS / "molmo-7b-d-tiny").config
    decoder = config.decoder
    slot = 2 * 2 * decoder.layers * decoder.kv_heads * decoder.head_dim
    assert decoder_pass(config, "bf16", 1, 100).cache == 101 * slot
    assert decoder_pass(config, "fp32", 50, 100).cache == 2 * 150 * slot


def test_a_token_reads_the_weights_of_its_experts_only():
    config = StoredParameters(VECTORS / "molmoe-1b-tiny").config
    decoder = config.decoder
    one, few, all_of_them = (decoder_pass(config, "bf16", tokens, 9).weights for tokens in (1, 2, 10_000))
    expert = decoder.layers * 3 * decoder.width * decoder.mlp_width * 2
    assert one < few <= all_of_them
    assert all_of_them - one == (decoder.experts - decoder.experts_per_token) * expert
    with pytest.raises(UnsupportedBuildError, match="experts are not quantised"):
        decoder_pass(config, "int4", 1, 9)


def test_the_longer_of_moving_and_computing_counts():
    device = DEVICES["agx-orin"]
    moving = PassCost(204.8e9, 0, 1e12, {SIXTEEN: 1.0})
    assert moving.seconds(device) == pytest.approx(1)
    assert moving.seconds(device, bandwidth_share=0.5) == pytest.approx(2)
    computing = PassCost(1, 0, 0, {SIXTEEN: device.rate(SIXTEEN), "int8": device.rate("int8")})
    assert computing.seconds(device) == pytest.approx(2)
    assert computing.seconds(device, rate_share=0.25) == pytest.approx(8)
