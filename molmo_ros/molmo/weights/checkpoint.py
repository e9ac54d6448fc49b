# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Hugging Face checkpoint folders: config.json plus safetensors, under the hub's tensor names.

Weights go from the files into a model built on the meta device, a few rows at a time and converted on the way, so
that loading needs little more memory than the model itself. No code from the folder is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from molmo_ros.molmo.catalog.checksums import CHECKSUMS
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.families.table import family
from molmo_ros.molmo.network.model import MolmoModel
from molmo_ros.molmo.running.torch_device import torch_device
from molmo_ros.molmo.weights.stored_parameters import BASE, HEAD, StoredParameters

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in DTYPE_BYTES}


def torch_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """The torch dtype of a name.

    Raises:
        CheckpointError: No such dtype among `DTYPES`.
    """
    if isinstance(dtype, torch.dtype) and dtype in DTYPES.values():
        return dtype
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    raise CheckpointError(f"dtype {dtype!r:.80} is not supported; it must be one of {', '.join(DTYPES)}")


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
    target, device = torch_dtype(dtype), torch_device(device)
    stored = StoredParameters(folder, verify=verify)
    with torch.device("meta"):
        model = MolmoModel(stored.config, attention)
    shapes = dict(stored.shapes)
    tied = tie_equal_head and HEAD in shapes and stored.equal(HEAD, BASE, target)
    if tied:
        del shapes[HEAD]
    state = _allocate(shapes, target, device)
    stored.fill(state)
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
    (folder / CHECKSUMS).unlink(missing_ok=True)
    own_family = family(model.config.family)
    tensors = {
        piece.name: value.detach()[piece.where].to("cpu", target, copy=True).contiguous()
        for name, value in model.state_dict().items()
        for piece in own_family.tensor_names.pieces(name, tuple(value.shape))
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    raw = own_family.write_config(model.config, str(target).removeprefix("torch."))
    (folder / "config.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")


def _allocate(
    shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    """Memory for the parameters, all of it before anything is read: a device that is too small is told at once."""
    try:
        return {own: torch.empty(shape, dtype=dtype, device=device) for own, shape in shapes.items()}
    except RuntimeError as error:
        size = sum(prod(shape) for shape in shapes.values()) * dtype.itemsize
        name, reason = str(dtype).removeprefix("torch."), " ".join(str(error).split())
        raise CheckpointError(
            f"the model needs {size / 1e9:.3g} GB as {name}, which device {str(device)!r} does not give: {reason:.300}"
        ) from error
