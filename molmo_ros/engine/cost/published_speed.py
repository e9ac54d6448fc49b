# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Speeds that others measured on named devices, of models whose shape is known: what computed floors are held against.

Each stands beside the floor that `pass_cost` computes for the same model on the same device; from these come the shares
of the floors that an estimate takes for likely, and its error.
"""

from __future__ import annotations

from dataclasses import dataclass

from molmo_ros.engine.cost.device import DEVICES, SIXTEEN, Device
from molmo_ros.engine.cost.pass_cost import PassCost, decoder_pass
from molmo_ros.engine.cost.released_shape import released_shape
from molmo_ros.molmo.catalog.registry import registry
from molmo_ros.molmo.config import DecoderConfig, MolmoConfig

MIDDLE = 400
"""Slots of the cache that decoding is computed with; the sources' answers begin after some 300 tokens."""
EDGE_LLM = "benchmarks of TensorRT Edge-LLM"
QWEN3_4B = {
    "width": 2560,
    "layers": 36,
    "heads": 32,
    "kv_heads": 8,
    "head_dim": 128,
    "mlp_width": 9728,
    "vocab": 151936,
    "qk_norm": "head",
}
LLAMA_8B = {
    "width": 4096,
    "layers": 32,
    "heads": 32,
    "kv_heads": 8,
    "head_dim": 128,
    "mlp_width": 14336,
    "vocab": 128256,
    "qk_norm": "none",
}
SHAPES = {"Qwen3-VL-4B": QWEN3_4B, "Qwen3-4B": QWEN3_4B, "Llama-3.1-8B": LLAMA_8B}
"""Decoders of models that are not ours; Molmo2-4B's is Qwen3-4B's."""


@dataclass(frozen=True)
class PublishedSpeed:
    """One measurement of a single stream.

    Attributes:
        model: A key of `SHAPES`, or a released Molmo by its name here.
        device: A key of `DEVICES`.
        precision: Of the language model's weights.
        tokens_per_second: Decoded.
        source: Where it stands.
        prefill: (tokens, seconds) of a prompt; None where it is not given.
        alike: Whether its output head has 16 bits, as ours: else it may be faster than the floor.
    """

    model: str
    device: str
    precision: str
    tokens_per_second: float
    source: str
    prefill: tuple[int, float] | None = None
    alike: bool = True

    @property
    def config(self) -> MolmoConfig:
        """The shape; of another's model only the decoder is its own."""
        released = registry()["molmo2-4b" if self.model in SHAPES else self.model]
        config = released_shape(released)
        if self.model not in SHAPES:
            return config
        decoder = DecoderConfig(
            **SHAPES[self.model],  # type: ignore[arg-type]
            extra_vocab=0,
            qkv_bias=False,
            norm_after=False,
            norm_eps=1e-6,
            rope_theta=1e6,
            max_positions=4096,
        )
        return MolmoConfig(config.family, config.vision, config.connector, decoder, image_block=False)

    @property
    def on(self) -> Device:
        """The device."""
        return DEVICES[self.device]

    @property
    def floor(self) -> float:
        """Tokens per second that the device cannot exceed."""
        return 1 / self._pass(1, MIDDLE).seconds(self.on)

    @property
    def decoding_share(self) -> float:
        """Of the floor that was reached."""
        return self.tokens_per_second / self.floor

    @property
    def prefill_share(self) -> float | None:
        """Of the rate of 16-bit products that a prefill reached; None where there is none."""
        if self.prefill is None:
            return None
        tokens, seconds = self.prefill
        return sum(self._pass(tokens, tokens).operations.values()) / seconds / self.on.rate(SIXTEEN)

    def _pass(self, queries: int, keys: int) -> PassCost:
        return decoder_pass(self.config, self.precision, queries, keys)


PUBLISHED = (
    PublishedSpeed("molmo-7b-d", "thor", "bf16", 14.0, "vLLM on Jetson AGX Thor"),
    PublishedSpeed("Qwen3-VL-4B", "agx-orin", "int4", 52, f"{EDGE_LLM} 0.9", (292, 0.124)),
    PublishedSpeed("Qwen3-VL-4B", "thor", "int4", 79, f"{EDGE_LLM} 0.9"),
    PublishedSpeed("Qwen3-4B", "thor", "int4", 76.4, f"{EDGE_LLM} 0.4", (364, 0.1162)),
    PublishedSpeed("Llama-3.1-8B", "thor", "int4", 50.8, f"{EDGE_LLM} 0.4", (383, 0.2155)),
    PublishedSpeed("Llama-3.1-8B", "thor", "nvfp4", 54.9, f"{EDGE_LLM} 0.4", (383, 0.0310), alike=False),
)


def decoding_shares() -> list[float]:
    """Of the floors, what decoding reached, rising."""
    return sorted(one.decoding_share for one in PUBLISHED if one.alike)


def prefill_shares() -> list[float]:
    """Of the rates of products, what prefills reached, rising."""
    return sorted(one.prefill_share for one in PUBLISHED if one.prefill_share is not None)
