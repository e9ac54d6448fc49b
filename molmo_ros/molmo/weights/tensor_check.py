# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether the tensors of a checkpoint are those that its config.json calls for, and if not, why perhaps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError
from molmo_ros.molmo.families.family import Family
from molmo_ros.molmo.families.packed_formats import CURE, packed_method
from molmo_ros.molmo.families.table import FAMILIES, family
from molmo_ros.molmo.weights.stored_tensor import StoredTensor
from molmo_ros.molmo.weights.weight_files import listed

FLOATS = ("F64", "F32", "F16", "BF16")
Shape = tuple[int, ...]
# Parameters whose hub names tell the families apart.
TELLING = (
    "vision.patch_embedding.weight",
    "connector.projector.down.weight",
    "decoder.head.weight",
    "decoder.blocks.0.attention.qkv.weight",
    "decoder.blocks.0.attention_norm.weight",
    "decoder.blocks.0.mlp_norm.weight",
    "decoder.blocks.0.mlp.down.weight",
)

# Beginnings of names that other programs give the same weights.
FOREIGN = {
    "model.language_model.": "transformers' own names; save_pretrained writes the hub's, which are expected here, "
    "unless it is given save_original_format=False",
}


def check_tensors(
    folder: Path, config: MolmoConfig, wanted: Mapping[str, Shape], stored: Mapping[str, StoredTensor]
) -> None:
    """Compares the stored tensors with the wanted ones.

    Args:
        folder: For the message.
        config: What config.json says.
        wanted: Shapes by the hub's names.
        stored: What there is.

    Raises:
        CheckpointError: They differ. One error names every tensor that is missing, unexpected, of another
            shape or not of floats (long lists end in a count), and what the tensors look like instead.
    """

    def expected(name: str) -> str:
        return f"{name} (expected {list(wanted[name])})"

    def compared(name: str) -> str:
        return f"{name} (found {list(stored[name].shape)}, expected {list(wanted[name])})"

    _refuse_packed(folder, stored)
    own_family = family(config.family)
    shared = sorted(wanted.keys() & stored.keys())
    surplus = sorted(name for name in stored.keys() - wanted.keys() if not _unused(name, config, own_family))
    groups = {
        "missing": [expected(name) for name in sorted(wanted.keys() - stored.keys())],
        "unexpected": [f"{name} (found {list(stored[name].shape)})" for name in surplus],
        "wrong shape": [compared(name) for name in shared if stored[name].shape != wanted[name]],
        # Quantised weights would pass as integers.
        "not floating point": [
            f"{name} ({stored[name].dtype}; expected one of {', '.join(FLOATS)})"
            for name in shared
            if stored[name].dtype not in FLOATS
        ],
    }
    complaints = [f"{kind}: {listed(names)}" for kind, names in groups.items() if names]
    if complaints:
        shapes = {name: tensor.shape for name, tensor in stored.items()}
        hints = [*_whose_names(own_family, shapes), *_differences(config, own_family, shapes)]
        reason = f" ({'; '.join(hints)})" if hints else ""
        raise CheckpointError(
            f"the tensors in {folder} do not fit its config.json{reason}; " + "; ".join(complaints)
        )


def check_counts(folder: Path, config: MolmoConfig, stored: Mapping[str, StoredTensor]) -> None:
    """Refuses a config that calls for more blocks and experts than there are tensors.

    The model of such a config may take minutes to build before its tensors could be compared.

    Raises:
        CheckpointError: Names both counts, and what the tensors look like instead.
    """
    _refuse_packed(folder, stored)
    decoder, vision = config.decoder, config.vision
    parts = decoder.layers * max(1, decoder.experts) + vision.blocks_used
    if parts > len(stored):
        own_family, shapes = family(config.family), {name: tensor.shape for name, tensor in stored.items()}
        hints = [*_whose_names(own_family, shapes), *_differences(config, own_family, shapes)]
        reason = f" ({'; '.join(hints)})" if hints else ""
        raise CheckpointError(
            f"the tensors in {folder} do not fit its config.json{reason}; found {len(stored)} tensors, expected "
            f"more than one for each of {parts} blocks and experts"
        )


def _refuse_packed(folder: Path, stored: Mapping[str, StoredTensor]) -> None:
    """Refuses weights that another program packed into few bits."""
    if method := packed_method(stored, {tensor.dtype for tensor in stored.values()}):
        raise UnsupportedModelError(f"the weights in {folder} are packed by {method}; {CURE}")


def _unused(name: str, config: MolmoConfig, own_family: Family) -> bool:
    """Whether a stored tensor may be left alone: that of a block above the deepest feature."""
    block = re.match(_numbered(own_family, "vision.blocks.0."), name)
    return block is not None and config.vision.blocks_used <= int(block[1]) < config.vision.layers


def _whose_names(own_family: Family, shapes: Mapping[str, Shape]) -> Iterator[str]:
    """Whose names these are, if not those of the config's family."""

    def known(candidate: Family) -> int:
        return sum(candidate.tensor_names.name(own) in shapes for own in TELLING)

    best = max(FAMILIES.values(), key=known)
    for prefix, whose in FOREIGN.items():
        if any(name.startswith(prefix) for name in shapes):
            yield f"the tensors have {whose}"
    if known(best) > known(own_family):
        yield (
            f"the tensors have the names of family {best.name!r}, {best.members}; "
            f"config.json says {own_family.name!r}"
        )


def _differences(config: MolmoConfig, own_family: Family, shapes: Mapping[str, Shape]) -> Iterator[str]:
    """Numbers that the tensors tell and the config contradicts."""

    def side(own: str, axis: int, divisor: int = 1) -> int | None:
        shape = shapes.get(own_family.tensor_names.name(own), ())
        return shape[axis] // divisor if len(shape) > axis else None

    decoder, vision = config.decoder, config.vision
    tower = _blocks(own_family, "vision.blocks.0.", shapes)
    facts = [
        ("decoder layers", _blocks(own_family, "decoder.blocks.0.attention_norm.", shapes), decoder.layers),
        ("decoder width", side("decoder.norm.weight", 0), decoder.width),
        ("MLP width", side("decoder.blocks.0.mlp.up_gate.weight", 0, 2), decoder.mlp_width),
        ("vocabulary", side("decoder.embedding.base", 0), decoder.vocab),
        ("additional tokens", side("decoder.embedding.extra", 0), decoder.extra_vocab),
        ("experts", side("decoder.blocks.0.mlp.router.weight", 0), decoder.experts),
        ("vision width", side("vision.patch_embedding.weight", 0), vision.width),
        ("vision layers", tower, min(max(tower or 0, vision.blocks_used), vision.layers)),
    ]
    for what, found, said in facts:
        if found is not None and found != said:
            yield f"the tensors look like {what} {found}, config.json says {said}"


def _blocks(own_family: Family, own: str, shapes: Iterable[str]) -> int | None:
    """How many blocks there are; `own` is the beginning of a name in the first one."""
    matches = (re.match(_numbered(own_family, own), name) for name in shapes)
    numbers = {int(match[1]) for match in matches if match}
    return len(numbers) or None


def _numbered(own_family: Family, own: str) -> str:
    """A pattern for the hub's name of `own` in any block."""
    return re.escape(own_family.tensor_names.name(own)).replace(r"\.0\.", r"\.(\d+)\.", 1)
