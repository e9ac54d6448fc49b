"""Hugging Face checkpoint folders: config.json plus safetensors, under the hub's tensor names.

Weights are read through memory maps and converted one tensor at a time into a model built on the meta device,
so that loading needs little more memory than the model itself. No code from the folder is run.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families import family
from molmo_ros.molmo.model import MolmoModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TABLES = ("decoder.embedding.base", "decoder.embedding.extra")
STORED = ("F64", "F32", "F16", "BF16")
LISTED = 12


def torch_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """The torch dtype of a name.

    Raises:
        CheckpointError: No such dtype among `DTYPES`.
    """
    if isinstance(dtype, torch.dtype) and dtype in DTYPES.values():
        return dtype
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    raise CheckpointError(f"dtype {dtype!r} is not supported; it must be one of {', '.join(DTYPES)}")


def load_checkpoint(
    folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    attention: str = "sdpa",
    tie_equal_head: bool = False,
) -> MolmoModel:
    """Builds the model of a checkpoint folder.

    Args:
        folder: Holds config.json and model.safetensors, or model.safetensors.index.json and its shards.
        device: Where the weights go.
        dtype: What they become: "float32", "bfloat16" or "float16".
        attention: See `MolmoModel`.
        tie_equal_head: Whether to share the memory of an output head that equals the base embedding, as
            Molmo2-4B stores it twice. Leave it off for training.

    Returns:
        The model in evaluation mode.

    Raises:
        CheckpointError: The folder or one of its files is missing or damaged, the model is not supported, or
            the tensors do not fit the config; the message names the tensors.
    """
    folder, target = Path(folder), torch_dtype(dtype)
    config = MolmoConfig.from_folder(folder)
    with torch.device("meta"):
        model = MolmoModel(config, attention)
    parameters = model.state_dict()
    names = family(config.family).tensor_names
    pieces = {own: names.pieces(own, tuple(value.shape)) for own, value in parameters.items()}
    wanted = {piece.name: piece.shape for parts in pieces.values() for piece in parts}
    with ExitStack() as stack:
        files = {path: _open(stack, path) for path in _weight_files(folder)}
        where = {name: path for path, file in files.items() for name in file.keys()}  # noqa: SIM118
        if repeated := _repeated(files):
            raise CheckpointError(f"the shards of {folder} hold tensors twice: {_list(repeated)}")
        slices = {name: files[path].get_slice(name) for name, path in where.items()}
        shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
        dtypes = {name: str(part.get_dtype()) for name, part in slices.items()}
        tables = _cut_elsewhere(wanted, shapes)
        _compare(folder, config, wanted, shapes | {name: wanted[name] for name in tables}, dtypes)
        state = {
            own: torch.empty(value.shape, dtype=target, device=device) for own, value in parameters.items()
        }
        for own, parts in pieces.items():
            for piece in parts:
                if piece.name not in tables:
                    state[own][piece.where] = _read(files, where, piece.name).to(device, target)
        if tables:
            whole = torch.cat([_read(files, where, name) for name in tables])
            for own, rows in zip(TABLES, whole.split([wanted[name][0] for name in tables]), strict=True):
                state[own].copy_(rows)
    model.load_state_dict(state, assign=True)
    head, base = model.decoder.head, model.decoder.embedding.base
    if tie_equal_head and head is not None and torch.equal(head.weight, base):
        head.weight = base
    return model.eval()


def save_checkpoint(model: MolmoModel, folder: str | Path, dtype: str | torch.dtype = "float32") -> None:
    """Writes config.json and model.safetensors, with the hub's names; transformers reads the Molmo2 ones too.

    Args:
        model: What to write.
        folder: Where; made if it does not exist. Other files in it are left alone.
        dtype: What the stored weights are.
    """
    folder, target = Path(folder), torch_dtype(dtype)
    folder.mkdir(parents=True, exist_ok=True)
    own_family = family(model.config.family)
    tensors = {
        piece.name: value.detach()[piece.where].to("cpu", target, copy=True).contiguous()
        for name, value in model.state_dict().items()
        for piece in own_family.tensor_names.pieces(name, tuple(value.shape))
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    raw = own_family.write_config(model.config, str(target).removeprefix("torch."))
    (folder / "config.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")


def _weight_files(folder: Path) -> list[Path]:
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise CheckpointError(f"{folder} has neither {single.name} nor {index.name}")
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        paths = sorted({folder / name for name in weight_map.values()})
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} holds no weight map: {error!r}") from error
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise CheckpointError(f"{index} lists shards that are not there: {_list(missing)}")
    return paths


def _open(stack: ExitStack, path: Path) -> Any:
    try:
        return stack.enter_context(safe_open(path, framework="pt", device="cpu"))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file (truncated?): {error}") from error


def _repeated(files: dict[Path, Any]) -> list[str]:
    count = Counter(name for file in files.values() for name in file.keys())  # noqa: SIM118
    return sorted(name for name, times in count.items() if times > 1)


def _read(files: dict[Path, Any], where: dict[str, Path], name: str) -> Tensor:
    try:
        return files[where[name]].get_tensor(name)
    except SafetensorError as error:
        raise CheckpointError(f"{where[name]}: tensor {name} cannot be read: {error}") from error


def _cut_elsewhere(wanted: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> list[str]:
    """The two embedding tables where they are stored cut at another row.

    transformers 5 joins them when it loads a hub checkpoint, and cuts the whole in halves when it saves.
    """
    names = ["model.transformer.wte.embedding", "model.transformer.wte.new_embedding"]
    if any(len(found.get(name, ())) != 2 or found[name][1] != wanted[name][1] for name in names):
        return []
    rows, wanted_rows = [found[name][0] for name in names], [wanted[name][0] for name in names]
    return names if rows != wanted_rows and sum(rows) == sum(wanted_rows) else []


def _compare(
    folder: Path,
    config: MolmoConfig,
    wanted: dict[str, tuple[int, ...]],
    found: dict[str, tuple[int, ...]],
    dtypes: dict[str, str],
) -> None:
    """Raises one error for everything that does not fit."""

    def expected(name: str) -> str:
        return f"{name} (expected {list(wanted[name])})"

    def compared(name: str) -> str:
        return f"{name} (found {list(found[name])}, expected {list(wanted[name])})"

    shared = sorted(wanted.keys() & found.keys())
    missing = [expected(name) for name in sorted(wanted.keys() - found.keys())]
    surplus = [name for name in sorted(found.keys() - wanted.keys()) if not _unused(name, config)]
    groups = {
        "missing": missing,
        "unexpected": [f"{name} (found {list(found[name])})" for name in surplus],
        "wrong shape": [compared(name) for name in shared if found[name] != wanted[name]],
        # Quantised weights would pass as integers.
        "not floating point": [f"{name} ({dtypes[name]})" for name in shared if dtypes[name] not in STORED],
    }
    complaints = [f"{kind}: {_list(names)}" for kind, names in groups.items() if names]
    if complaints:
        raise CheckpointError(f"the tensors in {folder} do not fit its config.json; " + "; ".join(complaints))


def _unused(name: str, config: MolmoConfig) -> bool:
    """Whether a stored tensor may be left alone: blocks above the deepest feature, a copy of a tied head."""
    prefix = re.escape(family(config.family).tensor_names.name("vision.blocks.0.").removesuffix("0."))
    block = re.match(prefix + r"(\d+)\.", name)
    if block:
        return config.vision.blocks_used <= int(block[1]) < config.vision.layers
    return config.decoder.tied_head and name == family(config.family).tensor_names.name("decoder.head.weight")


def _list(items: Iterable[str]) -> str:
    items = list(items)
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more
