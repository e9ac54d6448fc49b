# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A mixture of experts in onnxruntime, and written out for TensorRT, against a plain sum over the chosen experts."""

from dataclasses import replace

import onnx
import onnxruntime
import pytest
import torch
from torch.nn import functional

from molmo_ros.engine.graphs.experts_graph import in_turns, mixture_of_experts
from molmo_ros.engine.graphs.graph_writer import GraphWriter
from molmo_ros.engine.tensorrt.builder import BuildRequest, build_engine
from molmo_ros.engine.tensorrt.lowering import lower_file
from molmo_ros.molmo.network.experts import MixtureOfExperts

EXPERTS, CHOSEN, WIDTH, INNER = 8, 3, 32, 16
LOWERINGS = ["canonical", "native", "legacy"]


class Layer:
    """A mixture of random weights, and its graph alone, which is exported anew with what the weights are by then."""

    def __init__(self, config, folder, dtype=torch.float32):
        self.config, self.folder, self.dtype = config, folder, dtype
        torch.manual_seed(0)
        self.mixture = MixtureOfExperts(config)
        for parameter in self.mixture.parameters():
            torch.nn.init.normal_(parameter, std=2 * parameter.shape[-1] ** -0.5)
        self.parameters = {f"mlp.{name}": value for name, value in self.mixture.state_dict().items()}

    def export(self, lowering):
        graph = GraphWriter("experts", self.dtype, self.parameters.__getitem__)
        x = graph.input("x", self.dtype, [1, "q", self.config.width])
        y = mixture_of_experts(graph, x, "mlp", self.config)
        graph.output(y, "y", self.dtype, [1, "q", self.config.width])
        canonical, lowered = self.folder / "canonical.onnx", self.folder / "lowered.onnx"
        graph.save(canonical)
        if lowering == "canonical":
            return canonical
        lower_file(canonical, lowered, lowering)
        return lowered

    def graph(self, lowering):
        """A function of the tokens [q, width]."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(self.export(lowering)), options)
        return lambda tokens: torch.from_numpy(session.run(None, {"x": tokens[None].numpy()})[0][0])

    def plain(self, tokens):
        """Token for token, expert for expert, in float64."""
        named = {name: value.double() for name, value in self.parameters.items()}
        rows = []
        for token in tokens.double():
            probabilities = (named["mlp.router.weight"] @ token).softmax(0)
            row = torch.zeros_like(token)
            for expert in probabilities.argsort(descending=True)[: self.config.experts_per_token]:
                up, gate = (named["mlp.experts.up_gate"][expert] @ token).chunk(2)
                row += probabilities[expert] * (
                    named["mlp.experts.down"][expert] @ (functional.silu(gate) * up)
                )
            rows.append(row)
        return torch.stack(rows)


@pytest.fixture
def config(exported):
    decoder = exported("molmoe-1b-tiny").config.decoder
    return replace(decoder, experts=EXPERTS, experts_per_token=CHOSEN, width=WIDTH, mlp_width=INNER)


@pytest.fixture
def layer(config, tmp_path):
    return Layer(config, tmp_path)


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("count", [1, 2, 3, 40])
@torch.inference_mode()
def test_the_chosen_experts_are_added_up(count, lowering, layer):
    """For one token, for two that need not all experts, for three that could need more than there are, for many."""
    tokens = torch.randn(count, WIDTH)
    expected = layer.plain(tokens)
    found = layer.graph(lowering)(tokens)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    assert (found - layer.mixture(tokens)).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("lowering", LOWERINGS)
@torch.inference_mode()
def test_large_values_are_not_limited(lowering, layer):
    """Other models' experts cut the gate at 7; Molmo's do not."""
    tokens = 20 * torch.randn(5, WIDTH)
    fused = tokens @ layer.mixture.experts.up_gate.flatten(0, 1).T
    assert fused.abs().max() > 70
    expected = layer.plain(tokens)
    assert (layer.graph(lowering)(tokens) - expected).abs().max() < 1e-5 * expected.abs().max()


@torch.inference_mode()
def test_experts_that_nobody_chose_are_not_read(layer):
    """Their weights may be anything: in onnxruntime, and for a single token where it is written out."""
    token = torch.randn(1, WIDTH)
    chosen = (token @ layer.mixture.router.weight.T).topk(CHOSEN).indices[0]
    others = sorted(set(range(EXPERTS)) - set(chosen.tolist()))
    expected = layer.plain(token)
    for name in ("up_gate", "down"):
        layer.parameters[f"mlp.experts.{name}"][others] = torch.nan
    for lowering in LOWERINGS:
        found = layer.graph(lowering)(token)
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max(), lowering


@torch.inference_mode()
def test_half_precision_is_near(config, tmp_path):
    layer = Layer(config, tmp_path, torch.float16)
    tokens = torch.randn(6, WIDTH)
    expected = layer.plain(tokens)
    for lowering in LOWERINGS:
        found = layer.graph(lowering)(tokens.half()).float()
        assert (found - expected).abs().max() < 0.01 * expected.abs().max(), lowering


def test_rows_take_turns():
    up, gate = torch.tensor([[[1], [2]]]), torch.tensor([[[10], [20]]])
    assert in_turns(torch.cat([up, gate], dim=1)).flatten().tolist() == [10, 1, 20, 2]


def test_only_the_canonical_graph_has_onnxruntimes_own_node(layer):
    for lowering in LOWERINGS:
        model = onnx.load(str(layer.export(lowering)), load_external_data=False)
        domains = {one.domain for one in model.opset_import}
        assert domains == {node.domain for node in model.graph.node}
        assert domains == ({"", "com.microsoft"} if lowering == "canonical" else {""})
        assert [one.name for one in model.graph.output] == ["y"]


def test_tensorrt_keeps_the_weights_once(config, tmp_path):
    """All different, since it keeps equal ones once anyway."""
    layer = Layer(replace(config, experts=64, width=128, mlp_width=64), tmp_path, torch.float16)
    request = BuildRequest(
        graph=layer.export("canonical"),
        engine=tmp_path / "experts.engine",
        tensorrt="tensorrt_rtx",
        lowering="native",
        capability=(8, 6),
        profile={"x": ((1, 1, 128), (1, 1, 128), (1, 300, 128))},
    )
    report = build_engine(request)
    weights = sum(value.numel() * layer.dtype.itemsize for value in layer.parameters.values())
    assert weights < report.engine_size < 1.5 * weights
    assert not {"CONDITION", "NON_ZERO"} & set(report.layers)  # CUDA graphs take neither
