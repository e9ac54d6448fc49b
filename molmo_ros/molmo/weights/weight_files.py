"""The safetensors files of a checkpoint folder: what their headers and the index say, before a weight is read.

A file is eight bytes (the header's length, little endian), the header (JSON: name to dtype, shape and place), then
the data. Sources: the safetensors format; model.safetensors.index.json as transformers writes it.
"""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from os.path import isfile
from pathlib import Path, PurePosixPath
from typing import Any

from molmo_ros.molmo.errors import CheckpointError

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
LARGEST_HEADER = 100_000_000
LISTED = 12


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies.

    Attributes:
        name: Its name in the file.
        path: The file.
        dtype: As safetensors names it: "F32", "BF16", …
        shape: Its shape.
        begin: Its place in the file's data [bytes]; only the order of places matters.
        size: Bytes.
    """

    name: str
    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    size: int


def stored_tensors(folder: str | Path) -> dict[str, StoredTensor]:
    """Every tensor of a folder, by name, after all that can be checked without reading a weight.

    Args:
        folder: Holds model.safetensors, or model.safetensors.index.json and its shards.

    Raises:
        CheckpointError: There are no such files, one is damaged or missing, or index and shards disagree.
    """
    folder = Path(folder)
    if (folder / SINGLE).is_file():
        return {tensor.name: tensor for tensor in read_header(folder / SINGLE)}
    if not (folder / INDEX).is_file():
        raise CheckpointError(f"{folder} has neither {SINGLE} nor {INDEX}{_instead(folder)}")
    weight_map, total_size = _read_index(folder / INDEX)
    shards = {name: read_header(folder / name) for name in sorted(set(weight_map.values()))}
    _compare_with_index(folder, weight_map, shards)
    found = {tensor.name: tensor for tensors in shards.values() for tensor in tensors}
    stored_size = sum(tensor.size for tensor in found.values())
    if total_size not in (None, stored_size):
        # Converters copy the number of the original; each shard's own header has been checked by now.
        warnings.warn(
            f"{folder / INDEX} speaks of {total_size} bytes of weights; its shards hold {stored_size}",
            stacklevel=2,
        )
    return found


def read_header(path: Path) -> list[StoredTensor]:
    """The tensors of one safetensors file.

    Raises:
        CheckpointError: The file is truncated, damaged, something else, or meant for another framework.
    """
    try:
        size, raw, data_begin = _parse_header(path)
        metadata = raw.pop("__metadata__", None) or {}
        tensors = [_tensor(path, name, entry) for name, entry in raw.items()]
        expected = data_begin + max((tensor.begin + tensor.size for tensor in tensors), default=0)
        if size != expected:
            kind = "truncated" if size < expected else "with something appended"
            raise ValueError(f"found {size} bytes, expected {expected} from its header: the file is {kind}")
        made_for = metadata.get("format", "pt")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error
    if made_for != "pt":
        raise CheckpointError(
            f"{path} was written for the framework {made_for!r}; expected 'pt' (PyTorch), as the hub's files are"
        )
    return tensors


def listed(items: Iterable[str]) -> str:
    """Items for an error message; a long list ends in a count."""
    items = list(items)
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more


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
    dtype, shape = str(entry["dtype"]), tuple(int(side) for side in entry["shape"])
    begin, end = (int(place) for place in entry["data_offsets"])
    expected = prod(shape) * ITEM_BYTES.get(dtype, 0)
    if (
        not 0 <= begin <= end
        or min(shape, default=0) < 0
        or (dtype in ITEM_BYTES and end - begin != expected)
    ):
        raise ValueError(
            f"its header gives {name} {end - begin} bytes, {dtype} {list(shape)} needs {expected}"
        )
    return StoredTensor(name, path, dtype, shape, begin, end - begin)


def _instead(folder: Path) -> str:
    """What else lies there, where that explains it."""
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        return (
            f", only {listed(pickles)}: pickled weights are not read, because a pickle can run any code; "
            "expected safetensors, which the hub has of every Molmo"
        )
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    return f" for the files {listed(others)}" if others else ""


def _read_index(path: Path) -> tuple[dict[str, str], float | None]:
    """Shard by tensor, and the bytes of all tensors as far as the index tells."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        weight_map = raw["weight_map"]
        if not isinstance(weight_map, dict) or not weight_map:
            raise TypeError(f"weight_map is {weight_map!r}")
        total_size = (raw.get("metadata") or {}).get("total_size")
        if not all(isinstance(shard, str) for shard in weight_map.values()):
            raise TypeError("a shard's name is not text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} holds no weight map: {error!r}") from error
    shards: dict[str, list[str]] = defaultdict(list)
    for name, shard in weight_map.items():
        shards[shard].append(name)
    for shard in shards:
        if PurePosixPath(shard).is_absolute() or ".." in PurePosixPath(shard).parts:
            raise CheckpointError(f"{path} lists a shard outside of its folder: {shard!r}")
    # Not Path.is_file, which raises for names that no file can have.
    missing = [shard for shard in sorted(shards) if not isfile(path.parent / shard)]
    if missing:
        held = (
            f"{shard:.200} ({len(shards[shard])} tensors: {listed(sorted(shards[shard]))})"
            for shard in missing
        )
        raise CheckpointError(f"{path} lists shards that are not there: {'; '.join(held)}")
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
            wrong.append(f"{name} (expected in {shard}, found nowhere)")
        elif holders[name] != [shard]:
            wrong.append(f"{name} (expected in {shard}, found in {holders[name][0]})")
    if wrong:
        raise CheckpointError(f"{folder / INDEX} does not fit its shards: {listed(wrong)}")
