# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Times one mixture of experts at MolmoE-1B's size, next to a loop over all experts as in the published code.

    python benchmarks/experts.py [--dtype float32] [--threads 1] [--decode-repeats 30] [--prefill-repeats 3] [--graph]

Random weights; every form gets the same tokens and must give the same sums before anything is timed. Then the
forms take turns in one process; medians of wall time for one layer, and for a model of 16. `--graph` adds the
exported layer in onnxruntime.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from molmo_ros.molmo.config import DecoderConfig
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.molmo.network.experts import MixtureOfExperts

LAYERS = 16
MOLMOE = DecoderConfig(
    width=2048,
    layers=LAYERS,
    heads=16,
    kv_heads=16,
    head_dim=128,
    mlp_width=1024,
    vocab=50304,
    extra_vocab=128,
    qkv_bias=False,
    qk_norm="full",
    norm_after=False,
    norm_eps=1e-5,
    rope_theta=1e4,
    max_positions=32768,
    experts=64,
    experts_per_token=8,
)
# A 1280x720 image: 3x4 tiles and the global view.
PROMPT = 1196


class LoopOverAll:
    """Every expert is called for every step, with its own three matrices, whether a token chose it or not."""

    def __init__(self, mixture: MixtureOfExperts) -> None:
        self.mixture = mixture
        inner = MOLMOE.mlp_width
        self.experts = [
            (up_gate[:inner], up_gate[inner:], down)
            for up_gate, down in zip(mixture.experts.up_gate, mixture.experts.down, strict=True)
        ]

    def __call__(self, tokens: Tensor) -> Tensor:
        weights, chosen = self.mixture.route(self.mixture.router(tokens))
        total = torch.zeros_like(tokens)
        for number, (up, gate, down) in enumerate(self.experts):
            rows, slots = (chosen == number).nonzero(as_tuple=True)
            mine = tokens[rows]
            inner = functional.silu(functional.linear(mine, gate)) * functional.linear(mine, up)
            share = weights[rows, slots].unsqueeze(1).to(tokens.dtype)
            total.index_add_(0, rows, functional.linear(inner, down) * share)
        return total


def in_onnxruntime(mixture: MixtureOfExperts, threads: int) -> Callable[[Tensor], Tensor]:
    """The layer as the engines' graphs have it, in float32."""
    import onnxruntime

    from molmo_ros.engine.graphs.experts_graph import mixture_of_experts
    from molmo_ros.engine.graphs.graph_writer import GraphWriter

    parameters, dtype = mixture.state_dict(), torch.float32
    graph = GraphWriter("experts", dtype, lambda name: parameters[name.removeprefix("mlp.")])
    shape: list[int | str] = [1, "q", MOLMOE.width]
    graph.output(mixture_of_experts(graph, graph.input("x", dtype, shape), "mlp", MOLMOE), "y", dtype, shape)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        graph.save(Path(folder) / "experts.onnx")
        session = onnxruntime.InferenceSession(str(Path(folder) / "experts.onnx"), options)
    return lambda tokens: torch.from_numpy(session.run(None, {"x": tokens[None].numpy()})[0][0])


def medians(
    forms: dict[str, Callable[[Tensor], Tensor]], inputs: list[Tensor], repeats: int
) -> dict[str, float]:
    """Milliseconds per call. The forms take turns, each call on the next input."""
    taken: dict[str, list[float]] = {name: [] for name in forms}
    following = itertools.cycle(inputs)
    for turn in range(repeats + 1):
        for name, form in forms.items():
            tokens = next(following)
            started = time.perf_counter()
            form(tokens)
            if turn:  # the first turn warms up
                taken[name].append((time.perf_counter() - started) * 1e3)
    return {name: statistics.median(values) for name, values in taken.items()}


def check(forms: dict[str, Callable[[Tensor], Tensor]], tokens: Tensor) -> None:
    first, *others = (form(tokens).float() for form in forms.values())
    tolerance = 1e-4 if tokens.dtype == torch.float32 else 0.05
    for name, output in zip(list(forms)[1:], others, strict=True):
        if not torch.allclose(first, output, atol=tolerance, rtol=tolerance):
            raise SystemExit(f"{name} gives other sums: {(first - output).abs().max():.2e}")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", choices=DTYPE_BYTES, default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--decode-repeats", type=int, default=30)
    parser.add_argument("--prefill-repeats", type=int, default=3)
    parser.add_argument("--graph", action="store_true", help="float32 only; needs onnxruntime")
    args = parser.parse_args()
    if args.graph and args.dtype != "float32":
        # In 16 bits two routers choose differently where experts are nearly as probable: no equal sums.
        parser.error("--graph is for float32 only")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    dtype = getattr(torch, args.dtype)
    with torch.device("meta"):
        mixture = MixtureOfExperts(MOLMOE)
    mixture = mixture.to(dtype).to_empty(device="cpu")
    for parameter in mixture.parameters():
        parameter.normal_(std=parameter.shape[-1] ** -0.5)
    forms = {"by groups (ours)": mixture, "loop over all 64": LoopOverAll(mixture)}
    if args.graph:
        forms["the graph in onnxruntime"] = in_onnxruntime(mixture, args.threads)

    def gathered(tokens: Tensor) -> Tensor:
        weights, chosen = mixture.route(mixture.router(tokens))
        up, gate = torch.einsum("nd,nkhd->nkh", tokens, mixture.experts.up_gate[chosen]).chunk(2, dim=-1)
        outputs = torch.einsum("nkh,nkdh->nkd", functional.silu(gate) * up, mixture.experts.down[chosen])
        return (outputs * weights.unsqueeze(-1).to(outputs.dtype)).sum(1)

    # Another token each time, so that the weights come from memory and not from the cache of the last one.
    single = [torch.randn(1, MOLMOE.width, dtype=dtype) for _ in range(17)]
    prompt = [torch.randn(PROMPT, MOLMOE.width, dtype=dtype)]
    copies = {"copies of the chosen": gathered}
    check(forms | copies, single[0])
    check(forms, prompt[0])
    print(f"One layer, {args.dtype}, {args.threads} thread(s)\n")
    found = medians(forms, single, args.decode_repeats)
    # By itself: what it writes would slow the form that comes after it.
    table("decoding, one token", found | medians(copies, single, args.decode_repeats))
    table(f"prompt of {PROMPT} tokens", medians(forms, prompt, args.prefill_repeats))
    read = MOLMOE.experts_per_token * 3 * MOLMOE.mlp_width * MOLMOE.width * dtype.itemsize
    speed = read / found["by groups (ours)"] / 1e6
    print(f"A token reads {read / 1e6:.0f} MB of experts: {speed:.1f} GB/s.")


def table(title: str, found: dict[str, float]) -> None:
    theirs = found["loop over all 64"]
    print(f"| {title} | ms | ms, {LAYERS} layers | against the loop |\n|---|---|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.2f} | {LAYERS * value:.0f} | {theirs / value:.2f} times as fast |")
    print()


if __name__ == "__main__":
    main()
