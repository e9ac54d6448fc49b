# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The mixture of experts against a plain sum over all experts, and what a step may touch and call."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from molmo_ros.molmo.config import DecoderConfig
from molmo_ros.molmo.network.decoder import DecoderMlp
from molmo_ros.molmo.network.experts import MixtureOfExperts

VECTORS = Path(__file__).parents[2] / "vectors"
SIZES = [(8, 3), (5, 1), (4, 4), (64, 8), (1, 1)]


def sizes(experts, chosen):
    return DecoderConfig(
        width=24,
        layers=1,
        heads=2,
        kv_heads=2,
        head_dim=12,
        mlp_width=10,
        vocab=16,
        extra_vocab=0,
        qkv_bias=False,
        qk_norm="full",
        norm_after=False,
        norm_eps=1e-5,
        rope_theta=1e4,
        max_positions=64,
        experts=experts,
        experts_per_token=chosen,
    )


def mixture(experts=8, chosen=3):
    made = MixtureOfExperts(sizes(experts, chosen))
    generator = torch.Generator().manual_seed(0)
    for name, parameter in made.named_parameters():
        # Wide scores, so that the experts count very differently.
        spread = (3 if name.startswith("router") else 1) / parameter.shape[-1] ** 0.5
        parameter.data = spread * torch.randn(parameter.shape, generator=generator)
    return made


def tokens(count):
    return torch.randn(count, 24, generator=torch.Generator().manual_seed(1))


def every_expert(made, x):
    """Every expert for every token, in float64, counted with the router's probability or not at all."""
    x, router = x.double(), made.router.weight.double()
    probabilities = torch.exp(x @ router.T)
    probabilities = probabilities / probabilities.sum(1, keepdim=True)
    total = torch.zeros_like(x)
    for row in range(x.shape[0]):
        best = sorted(range(len(router)), key=lambda e: -float(probabilities[row, e]))
        for expert in best[: made.experts_per_token]:
            up, gate = (made.experts.up_gate[expert].double() @ x[row]).split(made.experts.down.shape[2])
            inner = up * gate / (1 + torch.exp(-gate))
            total[row] += probabilities[row, expert] * (made.experts.down[expert].double() @ inner)
    return total


class Calls(TorchDispatchMode):
    """What ran: how often each operator, and the largest tensor that one made (views are not made)."""

    def __init__(self):
        super().__init__()
        self.count, self.largest = Counter(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.count[func.overloadpacket.__name__] += 1
        if isinstance(result, torch.Tensor) and not func.is_view:
            self.largest = max(self.largest, result.numel())
        return result

    @property
    def products(self):
        return sum(self.count[name] for name in ("linear", "mm", "addmm", "mv", "bmm"))


@pytest.fixture(autouse=True)
def inference(request):
    with torch.set_grad_enabled("gradient" in request.node.name):
        yield


@pytest.mark.parametrize("count", [1, 2, 37])
@pytest.mark.parametrize(("experts", "chosen"), SIZES)
def test_equals_the_sum_over_all_experts(experts, chosen, count):
    made, x = mixture(experts, chosen), tokens(count)
    torch.testing.assert_close(made(x), every_expert(made, x).float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_dtypes(dtype):
    made, x = mixture().to(dtype), tokens(6).to(dtype)
    output = made(x)
    assert output.dtype == dtype
    torch.testing.assert_close(output.double(), every_expert(made, x), atol=0.03, rtol=0.03)
    weights, _ = made.route(made.router(x))
    assert weights.dtype == torch.float32


def test_autocast_keeps_the_dtype_of_the_tokens():
    made, x = mixture(), tokens(6)
    with torch.autocast("cpu", torch.bfloat16):
        output = made(x)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output, made(x), atol=0.05, rtol=0.05)


def test_probabilities_are_not_renormalised():
    made, x = mixture(8, 3), tokens(5)
    dense = DecoderMlp(sizes(8, 3))
    dense.up_gate.weight.data, dense.down.weight.data = made.experts.up_gate[0], made.experts.down[0]
    for stacked in (made.experts.up_gate, made.experts.down):
        stacked.copy_(stacked[:1].expand_as(stacked).clone())
    made.router.weight.zero_()
    torch.testing.assert_close(made(x), dense(x) * 3 / 8)


def test_router_chooses_the_most_probable_first():
    made = mixture(6, 3)
    logits = torch.tensor([[0.0, 3.0, -1.0, 2.0, 1.0, -2.0], [5.0, -9.0, 5.5, -9.0, -9.0, 4.0]])
    weights, chosen = made.route(logits)
    assert chosen.tolist() == [[1, 3, 4], [2, 0, 5]]
    expected = torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True)
    torch.testing.assert_close(weights, expected.gather(1, chosen))
    assert (weights.sum(1) < 1).all()


def test_any_leading_shape_and_no_token_at_all():
    made, x = mixture(), tokens(6)
    torch.testing.assert_close(made(x.view(2, 3, 24)), made(x).view(2, 3, 24))
    assert made(x[:0]).shape == (0, 24)
    assert made(x[:0].view(2, 0, 24)).shape == (2, 0, 24)


def test_weights_that_no_token_chose_are_never_read():
    made, x = mixture(64, 8), tokens(2)
    expected = made(x)
    _, chosen = made.route(made.router(x))
    others = [expert for expert in range(64) if expert not in chosen]
    assert len(others) >= 48
    made.experts.up_gate[others] = torch.nan
    made.experts.down[others] = torch.nan
    assert torch.equal(made(x), expected)


def test_decoding_step_multiplies_with_the_chosen_experts_only_and_copies_no_weights():
    made = mixture(64, 8)
    with Calls() as calls:
        made(tokens(1))
    assert calls.products == 1 + 2 * 8
    assert calls.largest < made.experts.down[0].numel()


def test_prompt_takes_one_product_per_expert_in_use():
    made, x = mixture(64, 8), tokens(50)
    in_use = made.route(made.router(x))[1].unique().numel()
    with Calls() as calls:
        made(x)
    assert calls.products == 1 + 2 * in_use


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_in_its_own_token(bad):
    made, x = mixture(), tokens(5)
    expected = made(x)
    x[2, 4] = bad
    output = made(x)
    assert not output[2].isfinite().any()
    kept = [0, 1, 3, 4]
    torch.testing.assert_close(output[kept], expected[kept])


def test_weights_that_are_not_finite_do_not_raise():
    made = mixture()
    made.router.weight.fill_(torch.nan)
    assert made(tokens(3)).isnan().all()


def test_gradient_equals_that_of_all_experts():
    made, x = mixture(6, 2), tokens(7)
    parameters = [*made.parameters()]
    found = torch.autograd.grad(made(x).square().sum(), parameters)
    logits = functional.linear(x, made.router.weight)
    kept = torch.zeros_like(logits).scatter(1, logits.topk(2).indices, 1.0) * logits.softmax(1)
    up, gate = torch.einsum("nd,ehd->neh", x, made.experts.up_gate).chunk(2, -1)
    outputs = torch.einsum("neh,edh->ned", functional.silu(gate) * up, made.experts.down)
    expected = torch.autograd.grad(
        (outputs * kept[..., None]).sum(1).square().sum(), [made.router.weight, *made.experts.parameters()]
    )
    assert all(value.abs().max() > 1e-3 for value in expected)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
