# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Weights in few bits, as other programs pack them: this package reads 16 and 32 bits, and packs by itself.

What each looks like: `quantization_config` of config.json as transformers writes it, and what lies beside the weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from molmo_ros.molmo.errors import UnsupportedModelError

METHODS = {
    "bitsandbytes": "bitsandbytes",
    "gptq": "GPTQ",
    "awq": "AWQ",
    "auto-round": "AutoRound",
    "fp8": "FP8",
    "fbgemm_fp8": "FBGEMM FP8",
    "compressed-tensors": "compressed-tensors",
    "modelopt": "NVIDIA ModelOpt",
    "torchao": "torchao",
    "quanto": "Quanto",
    "hqq": "HQQ",
    "mxfp4": "MXFP4",
    "eetq": "EETQ",
    "aqlm": "AQLM",
    "mlx": "MLX",
}
"""How to say the methods of `quant_method`; any other is said as it is written."""
SETTINGS = ("quantization_config", "compression_config", "quantization")
"""Where config.json says it: transformers, older compressed-tensors, MLX."""
LOOKS = (
    (re.compile(r"\.(quant_state\.\w+|absmax|quant_map|nested_absmax|SCB)$"), "bitsandbytes"),
    (re.compile(r"\.g_idx$"), "gptq"),
    (re.compile(r"\.qweight$"), "awq"),
    (re.compile(r"\.weight_packed$"), "compressed-tensors"),
    (re.compile(r"\.weight_scale_2$"), "modelopt"),
    (re.compile(r"\.(weight_scale|weight_scale_inv|input_scale)$"), "fp8"),
    (re.compile(r"\.W_q$"), "hqq"),
    (re.compile(r"_(blocks|scales)$"), "mxfp4"),
    (re.compile(r"\.scales$"), "mlx"),
)
"""Names beside or in place of a weight, the surest first."""


def refuse_packed_config(raw: Mapping[str, Any]) -> None:
    """Refuses a config.json that says that the weights are packed.

    Raises:
        UnsupportedModelError: Names the method, and what to do.
    """
    text = raw.get("text_config")
    for part in (raw, text if isinstance(text, dict) else {}):
        for key in SETTINGS:
            if (settings := part.get(key)) is not None:
                raise UnsupportedModelError(
                    f"{key} says that the weights are packed by {_method(key, settings)}; {CURE}. If they are in 16 "
                    f"or 32 bits all the same, delete {key} from config.json"
                )


def packed_method(names: Iterable[str], dtypes: Iterable[str]) -> str | None:
    """By which method tensors are packed, as far as names and dtypes tell; None where they do not look packed."""
    names = list(names)
    for pattern, method in LOOKS:
        if any(pattern.search(name) for name in names):
            return METHODS[method]
    return METHODS["fp8"] if any(dtype.startswith("F8_") for dtype in dtypes) else None


CURE = (
    "this package reads weights in 16 or 32 bits only. Take the 16-bit model that this one was made from, and make it "
    "small here: molmo-ros build MODEL --precision int4"
)


def _method(key: str, settings: object) -> str:
    """What to call the method of some settings, with its bits where they are told."""
    if not isinstance(settings, Mapping):
        return f"a method that is not named ({settings!r:.80})"
    default = (
        "mlx" if key == "quantization" else "compressed-tensors" if key == "compression_config" else None
    )
    method = settings.get("quant_method", settings.get("quant_type", default))
    if method is None and any(str(setting).startswith(("load_in_", "bnb_")) for setting in settings):
        method = "bitsandbytes"
    name = METHODS.get(str(method), f"{method!s:.80}") if method else "a method that is not named"
    bits = settings.get("bits", settings.get("w_bit"))
    for width in (4, 8):
        if settings.get(f"load_in_{width}bit") is True:
            bits = width
    return f"{name} in {bits} bits" if type(bits) is int else name
