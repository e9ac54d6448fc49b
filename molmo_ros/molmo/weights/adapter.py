# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""LoRA adapters in PEFT's format: a small file of changes to a base model, merged while that is read.

A folder with adapter_config.json and adapter_model.safetensors; its tensors are `base_model.model.MODULE.lora_A.weight`
[rank, in] and `.lora_B.weight` [out, rank]. Source: PEFT's documentation of its checkpoint format and of LoraConfig.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molmo_ros.molmo.catalog.model_folder import ADAPTER, adapter_files
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError
from molmo_ros.molmo.families.table import family
from molmo_ros.molmo.families.transformers_names import Rows
from molmo_ros.molmo.json_file import read_json
from molmo_ros.molmo.weights.stored_names import WRAPPERS
from molmo_ros.molmo.weights.stored_tensor import ReadRows, RowUpdate, StoredTensor
from molmo_ros.molmo.weights.weight_files import listed, read_header

FLOATS = ("F64", "F32", "F16", "BF16")
LORA = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_(?:embedding_)?[AB]|lora_magnitude_vector)"
    r"(?:\.(?!(?:weight|bias)$)[^.]+)?(?:\.(?P<kind>weight|bias))?"
)
"""A tensor of LoRA: its module, its part, perhaps the adapter's own name, weight or bias."""
SAVED = re.compile(r"\.modules_to_save(?:\.[^.]+)?(?=\.(?:weight|bias)$)")
INITIAL = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to begin that change the base model, too: its own weights are not those that the adapter goes with."""
OTHER_SUMS = (
    *(
        "use_qalora",
        "use_bdlora",
        "lora_bias",
        "layer_replication",
        "trainable_token_indices",
        "target_parameters",
    ),
    *("alora_invocation_tokens", "arrow_config", "kasa_config", "velora_config", "monteclora_config"),
)
"""Settings with which the sum is another than W + B A."""
MERGE = "merge it with PEFT (merge_and_unload, save_pretrained) and load that folder"
PATTERN = re.compile(r"\^?(?:[\w.\-|()$\[\]]|\\[.dw]|[*+](?![*+?)]*\)))*")
MOST_REPEATS = 2


@dataclass(frozen=True)
class Replacement(RowUpdate):
    """The adapter's own rows: a module that was trained as a whole, or a bias."""

    tensor: StoredTensor

    def apply(self, target: Tensor, first: int, read: ReadRows) -> None:
        begin = first - self.first + self.own_first
        target.copy_(read(self.tensor, begin, begin + len(target)))


@dataclass(frozen=True)
class LowRank(RowUpdate):
    """LoRA (arXiv:2106.09685): W + scaling * B A, computed in float32.

    Attributes:
        a: [rank, columns]; of an embedding [rank, rows].
        b: [rows, rank]; of an embedding [columns, rank].
        scaling: Of their product.
        embedding: Whether W is a table, to which the product is added transposed.
        magnitude: [rows], of DoRA (arXiv:2402.09353): each row of the sum gets this length. None for plain LoRA.
    """

    a: StoredTensor
    b: StoredTensor
    scaling: float
    embedding: bool = False
    magnitude: StoredTensor | None = None

    def apply(self, target: Tensor, first: int, read: ReadRows) -> None:
        begin = first - self.first + self.own_first
        end = begin + len(target)
        a = read(self.a, 0, self.a.shape[0]).float()
        if self.embedding:
            b = read(self.b, 0, self.b.shape[0]).float()
            target.addmm_(a[:, begin:end].T, b.T, alpha=self.scaling)
            return
        target.addmm_(read(self.b, begin, end).float(), a, alpha=self.scaling)
        if self.magnitude is not None:
            lengths = torch.linalg.vector_norm(target, dim=1)
            target.mul_((read(self.magnitude, begin, end).float() / lengths).unsqueeze(1))


def adapted(folder: Path, config: MolmoConfig, stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """The tensors of a base model as an adapter changes them.

    Args:
        folder: The adapter's.
        config: The base model's.
        stored: The base model's tensors, by the hub's names.

    Raises:
        CheckpointError: The adapter is of another kind, damaged, or does not fit the model; the message names its
            tensors at fault.
    """
    settings = _settings(folder)
    tables = dict(stored)
    own_family = family(config.family)
    names = own_family.tensor_names
    head, base = names.name("decoder.head.weight"), names.name("decoder.embedding.base")
    if head not in tables and base in tables:
        # Where the head is the embedding itself, an adapter of the head parts them.
        tables[head] = replace(tables[base], name=head)
    places: dict[str, list[Rows]] = defaultdict(list)
    shapes = {name: tensor.shape for name, tensor in tables.items()}
    for name, shape in shapes.items():
        places[name].append(Rows(name, 0, 0, shape[0] if shape else 0))
    for name, rows in own_family.other_names(config, shapes) if own_family.other_names else ():
        if name not in shapes:
            places[name].append(rows)
    updates = _updates(folder, settings, tables, places)
    changed = {name: replace(tables[name], updates=tuple(found)) for name, found in updates.items()}
    return {**stored, **changed}


def _settings(folder: Path) -> dict[str, Any]:
    """adapter_config.json, after everything in it that would change the sum.

    Raises:
        CheckpointError: It is of another method, or a value is wrong.
    """
    path = folder / ADAPTER
    settings = read_json(path)
    if str(kind := settings.get("peft_type")).upper() != "LORA":
        raise UnsupportedModelError(f"{path}: peft_type is {kind!r:.80}; only LORA is supported: {MERGE}")
    for key in OTHER_SUMS:
        if settings.get(key):
            raise UnsupportedModelError(
                f"{path}: {key} is {settings[key]!r:.80}, which is not supported: {MERGE}"
            )
    begun = settings.get("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(INITIAL):
        raise UnsupportedModelError(
            f"{path}: init_lora_weights is {begun!r:.80}, which changes the base model, too: {MERGE}"
        )
    for key in ("r", "lora_alpha"):
        _positive(path, key, settings.get(key))
    for key in ("rank_pattern", "alpha_pattern"):
        patterns = settings.get(key) or {}
        if not isinstance(patterns, dict) or len(patterns) > 4096:
            raise CheckpointError(f"{path}: {key} is {patterns!r:.80}, not an object of numbers by module")
        for pattern, number in patterns.items():
            _positive(path, f"{key} of {pattern!r:.80}", number)
            _check_pattern(path, key, pattern)
    return settings


def _positive(path: Path, key: str, value: Any) -> None:
    if type(value) not in (int, float) or not 0 < value < 2**24:
        raise CheckpointError(f"{path}: {key} is {value!r:.80}, not a number above 0")


def _check_pattern(path: Path, key: str, pattern: str) -> None:
    """Refuses expressions whose search could take for ever, which any name of a module can be told without."""
    repeats = pattern.count("*") + pattern.count("+")
    sound = len(pattern) <= 256 and repeats <= MOST_REPEATS and PATTERN.fullmatch(pattern)
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        sound = None
    if not sound or re.search(r"\)[*+]", pattern):
        raise CheckpointError(
            f"{path}: {key} has {pattern!r:.80}, not the name of a module or a simple pattern of it"
        )


def _updates(
    folder: Path,
    settings: Mapping[str, Any],
    tables: Mapping[str, StoredTensor],
    places: Mapping[str, list[Rows]],
) -> dict[str, list[RowUpdate]]:
    """What happens to each of the hub's tensors: replacements first, then sums."""
    path = adapter_files(folder)[1]
    pairs: dict[tuple[str, str], dict[str, StoredTensor]] = defaultdict(dict)
    replaced: dict[str, list[RowUpdate]] = defaultdict(list)
    unknown, wrong = [], []
    for tensor in read_header(path):
        if tensor.dtype not in FLOATS:
            wrong.append(f"{tensor.name:.200} ({tensor.dtype}; expected one of {', '.join(FLOATS)})")
            continue
        found = LORA.fullmatch(tensor.name)
        if found and found["kind"] != "bias":
            target = _resolve(f"{found['module']}.weight", places)
            pairs[target or "", found["module"]][found["part"]] = tensor
        else:
            target = _resolve(SAVED.sub("", tensor.name), places) if not found else None
            for rows in places[target] if target else ():
                if _fits(tensor, target or "", tables, places):
                    replaced[rows.name].append(Replacement(rows.first, rows.rows, rows.own_first, tensor))
                else:
                    wrong.append(_shape_text(tensor, tables[rows.name]))
        if target is None:
            unknown.append(tensor.name)
    if unknown:
        raise CheckpointError(f"{path} changes what the base model does not have: {listed(sorted(unknown))}")
    if wrong:
        raise CheckpointError(f"{path} does not fit the base model: {listed(wrong)}")
    sums: dict[str, list[RowUpdate]] = defaultdict(list)
    for (target, module), parts in sorted(pairs.items()):
        made = _low_rank(path, settings, module, parts)
        for rows in places[target]:
            shape = tables[rows.name].shape
            whole = max(rows.own_first + rows.rows for rows in places[target])
            lines, columns = _sides(made)
            if len(shape) != 2 or (lines, columns) != (whole, shape[1]):
                wrong.append(f"{module:.200} (makes [{lines}, {columns}], expected [{whole}, {shape[-1]}])")
                continue
            sums[rows.name].append(replace(made, first=rows.first, rows=rows.rows, own_first=rows.own_first))
    if wrong:
        raise CheckpointError(f"{path} does not fit the base model: {listed(wrong)}")
    return {name: replaced.get(name, []) + sums.get(name, []) for name in replaced.keys() | sums.keys()}


def _resolve(name: str, places: Mapping[str, list[Rows]]) -> str | None:
    """The known name that a tensor's ends in: programs put their own parts before it."""
    parts = [part for part in name.split(".") if part not in WRAPPERS]
    ends = (".".join(parts[i:]) for i in range(min(len(parts), 16)))
    return next((end for end in ends if end in places), None)


def _fits(
    tensor: StoredTensor, name: str, tables: Mapping[str, StoredTensor], places: Mapping[str, list[Rows]]
) -> bool:
    whole = max(rows.own_first + rows.rows for rows in places[name])
    return all(tensor.shape == (whole, *tables[rows.name].shape[1:]) for rows in places[name])


def _shape_text(tensor: StoredTensor, wanted: StoredTensor) -> str:
    return f"{tensor.name:.200} (found {list(tensor.shape)}, expected rows of {list(wanted.shape)})"


def _low_rank(
    path: Path, settings: Mapping[str, Any], module: str, parts: Mapping[str, StoredTensor]
) -> LowRank:
    """The sum of one module; where its rows go is not known yet."""
    embedding = "lora_embedding_A" in parts
    kind = "lora_embedding_" if embedding else "lora_"
    a, b, magnitude = parts.get(f"{kind}A"), parts.get(f"{kind}B"), parts.get("lora_magnitude_vector")
    if a is None or b is None or len(parts) > 2 + (magnitude is not None):
        raise CheckpointError(
            f"{path}: {module:.200} has {listed(sorted(parts))}, not one lora_A with one lora_B"
        )
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
        raise CheckpointError(f"{path}: {module:.200} has lora_A {list(a.shape)} and lora_B {list(b.shape)}")
    name = ".".join(part for part in module.split(".") if part not in WRAPPERS).removeprefix(
        "base_model.model."
    )
    rank = _by_pattern(settings.get("rank_pattern") or {}, name, settings["r"])
    if a.shape[0] != rank:
        raise CheckpointError(f"{path}: {module:.200} has rank {a.shape[0]}; {ADAPTER} says {rank}")
    alpha = _by_pattern(settings.get("alpha_pattern") or {}, name, settings["lora_alpha"])
    if (magnitude is not None) != bool(settings.get("use_dora")):
        raise CheckpointError(
            f"{path}: use_dora is {settings.get('use_dora')!r:.80}, which {module:.200} contradicts"
        )
    if magnitude is not None and (embedding or magnitude.shape != b.shape[:1]):
        raise UnsupportedModelError(f"{path}: DoRA of {module:.200} is not supported: {MERGE}")
    scaling = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    return LowRank(0, 0, 0, a, b, scaling, embedding, magnitude)


def _sides(made: LowRank) -> tuple[int, int]:
    """Rows and columns of the weight that a sum is for."""
    if made.embedding:
        return made.a.shape[1], made.b.shape[0]
    return made.b.shape[0], made.a.shape[1]


def _by_pattern(patterns: Mapping[str, float], module: str, default: float) -> float:
    """The number of the first pattern that is the module's name or its end, as PEFT takes them."""
    found: Iterable[float] = (
        number for pattern, number in patterns.items() if re.match(rf"(.*\.)?({pattern})$", module[:1024])
    )
    return next(iter(found), default)
