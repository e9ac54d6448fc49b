# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The safetensors files of a checkpoint folder: what their headers and the index say, before a weight is read.

A file is eight bytes (the header's length, little endian), the header (JSON: name to dtype, shape and place), then
the data. Sources: the safetensors format; model.safetensors.index.json as transformers writes it.
"""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from math import prod
from os.path import isfile
from pathlib import Path, PurePosixPath
from typing import Any

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families.packed_formats import CURE
from molmo_ros.molmo.weights.stored_tensor import StoredTensor

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ITEM_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
LFS_POINTER = b"version https://git-lfs"
LARGEST_HEADER = 16_000_000
"""Bytes of a header or an index; those of the largest released model have 0.5 MB."""
MOST_AXES = 8
LISTED = 12
LONGEST_NAME = 200


def stored_tensors(folder: str | Path) -> dict[str, StoredTensor]:
    """Every tensor of a folder, by name, after all that can be checked without reading a weight.

    Args:
        folder: Holds model.safetensors, or model.safetensors.index.json and its shards.

    Raises:
        CheckpointError: There are no such files, one is damaged or missing, or index and shards disagree.
    """
    folder = Path(folder)
    single, index = (folder / SINGLE).is_file(), (folder / INDEX).is_file()
    if not (single or index):
        raise CheckpointError(f"{folder} has neither {SINGLE} nor {INDEX}{_instead(folder)}")
    if not index:
        return {tensor.name: tensor for tensor in read_header(folder / SINGLE)}
    weight_map, total_size = _read_index(folder / INDEX)
    if single and SINGLE not in weight_map.values():
        names = sorted(set(weight_map.values()))
        raise CheckpointError(
            f"{folder} holds two sets of weights: {SINGLE}, and the shards of {INDEX} ({listed(names)}); nothing "
            f"tells which one is meant. Move one of them away: {SINGLE}, or {INDEX} with its shards"
        )
    shards = {name: read_header(folder / name) for name in sorted(set(weight_map.values()))}
    _compare_with_index(folder, weight_map, shards)
    found = {tensor.name: tensor for tensors in shards.values() for tensor in tensors}
    stored_size = sum({(tensor.path, tensor.key): tensor.size for tensor in found.values()}.values())
    if total_size not in (None, stored_size):
        # Converters copy the number of the original; each shard's own header has been checked by now.
        warnings.warn(
            f"{folder / INDEX} speaks of {total_size} bytes of weights; its shards hold {stored_size}",
            stacklevel=2,
        )
    return found


def read_header(path: Path) -> list[StoredTensor]:
    """The tensors of one safetensors file.

    Where a file keeps a tensor once that a model has twice, its metadata says so (safetensors' `save_model`:
    {"lm_head.weight": "model.transformer.wte.embedding"}); both names are found then.

    Raises:
        CheckpointError: The file is truncated, damaged, something else, or meant for another framework.
    """
    try:
        size, raw, data_begin = _parse_header(path)
        metadata = raw.pop("__metadata__", None) or {}
        tensors = [_tensor(path, name, entry) for name, entry in raw.items()]
        expected = data_begin + _end(tensors)
        if size != expected:
            kind = "truncated" if size < expected else "with something appended"
            raise ValueError(f"found {size} bytes, expected {expected} from its header: the file is {kind}")
        made_for = metadata.get("format", "pt")
        known = {tensor.name: tensor for tensor in tensors}
        shared = [
            replace(known[kept], name=name)
            for name, kept in metadata.items()
            if isinstance(kept, str) and kept in known and name not in known
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error
    if made_for != "pt":
        raise CheckpointError(
            f"{path} was written for the framework {made_for!r:.80}; expected 'pt' (PyTorch), as the hub's files are"
        )
    return tensors + shared


def listed(items: Iterable[str]) -> str:
    """Items for an error message; a long list ends in a count, and a long name is cut."""
    items = list(items)
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(f"{item:.{LONGEST_NAME}}" for item in items[:LISTED]) + more


def _parse_header(path: Path) -> tuple[int, dict[str, Any], int]:
    """Size of the file, its header, and where its data begins [bytes]."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(len(LFS_POINTER))
        if start == LFS_POINTER:
            raise ValueError("it is a Git LFS pointer of the real file; run `git lfs pull` in the folder")
        if len(start) < 8:
            raise ValueError(f"found {size} bytes, expected at least 8: the file is truncated")
        length = int.from_bytes(start[:8], "little")
        if length > LARGEST_HEADER:
            raise ValueError(f"its first 8 bytes {start[:8]!r} are no header's length")
        if 8 + length > size:
            raise ValueError(f"found {size} bytes, expected {8 + length} for its header alone: truncated")
        file.seek(8)
        raw = json.loads(file.read(length))
    if not isinstance(raw, dict):
        raise ValueError(f"its header is a {type(raw).__name__}, not an object")
    return size, raw, 8 + length


def _tensor(path: Path, name: str, entry: dict[str, Any]) -> StoredTensor:
    dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    numbers = (*shape, begin, end)
    if (
        not isinstance(dtype, str)
        or len(shape) > MOST_AXES
        or any(type(one) is not int or not 0 <= one < 2**63 for one in numbers)
    ):
        raise ValueError(f"the entry of {name:.200} in its header is {entry!r:.200}")
    expected = prod(shape) * ITEM_BYTES.get(dtype, 0)
    if begin > end or (dtype in ITEM_BYTES and end - begin != expected):
        raise ValueError(
            f"its header gives {name:.200} {end - begin} bytes, {dtype} {list(shape)} needs {expected}"
        )
    return StoredTensor(name, path, dtype[:40], shape, begin, end - begin, name)


def _end(tensors: Iterable[StoredTensor]) -> int:
    """Where the data ends: each tensor begins where another ends, as the format demands."""
    end = 0
    for tensor in sorted(tensors, key=lambda one: (one.begin, one.size)):
        if tensor.begin != end:
            kind = "overlaps another" if tensor.begin < end else "leaves a hole before it"
            raise ValueError(f"its header lets {tensor.name:.200} begin at byte {tensor.begin}: it {kind}")
        end += tensor.size
    return end


def _instead(folder: Path) -> str:
    """What else lies there, where that explains it."""
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        return (
            f", only {listed(pickles)}: pickled weights are not read, because a pickle can run any code; "
            "expected safetensors, which the hub has of every Molmo"
        )
    if packed := sorted(path.name for path in folder.glob("*.gguf")):
        return f", only {listed(packed)}: GGUF (llama.cpp) is packed into few bits; {CURE}"
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    return f" for the files {listed(others)}" if others else ""


def _read_index(path: Path) -> tuple[dict[str, str], float | None]:
    """Shard by tensor, and the bytes of all tensors as far as the index tells."""
    try:
        if (size := path.stat().st_size) > LARGEST_HEADER:
            raise ValueError(f"{size} bytes are too many for an index")
        raw = json.loads(path.read_text(encoding="utf-8"))
        weight_map = raw["weight_map"]
        if not isinstance(weight_map, dict) or not weight_map:
            raise TypeError(f"weight_map is {weight_map!r:.200}")
        total_size = (raw.get("metadata") or {}).get("total_size")
        if not all(isinstance(shard, str) for shard in weight_map.values()):
            raise TypeError("a shard's name is not text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} holds no weight map: {error!r:.200}") from error
    shards: dict[str, list[str]] = defaultdict(list)
    for name, shard in weight_map.items():
        shards[shard].append(name)
    for shard in shards:
        if PurePosixPath(shard).is_absolute() or ".." in PurePosixPath(shard).parts:
            raise CheckpointError(f"{path} lists a shard outside of its folder: {shard!r:.200}")
    # Not Path.is_file, which raises for names that no file can have.
    missing = [shard for shard in sorted(shards) if not isfile(path.parent / shard)]
    if missing:
        held = [
            f"{shard:.200} ({len(shards[shard])} tensors: {listed(sorted(shards[shard]))})"
            for shard in missing[:LISTED]
        ]
        more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
        listed_held = "; ".join(held) + more
        raise CheckpointError(f"{path} lists shards that are not there: {listed_held}")
    return weight_map, total_size if isinstance(total_size, int | float) else None


def _compare_with_index(
    folder: Path, weight_map: dict[str, str], shards: dict[str, list[StoredTensor]]
) -> None:
    """Each tensor lies in one shard, the one that the index says."""
    holders: dict[str, list[str]] = defaultdict(list)
    for shard, tensors in shards.items():
        for tensor in tensors:
            holders[tensor.name].append(shard)
    if repeated := sorted(name for name, shards_of in holders.items() if len(shards_of) > 1):
        raise CheckpointError(f"the shards of {folder} hold tensors twice: {listed(repeated)}")
    wrong = []
    for name, shard in sorted(weight_map.items()):
        if name not in holders:
            wrong.append(f"{name:.80} (expected in {shard:.80}, found nowhere)")
        elif holders[name] != [shard]:
            wrong.append(f"{name:.80} (expected in {shard:.80}, found in {holders[name][0]:.80})")
    if wrong:
        raise CheckpointError(f"{folder / INDEX} does not fit its shards: {listed(wrong)}")
