# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The parameters of a checkpoint folder, by the names that `MolmoModel` has for them, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from molmo_ros.molmo.catalog.checksums import verify_checksums
from molmo_ros.molmo.catalog.model_folder import adapter_files, base_folder
from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families.table import family
from molmo_ros.molmo.families.tensor_names import Index, StoredPart
from molmo_ros.molmo.network.model import MolmoModel
from molmo_ros.molmo.weights.adapter import adapted
from molmo_ros.molmo.weights.stored_names import hub_names
from molmo_ros.molmo.weights.stored_tensor import StoredTensor
from molmo_ros.molmo.weights.tensor_check import check_counts, check_tensors
from molmo_ros.molmo.weights.weight_files import stored_tensors
from molmo_ros.molmo.weights.weight_reader import WeightReader

BASE, EXTRA, HEAD = "decoder.embedding.base", "decoder.embedding.extra", "decoder.head.weight"


class StoredParameters:
    """The parameters of one folder.

    Attributes:
        config: The model's shape.
        shapes: Of every parameter, by name.
    """

    def __init__(self, folder: str | Path, *, verify: bool = False) -> None:
        """Opens a folder; nothing is read yet but headers and, where there are any, checksums.

        Args:
            folder: See `load_checkpoint`.
            verify: See `load_checkpoint`.

        Raises:
            CheckpointError: See `load_checkpoint`.
        """
        self._folder = folder = Path(folder)
        config = read_config(folder)
        base = base_folder(folder)
        stored = _under_hub_names(stored_tensors(base or folder))
        self._files = {tensor.path for tensor in stored.values()}
        if base is not None:
            self._files |= set(adapter_files(folder))
        self._states = _states(self._files)
        for holder in filter(None, (base, folder)):
            verify_checksums(holder, full=verify)
        check_counts(folder, config, stored)
        if base is not None:
            stored = adapted(folder, config, stored)
        if config.decoder.tied_head and family(config.family).tensor_names.name(HEAD) in stored:
            # The published code never ties: a stored head counts, whatever the flag says, whose default is true.
            config = replace(config, decoder=replace(config.decoder, tied_head=False))
        self.config = config
        with torch.device("meta"):
            model = MolmoModel(config)
        self.shapes = {own: tuple(value.shape) for own, value in model.state_dict().items()}
        self._sources = _sources(folder, config, self.shapes, stored)
        self._reader = WeightReader()

    def read(self, name: str, dtype: torch.dtype) -> Tensor:
        """One parameter, in memory of its own.

        Raises:
            CheckpointError: See `fill`.
        """
        value = torch.empty(self.shapes[name], dtype=dtype, device="cpu")
        self.fill({name: value})
        return value

    def fill(self, state: Mapping[str, Tensor]) -> None:
        """Reads parameters into tensors of their shapes, converted to their dtypes, on their devices.

        Raises:
            CheckpointError: A file cannot be read or changed since the folder was opened, or a value is not finite
                or does not fit the dtype.
        """
        steps = [(own, source) for own in state for source in self._sources[own]]
        for own, source in sorted(steps, key=lambda step: (step[1].tensor.path, step[1].tensor.begin)):
            part = state[own][source.where][source.place : source.place + source.rows]
            self._reader.copy(source.tensor, source.first, source.first + source.rows, part)
        self.check_unchanged()

    def sources(self, name: str) -> list[StoredRows]:
        """Where a parameter lies."""
        return self._sources[name]

    def check_unchanged(self) -> None:
        """Makes sure that what was read is what was opened.

        Raises:
            CheckpointError: A file changed since the folder was opened.
        """
        if changed := self._states - _states(self._files):
            names = ", ".join(sorted(path.name for path, *_ in changed))
            raise CheckpointError(
                f"files in {self._folder} changed while they were read: {names}; load the model again"
            )

    def equal(self, one: str, other: str, dtype: torch.dtype) -> bool:
        """Whether a parameter that is stored as one tensor equals another in `dtype`; read no further than they do."""
        return _equal_tables(self._reader, self._sources[one], self._sources[other], dtype)


def _under_hub_names(stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """The tensors by the names that they have on the hub, whatever a program put around those."""
    return {hub: replace(stored[name], name=hub) for name, hub in hub_names(stored).items()}


def _states(files: Iterable[Path]) -> set[tuple[Path, int, int, int]]:
    """What tells whether somebody replaced or rewrote a file: number, size and time of change; gone is changed."""
    found = [(path, path.stat()) for path in files if path.is_file()]
    return {(path, state.st_ino, state.st_size, state.st_mtime_ns) for path, state in found}


@dataclass(frozen=True)
class StoredRows:
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
) -> dict[str, list[StoredRows]]:
    """Where each parameter comes from; raises unless the stored tensors are the wanted ones."""
    names = family(config.family).tensor_names
    pieces = {own: names.pieces(own, shape) for own, shape in shapes.items()}
    wanted = {piece.name: piece.shape for parts in pieces.values() for piece in parts}
    tables = _cut_elsewhere([*pieces[BASE], *pieces[EXTRA]], stored)
    as_wanted = {table.name: replace(table, shape=wanted[table.name]) for table in tables}
    check_tensors(folder, config, wanted, {**stored, **as_wanted})

    def rows(own: str, piece: StoredPart) -> Iterator[StoredRows]:
        if piece.name not in as_wanted:
            return _rows([stored[piece.name]], 0, piece)
        return _rows(tables, shapes[BASE][0] if own == EXTRA else 0, piece)

    return {own: [source for piece in parts for source in rows(own, piece)] for own, parts in pieces.items()}


def _cut_elsewhere(pieces: Sequence[StoredPart], stored: Mapping[str, StoredTensor]) -> list[StoredTensor]:
    """The two embedding tables where they are stored cut at another row; else nothing.

    transformers 5 joins them when it loads a hub checkpoint, and cuts the whole in halves when it saves.
    """
    tables = [stored[piece.name] for piece in pieces if piece.name in stored]
    if len(tables) != 2 or any(table.shape[1:] != pieces[0].shape[1:] for table in tables):
        return []
    rows, wanted_rows = [table.shape[0] for table in tables], [piece.shape[0] for piece in pieces]
    return tables if rows != wanted_rows and sum(rows) == sum(wanted_rows) else []


def _rows(tensors: Sequence[StoredTensor], first: int, piece: StoredPart) -> Iterator[StoredRows]:
    """The sources of a piece that begins at row `first` of the tensors, joined by rows."""
    begin, last = 0, first + piece.shape[0]
    for tensor in tensors:
        start, end = max(first, begin), min(last, begin + tensor.shape[0])
        if start < end:
            yield StoredRows(tensor, start - begin, end - start, piece.where, start - first)
        begin += tensor.shape[0]


def _equal_tables(
    reader: WeightReader, head: Sequence[StoredRows], base: Sequence[StoredRows], dtype: torch.dtype
) -> bool:
    """Whether the output head equals the base embedding in `dtype`; it is read no further than they do."""
    if len(head) != 1 or head[0].rows != sum(source.rows for source in base):
        return False
    stored = head[0].tensor
    return all(
        reader.equal(source.tensor, source.first, stored, source.place, source.rows, dtype) for source in base
    )
