# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The hub's names of stored tensors where a training program wrote others around them.

Wrappers add a segment to every name: torch.compile `_orig_mod.`, DistributedDataParallel `module.`, FSDP
`_fsdp_wrapped_module.`, PEFT `base_model.model.`, a trainer the name of its own attribute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.weights.weight_files import listed

WRAPPERS = frozenset(
    {
        *("_orig_mod", "module", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"),
        "base_layer",
    }
)
"""Segments that no Molmo has in a name; they may stand anywhere."""
TELLING = "model.transformer.ln_f.weight"
"""A tensor that every Molmo has, of any family."""


def hub_names(names: Iterable[str]) -> dict[str, str]:
    """The hub's name of each stored tensor: without wrappers, and without the prefix before all of the model.

    Args:
        names: As stored.

    Returns:
        The hub's name by the stored one.

    Raises:
        CheckpointError: Two stored tensors would have one name, as where a file holds a model twice.
    """
    bare = {name: ".".join(part for part in name.split(".") if part not in WRAPPERS) for name in names}
    ends = {name for name in bare.values() if name == TELLING or name.endswith(f".{TELLING}")}
    prefixes = {name.removesuffix(TELLING) for name in ends}
    if len(prefixes) > 1:
        quoted = (repr(prefix) for prefix in sorted(prefixes))
        raise CheckpointError(
            f"the tensors are of {len(prefixes)} models, told apart by the prefixes {listed(quoted)}; keep one of them"
        )
    prefix = next(iter(prefixes), "")
    found = {name: inner.removeprefix(prefix) for name, inner in bare.items()}
    holders: dict[str, list[str]] = defaultdict(list)
    for name, hub in found.items():
        holders[hub].append(name)
    if twice := [f"{' and '.join(sorted(of))}" for of in holders.values() if len(of) > 1]:
        raise CheckpointError(f"tensors are stored twice, under names of a wrapper: {listed(sorted(twice))}")
    return found
