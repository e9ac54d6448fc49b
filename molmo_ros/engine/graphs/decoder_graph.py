# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The decoder as an ONNX graph over a static KV cache; the twin of `network/decoder.py`.

One graph serves prefill, decode, the verification of several tokens, and several prompts packed behind one image:
every token comes with its position and its row of the mask, and the mask's width says how much of the cache is read.

| input | type | shape | what |
|---|---|---|---|
| embeddings | the graph's | [1, q, width] | of the tokens |
| positions | int64 | [1, q] | of each token in its own sequence |
| mask | bool | [1, 1, q, k] | which of the first k slots each token attends to; at least one |
| write_index | int64 | [1] | the slot of the first token; the others follow |
| logits_for | int64 | [n] | the tokens, of these q, that get scores |
| past_key_i, past_value_i | the graph's | [1, kv_heads, context, head_dim] | of layer i |

| output | type | shape | what |
|---|---|---|---|
| logits | float32 | [1, n, vocab] | scores; with an extra head, of the special tokens too |
| states | the graph's | [1, q, width] | before the final norm; only with a point head |
| present_key_i, present_value_i | as past | as past | past with the tokens' written; may be the same memory |
"""

from __future__ import annotations

import torch

from molmo_ros.engine.graphs.experts_graph import mixture_of_experts
from molmo_ros.engine.graphs.graph_writer import GraphWriter
from molmo_ros.engine.graphs.layers import (
    attention,
    from_float32,
    in_float32,
    join_heads,
    linear,
    rms_norm,
    silu,
    split_heads,
)
from molmo_ros.engine.quantisation.quantised_linear import QuantisedWeights, ReadParameter
from molmo_ros.molmo.config import DecoderConfig, MolmoConfig
from molmo_ros.molmo.network.rope import RotaryEmbedding

BASE, HEAD = "decoder.embedding.base", "decoder.head.weight"


def decoder_graph(
    config: MolmoConfig,
    context: int,
    dtype: torch.dtype,
    read: ReadParameter,
    quantised: QuantisedWeights | None = None,
) -> GraphWriter:
    """The graph of a model's decoder.

    Args:
        config: The model's shape.
        context: Slots of the KV cache.
        dtype: Of weights and activations.
        read: Where parameters come from.
        quantised: The layers whose weights are quantised, and where those come from.
    """
    return _DecoderGraph(config, context, GraphWriter("decoder", dtype, read, quantised)).build()


class _DecoderGraph:
    """The values that all layers share, and the layers."""

    def __init__(self, config: MolmoConfig, context: int, graph: GraphWriter) -> None:
        self.model, self.config, self.context = config, config.decoder, context
        self.graph = graph

    def build(self) -> GraphWriter:
        graph, config = self.graph, self.config
        x = graph.input("embeddings", graph.dtype, [1, "q", config.width])
        self.positions = graph.input("positions", torch.int64, [1, "q"])
        self.mask = graph.input("mask", torch.bool, [1, 1, "q", "k"])
        self.write_index = graph.input("write_index", torch.int64, [1])
        logits_for = graph.input("logits_for", torch.int64, ["n"])
        self.active = graph.node("Shape", self.mask, start=3, end=4)
        self.rotary = _rotary_caches(graph, config, self.context)
        for layer in range(config.layers):
            x = self._block(x, layer)
        graph.scope("head")
        self._head(x, logits_for)
        return graph

    def _block(self, x: str, layer: int) -> str:
        graph, config, name = self.graph, self.config, f"decoder.blocks.{layer}"
        graph.scope(name)

        def norm(value: str, which: str) -> str:
            return rms_norm(graph, value, f"{name}.{which}_norm", config.width, config.norm_eps)

        if config.norm_after:
            x = graph.node("Add", x, norm(self._attention(x, layer), "attention"))
            return graph.node("Add", x, norm(self._mlp(x, f"{name}.mlp"), "mlp"))
        x = graph.node("Add", x, self._attention(norm(x, "attention"), layer))
        return graph.node("Add", x, self._mlp(norm(x, "mlp"), f"{name}.mlp"))

    def _attention(self, x: str, layer: int) -> str:
        graph, config, name = self.graph, self.config, f"decoder.blocks.{layer}.attention"
        head_dim, heads, kv_heads = config.head_dim, config.heads, config.kv_heads
        widths = (heads * head_dim, kv_heads * head_dim, kv_heads * head_dim)
        fused = linear(graph, x, f"{name}.qkv", config.width, sum(widths), config.qkv_bias)
        query, key, value = graph.nodes("Split", 3, fused, graph.integers(*widths), axis=-1)
        if config.qk_norm == "full":
            query = rms_norm(graph, query, f"{name}.query_norm", widths[0], config.norm_eps)
            key = rms_norm(graph, key, f"{name}.key_norm", widths[1], config.norm_eps)
        query = self._heads(query, heads, f"{name}.query_norm")
        key = self._heads(key, kv_heads, f"{name}.key_norm")
        value = split_heads(graph, value, kv_heads, head_dim)
        query, key = self._rotate(query, layer), self._rotate(key, layer)
        key, value = self._cached(key, f"key_{layer}"), self._cached(value, f"value_{layer}")
        mixed = attention(graph, query, key, value, self.mask, head_dim)
        return linear(graph, join_heads(graph, mixed, widths[0]), f"{name}.output", widths[0], config.width)

    def _heads(self, x: str, heads: int, norm: str) -> str:
        """Split into heads [1, heads, q, head_dim], with the norm of each head where the model has one."""
        graph, config = self.graph, self.config
        if config.qk_norm != "head":
            return split_heads(graph, x, heads, config.head_dim)
        x = graph.node("Reshape", x, graph.integers(0, 0, heads, config.head_dim))
        x = rms_norm(graph, x, norm, config.head_dim, config.norm_eps)
        return graph.node("Transpose", x, perm=[0, 2, 1, 3])

    def _rotate(self, x: str, layer: int) -> str:
        graph, scaling = self.graph, self.config.rope_scaling
        cosine, sine = self.rotary[int(scaling is not None and layer in scaling.layers)]
        (wide,) = in_float32(graph, x)
        return from_float32(graph, graph.node("RotaryEmbedding", wide, cosine, sine, self.positions))

    def _cached(self, new: str, name: str) -> str:
        """Writes [1, kv_heads, q, head_dim] into the cache; returns the part of it that the mask speaks of."""
        graph, config = self.graph, self.config
        shape = [1, config.kv_heads, self.context, config.head_dim]
        past = graph.input(f"past_{name}", graph.dtype, shape)
        present = graph.node("TensorScatter", past, new, self.write_index, axis=2, mode="linear")
        present = graph.output(present, f"present_{name}", graph.dtype, shape)
        return graph.node("Slice", present, graph.integers(0), self.active, graph.integers(2))

    def _mlp(self, x: str, name: str) -> str:
        graph, config = self.graph, self.config
        if config.experts:
            return mixture_of_experts(graph, x, name, config)
        fused = linear(graph, x, f"{name}.up_gate", config.width, 2 * config.mlp_width)
        up, gate = graph.nodes("Split", 2, fused, axis=-1, num_outputs=2)
        inner = graph.node("Mul", silu(graph, gate), up)
        return linear(graph, inner, f"{name}.down", config.mlp_width, config.width)

    def _head(self, states: str, logits_for: str) -> None:
        graph, config = self.graph, self.config
        if self.model.point_head is not None:
            states = graph.output(states, "states", graph.dtype, [1, "q", config.width])
        chosen = graph.node("Gather", states, logits_for, axis=1)
        hidden = rms_norm(graph, chosen, "decoder.norm", config.width, config.norm_eps)
        matrix = graph.matrix(BASE if config.tied_head else HEAD, config.width, config.vocab)
        logits, scored = graph.node("MatMul", hidden, matrix), config.vocab
        if config.extra_head:
            extra = linear(graph, hidden, "decoder.extra_head", config.width, config.extra_vocab)
            logits, scored = graph.node("Concat", logits, extra, axis=-1), scored + config.extra_vocab
        (logits,) = in_float32(graph, logits)
        graph.output(logits, "logits", torch.float32, [1, "n", scored])


def _rotary_caches(graph: GraphWriter, config: DecoderConfig, context: int) -> list[tuple[str, str]]:
    """Cosines and sines float32 [context, head_dim / 2] of every position, plain, and scaled where layers use that."""
    scalings = [None] if config.rope_scaling is None else [None, config.rope_scaling]
    caches = []
    for number, scaling in enumerate(scalings):
        rotary = RotaryEmbedding(config.head_dim, config.rope_theta, scaling)
        parts = rotary(torch.arange(context, dtype=torch.int64, device="cpu").unsqueeze(0))
        half = [part[0, 0, :, : config.head_dim // 2].contiguous() for part in parts]
        caches.append(
            (graph.table(f"rotary_{number}.cosine", half[0]), graph.table(f"rotary_{number}.sine", half[1]))
        )
    return caches
