# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Bytes and operations of one pass of each network, from its config alone.

Counted is what a pass cannot do without: every weight that it uses, read once; keys and values, read and written once;
the products of matrices, those of attention in full, as the graphs have them under a mask. Norms, activations and
softmax are some thousandths of the operations and not counted. Activations, inputs and outputs of every product, are
counted apart: a kernel that does several steps in one keeps them from memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from molmo_ros.engine.cost.device import SIXTEEN, Device
from molmo_ros.engine.quantisation.formats import DOWN, OUTPUT, QKV, UP_GATE, Format, linear_formats
from molmo_ros.molmo.config import ConnectorConfig, DecoderConfig, MolmoConfig, VisionConfig

ITEM = {"fp32": 4}
"""Bytes of an activation, and of a weight that is not quantised, by precision; else two."""
GLOBAL_SCALE = 4
"""Bytes of nvfp4's scale over a whole weight, float32."""


@dataclass(frozen=True)
class Linear:
    """A linear layer, as often as a network has it.

    Attributes:
        name: Of the layer; in a decoder's block as `formats` has it.
        inputs: Width.
        outputs: Width.
        count: How many there are.
        bias: Whether it has one.
    """

    name: str
    inputs: int
    outputs: int
    count: int = 1
    bias: bool = False

    @property
    def parameters(self) -> int:
        """Of all of them, biases included."""
        return self.count * (self.inputs + self.bias) * self.outputs

    def operations(self, rows: int) -> float:
        """Of their products with so many rows of inputs."""
        return 2.0 * self.count * rows * self.inputs * self.outputs


@dataclass(frozen=True)
class PassCost:
    """What one pass takes.

    Attributes:
        weights: Bytes of weights that it reads.
        cache: Bytes of keys and values that it reads and writes.
        activations: Bytes of inputs and outputs of its products.
        operations: By what the products' inputs are, see `Device.rate`.
    """

    weights: float
    cache: float
    activations: float
    operations: Mapping[str, float]

    def seconds(self, device: Device, bandwidth_share: float = 1.0, rate_share: float = 1.0) -> float:
        """What a device needs for it at least, activations not counted; or at a share of what it can do."""
        moving = (self.weights + self.cache) / (device.bandwidth * bandwidth_share)
        computing = sum(count / (device.rate(kind) * rate_share) for kind, count in self.operations.items())
        return max(moving, computing)


def decoder_linears(config: DecoderConfig) -> list[Linear]:
    """Those that every token goes through, experts and output head not counted."""
    heads, layers = config.heads * config.head_dim, config.layers
    fused = heads + 2 * config.kv_heads * config.head_dim
    found = [
        Linear(QKV, config.width, fused, layers, config.qkv_bias),
        Linear(OUTPUT, heads, config.width, layers),
    ]
    if config.experts:
        return [*found, Linear("mlp.router", config.width, config.experts, layers)]
    return [
        *found,
        Linear(UP_GATE, config.width, 2 * config.mlp_width, layers),
        Linear(DOWN, config.mlp_width, config.width, layers),
    ]


def expert_linears(config: DecoderConfig, experts: int) -> list[Linear]:
    """Those of so many experts of each layer."""
    count = config.layers * experts
    return [
        Linear("mlp.experts.up_gate", config.width, 2 * config.mlp_width, count),
        Linear("mlp.experts.down", config.mlp_width, config.width, count),
    ]


def head_linears(config: DecoderConfig) -> list[Linear]:
    """The output head."""
    extra = [Linear("extra_head", config.width, config.extra_vocab)] if config.extra_head else []
    return [Linear("head", config.width, config.vocab), *extra]


def tower_linears(config: VisionConfig) -> list[Linear]:
    """Those that every patch goes through."""
    width, inner, blocks = config.width, config.heads * config.head_dim, config.blocks_used
    return [
        Linear("patch_embedding", config.patch_values, width, bias=config.patch_bias),
        Linear("attention.query_key_value", width, inner, 3 * blocks, bias=True),
        Linear("attention.output", inner, width, blocks, bias=True),
        Linear("mlp.up", width, config.mlp_width, blocks, bias=True),
        Linear("mlp.down", config.mlp_width, width, blocks, bias=True),
    ]


def pooled_linears(config: ConnectorConfig) -> list[Linear]:
    """Those that every image feature goes through once; keys and values, of every patch, are `member_linears`."""
    inner = config.heads * config.head_dim
    joined = config.width if config.pooling_output else inner
    output = [Linear("pooling.output", inner, config.width, bias=True)] if config.pooling_output else []
    return [
        Linear("pooling.query", config.feature_width, inner, bias=True),
        *output,
        Linear("projector.gate_up", joined, config.hidden_width, 2),
        Linear("projector.down", config.hidden_width, config.output_width),
    ]


def member_linears(config: ConnectorConfig) -> list[Linear]:
    """Keys and values of the patches that a feature is pooled from."""
    return [Linear("pooling.key_value", config.feature_width, config.heads * config.head_dim, 2, bias=True)]


def decoder_norms(config: DecoderConfig) -> int:
    """Values of the decoder's norms."""
    heads, kv_heads = config.heads * config.head_dim, config.kv_heads * config.head_dim
    inside = {"none": 0, "head": 2 * config.head_dim, "full": heads + kv_heads}[config.qk_norm]
    return config.layers * (2 * config.width + inside) + config.width


def vision_values(config: MolmoConfig) -> int:
    """Values of the tower and the connector that are no linear layer: norms, positions, marks."""
    vision, connector = config.vision, config.connector
    positions = vision.patches + vision.class_token
    norms = 4 * vision.blocks_used + 2 * vision.pre_norm
    marks = 2 * connector.feature_width * connector.pad_embed
    return (positions + vision.class_token + norms) * vision.width + marks


def linear_bytes(linear: Linear, form: Format | None, item: int) -> float:
    """What the weights of these layers take, scales and biases included [bytes]."""
    bias = linear.bias * linear.outputs * item
    values = linear.inputs * linear.outputs
    if form is None:
        return linear.count * (values * item + bias)
    size = values * (0.5 if form.packed else 1)
    groups = linear.outputs * (linear.inputs // form.group if form.group else 1)
    scales = groups * (1 if form.name == "nvfp4" else item) + (GLOBAL_SCALE if form.name == "nvfp4" else 0)
    rounding = item if form.quantises_inputs else 0  # the inputs' scale
    return linear.count * (size + scales + bias) + linear.count * rounding


def formats_of(config: DecoderConfig, precision: str) -> dict[str, Format]:
    """The formats of a block's linear layers.

    Raises:
        UnsupportedBuildError: See `linear_formats`.
    """
    if precision in ITEM:
        return {}
    first = "decoder.blocks.0."
    found = linear_formats(config, precision)
    return {name.removeprefix(first): form for name, form in found.items() if name.startswith(first)}


def decoder_pass(config: MolmoConfig, precision: str, queries: int, keys: int, scored: int = 1) -> PassCost:
    """A pass of the decoder.

    Args:
        config: The model's shape.
        precision: Of its weights, as builds have it.
        queries: Tokens that go through it.
        keys: Slots of the cache that they attend to, their own included.
        scored: Tokens that get scores.

    Raises:
        UnsupportedBuildError: No such precision for this model.
    """
    decoder, item, formats = config.decoder, ITEM.get(precision, 2), formats_of(config.decoder, precision)
    linears = decoder_linears(decoder)
    weights = sum(linear_bytes(one, formats.get(one.name), item) for one in linears)
    weights += (
        sum(linear_bytes(one, None, item) for one in head_linears(decoder)) + decoder_norms(decoder) * item
    )
    operations: dict[str, float] = {}
    work = [(_inputs(formats.get(one.name)), one, queries) for one in linears]
    work += [(SIXTEEN, one, scored) for one in head_linears(decoder)]
    if decoder.experts:
        used = min(decoder.experts, queries * decoder.experts_per_token)
        weights += sum(linear_bytes(one, None, item) for one in expert_linears(decoder, used))
        work += [(SIXTEEN, one, queries) for one in expert_linears(decoder, decoder.experts_per_token)]
    for kind, linear, rows in work:
        operations[kind] = operations.get(kind, 0.0) + linear.operations(rows)
    heads = decoder.heads * decoder.head_dim
    operations[SIXTEEN] = operations.get(SIXTEEN, 0.0) + 4.0 * decoder.layers * queries * keys * heads
    slot = 2 * decoder.layers * decoder.kv_heads * decoder.head_dim * item
    return PassCost(
        weights,
        float(slot * (keys + queries)),
        sum(_moved(one, rows) for _, one, rows in work) * item,
        operations,
    )


def vision_pass(config: MolmoConfig, precision: str, views: int, tokens: int) -> PassCost:
    """A pass of the tower and the connector, which are never quantised.

    Args:
        config: The model's shape.
        precision: As of the build.
        views: Crops that the tower sees.
        tokens: Image features.
    """
    vision, connector, item = config.vision, config.connector, ITEM.get(precision, 2)
    patches = vision.patches + vision.class_token
    slots = connector.pool[0] * connector.pool[1]
    work = [(one, views * patches) for one in tower_linears(vision)]
    work[0] = (work[0][0], views * vision.patches)  # the class token is no patch
    work += [(one, tokens) for one in pooled_linears(connector)]
    work += [(one, tokens * slots) for one in member_linears(connector)]
    inner, pooled = vision.heads * vision.head_dim, connector.heads * connector.head_dim
    attention = 4.0 * vision.blocks_used * views * patches**2 * inner + 4.0 * tokens * slots * pooled
    weights = sum(linear_bytes(one, None, item) for one, _ in work) + vision_values(config) * item
    return PassCost(
        weights,
        0.0,
        sum(_moved(one, rows) for one, rows in work) * item,
        {SIXTEEN: sum(one.operations(rows) for one, rows in work) + attention},
    )


def stored_values(config: MolmoConfig) -> Iterator[tuple[str, int]]:
    """Values of every part of a model, as its checkpoint has them (an output head that is the embedding, once)."""
    decoder, head = config.decoder, config.point_head
    yield (
        "vision",
        sum(
            one.parameters
            for one in (
                *tower_linears(config.vision),
                *pooled_linears(config.connector),
                *member_linears(config.connector),
            )
        )
        + vision_values(config),
    )
    blocks = [*decoder_linears(decoder), *expert_linears(decoder, decoder.experts)]
    yield "blocks", sum(one.parameters for one in blocks) + decoder_norms(decoder)
    heads = head_linears(decoder)[int(decoder.tied_head) :]
    yield "head", sum(one.parameters for one in heads)
    yield "embedding", (decoder.vocab + decoder.extra_vocab) * decoder.width
    if head is not None:
        width, features = decoder.width, config.vision.feature_width
        linears = [
            Linear("queries_and_patch_key", width, head.width, 3, bias=True),
            Linear("subpatch_key", features, head.width, bias=True),
            Linear("location", width, head.locations[0] * head.locations[1], bias=True),
            Linear("subpatch_embedding", features, width, bias=True),
        ]
        yield "point head", sum(one.parameters for one in linears) + width + head.width


def _inputs(form: Format | None) -> str:
    """What the tensor cores multiply: weights of four bits are made 16 before."""
    return form.name if form is not None and form.quantises_inputs else SIXTEEN


def _moved(linear: Linear, rows: int) -> float:
    """Values that go in and out."""
    return float(linear.count * rows * (linear.inputs + linear.outputs))
