"""Hugging Face checkpoint folders: config.json plus safetensors, under the hub's tensor names.

Weights go from the files into a model built on the meta device, a few rows at a time and converted on the way, so
that loading needs little more memory than the model itself. No code from the folder is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families import family
from molmo_ros.molmo.families.tensor_names import Index, Piece
from molmo_ros.molmo.network.model import MolmoModel
from molmo_ros.molmo.weights.checksums import MANIFEST, verify_checksums
from molmo_ros.molmo.weights.tensor_check import check_counts, check_tensors
from molmo_ros.molmo.weights.weight_files import StoredTensor, stored_tensors
from molmo_ros.molmo.weights.weight_reader import WeightReader

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BASE, EXTRA, HEAD = "decoder.embedding.base", "decoder.embedding.extra", "decoder.head.weight"


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
    verify: bool = False,
) -> MolmoModel:
    """Builds the model of a checkpoint folder.

    Memory beyond the model's own: two chunks of `WeightReader`. Blocks of the vision tower that no feature needs
    are not read. The weights are the model's own memory, also where the file holds the same dtype: a file that
    changes later changes nothing here.

    Args:
        folder: Holds config.json and model.safetensors, or model.safetensors.index.json and its shards.
        device: Where the weights go.
        dtype: What they become: "float32", "bfloat16" or "float16".
        attention: See `MolmoModel`.
        tie_equal_head: Whether to store an output head once that equals the base embedding, as Molmo2-4B has it
            twice. Leave it off for training.
        verify: Whether to hash every file that checksums.json lists, not only those that changed since they were
            last found right (`verify_checksums`).

    Returns:
        The model in evaluation mode.

    Raises:
        CheckpointError: The folder or one of its files is missing or damaged, the model is not supported, the
            tensors do not fit the config (the message names them), a value is not finite or does not fit
            `dtype`, a file changed while it was read, or the model does not fit the device.
    """
    folder, target = Path(folder), torch_dtype(dtype)
    config = MolmoConfig.from_folder(folder)
    stored = stored_tensors(folder)
    files = {tensor.path for tensor in stored.values()}
    states = _states(files)
    verify_checksums(folder, full=verify)
    check_counts(folder, config, stored)
    if config.decoder.tied_head and family(config.family).tensor_names.name(HEAD) in stored:
        # The published code never ties: a head that is stored counts, whatever the flag says, whose default is true.
        config = replace(config, decoder=replace(config.decoder, tied_head=False))
    with torch.device("meta"):
        model = MolmoModel(config, attention)
    shapes = {own: tuple(value.shape) for own, value in model.state_dict().items()}
    sources = _sources(folder, config, shapes, stored)
    reader = WeightReader()
    tied = tie_equal_head and HEAD in shapes and _equal_tables(reader, sources[HEAD], sources[BASE], target)
    if tied:
        del shapes[HEAD]
    state = _allocate(shapes, target, device)
    steps = [(own, source) for own in shapes for source in sources[own]]
    for own, source in sorted(steps, key=lambda step: (step[1].tensor.path, step[1].tensor.begin)):
        part = state[own][source.where][source.place : source.place + source.rows]
        reader.copy(source.tensor, source.first, source.first + source.rows, part)
    if changed := states - _states(files):
        names = ", ".join(sorted(path.name for path, *_ in changed))
        raise CheckpointError(
            f"files in {folder} changed while they were read: {names}; load the model again"
        )
    if tied:
        state[HEAD] = state[BASE]
    model.load_state_dict(state, assign=True)
    if tied and model.decoder.head is not None:
        model.decoder.head.weight = model.decoder.embedding.base
    return model.eval()


def save_checkpoint(model: MolmoModel, folder: str | Path, dtype: str | torch.dtype = "float32") -> None:
    """Writes config.json and model.safetensors, with the hub's names; transformers reads the Molmo2 ones too.

    Args:
        model: What to write.
        folder: Where; made if it does not exist. Other files in it are left alone, but checksums.json, which
            would be wrong, is removed.
        dtype: What the stored weights are.
    """
    folder, target = Path(folder), torch_dtype(dtype)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    own_family = family(model.config.family)
    tensors = {
        piece.name: value.detach()[piece.where].to("cpu", target, copy=True).contiguous()
        for name, value in model.state_dict().items()
        for piece in own_family.tensor_names.pieces(name, tuple(value.shape))
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    raw = own_family.write_config(model.config, str(target).removeprefix("torch."))
    (folder / "config.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")


def _states(files: Iterable[Path]) -> set[tuple[Path, int, int, int]]:
    """What tells whether somebody replaced or rewrote a file: number, size and time of change; gone is changed."""
    found = [(path, path.stat()) for path in files if path.is_file()]
    return {(path, state.st_ino, state.st_size, state.st_mtime_ns) for path, state in found}


@dataclass(frozen=True)
class Source:
    """Rows of a stored tensor, and the rows of a parameter that they become.

    Attributes:
        tensor: Where they lie.
        first: The first of them.
        rows: How many.
        where: The part of the parameter that holds the whole tensor; () is all of it.
        place: The first row within that part.
    """

    tensor: StoredTensor
    first: int
    rows: int
    where: Index
    place: int


def _sources(
    folder: Path,
    config: MolmoConfig,
    shapes: Mapping[str, tuple[int, ...]],
    stored: Mapping[str, StoredTensor],
) -> dict[str, list[Source]]:
    """Where each parameter comes from; raises unless the stored tensors are the wanted ones."""
    names = family(config.family).tensor_names
    pieces = {own: names.pieces(own, shape) for own, shape in shapes.items()}
    wanted = {piece.name: piece.shape for parts in pieces.values() for piece in parts}
    tables = _cut_elsewhere([*pieces[BASE], *pieces[EXTRA]], stored)
    as_wanted = {table.name: replace(table, shape=wanted[table.name]) for table in tables}
    check_tensors(folder, config, wanted, {**stored, **as_wanted})

    def rows(own: str, piece: Piece) -> Iterator[Source]:
        if piece.name not in as_wanted:
            return _rows([stored[piece.name]], 0, piece)
        return _rows(tables, shapes[BASE][0] if own == EXTRA else 0, piece)

    return {own: [source for piece in parts for source in rows(own, piece)] for own, parts in pieces.items()}


def _cut_elsewhere(pieces: Sequence[Piece], stored: Mapping[str, StoredTensor]) -> list[StoredTensor]:
    """The two embedding tables where they are stored cut at another row; else nothing.

    transformers 5 joins them when it loads a hub checkpoint, and cuts the whole in halves when it saves.
    """
    tables = [stored[piece.name] for piece in pieces if piece.name in stored]
    if len(tables) != 2 or any(table.shape[1:] != pieces[0].shape[1:] for table in tables):
        return []
    rows, wanted_rows = [table.shape[0] for table in tables], [piece.shape[0] for piece in pieces]
    return tables if rows != wanted_rows and sum(rows) == sum(wanted_rows) else []


def _rows(tensors: Sequence[StoredTensor], first: int, piece: Piece) -> Iterator[Source]:
    """The sources of a piece that begins at row `first` of the tensors, joined by rows."""
    begin, last = 0, first + piece.shape[0]
    for tensor in tensors:
        start, end = max(first, begin), min(last, begin + tensor.shape[0])
        if start < end:
            yield Source(tensor, start - begin, end - start, piece.where, start - first)
        begin += tensor.shape[0]


def _equal_tables(
    reader: WeightReader, head: Sequence[Source], base: Sequence[Source], dtype: torch.dtype
) -> bool:
    """Whether the output head equals the base embedding in `dtype`; it is read no further than they do."""
    if len(head) != 1 or head[0].rows != sum(source.rows for source in base):
        return False
    stored = head[0].tensor
    return all(
        reader.equal(source.tensor, source.first, stored, source.place, source.rows, dtype) for source in base
    )


def _allocate(
    shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, device: str | torch.device
) -> dict[str, Tensor]:
    """Memory for the parameters, all of it before anything is read: a device that is too small is told at once."""
    try:
        return {own: torch.empty(shape, dtype=dtype, device=device) for own, shape in shapes.items()}
    except (RuntimeError, AssertionError) as error:
        size = sum(prod(shape) for shape in shapes.values()) * dtype.itemsize
        name = str(dtype).removeprefix("torch.")
        raise CheckpointError(
            f"the model needs {size / 1e9:.1f} GB as {name}, which device {str(device)!r} does not give: {error}"
        ) from error
