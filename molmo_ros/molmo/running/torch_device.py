# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The device that a model is to run on: asked for by name, and there."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from molmo_ros.molmo.errors import CheckpointError

WITHOUT_MEMORY = ("meta", "lazy")
TEGRA = {(5, 3), (6, 2), (7, 2), (8, 7), (10, 1), (11, 0)}
"""Compute capabilities of Jetsons, from Nano to Thor. Code of other chips does not run on them, even of the same major
version (CUDA C++ Programming Guide, "Binary Compatibility")."""


def torch_device(device: str | torch.device) -> torch.device:
    """The device of a name, after something was computed on it.

    Raises:
        CheckpointError: No such name, this machine or this torch has no such device, or the torch has no code for it.
            In one sentence: torch's own message may be pages long.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{_asked(device)} is no device; {_there()}") from error
    if found.type in WITHOUT_MEMORY:
        raise CheckpointError(f"{_asked(device)} holds no values; {_there()}")
    try:
        if found.type == "cuda":
            _check_code(found)
        # A kernel of torch's own and one of its libraries for products: setting memory takes neither.
        value = torch.arange(16, dtype=torch.float32, device=found).view(4, 4)
        (value @ value).sum().item()
    except CheckpointError:
        raise
    # A torch without the device asserts, or raises NotImplementedError or what the device's library has.
    except Exception as error:
        reason = " ".join(str(error).split(". ")[0].split())
        raise CheckpointError(f"{_asked(device)} does not work here ({reason:.120}); {_there()}") from error
    return found


def _check_code(device: torch.device) -> None:
    """Refuses a torch that was built for other chips: it says that the device is there, and fails at its first kernel.

    Raises:
        CheckpointError: Says which torch has the code.
    """
    capability, built_for = torch.cuda.get_device_capability(device), torch.cuda.get_arch_list()
    if not built_for or runs_on(capability, built_for):
        return
    chip = "{}.{}".format(*capability)
    cure = (
        "a Jetson takes NVIDIA's torch for its JetPack (NVIDIA's page \"Installing PyTorch for Jetson Platform\"), not "
        "the one that pip finds by itself"
        if capability in TEGRA
        else 'older GPUs need an older torch, newer ones a newer; its page "Get Started" has a wheel for each CUDA'
    )
    raise CheckpointError(
        f"{_asked(device)} has compute capability {chip}, and torch {torch.__version__} was built for "
        f"{', '.join(built_for)}: none of its kernels runs there; {cure}"
    )


def runs_on(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Whether a GPU runs code that was built for some chips.

    Machine code ("sm_86") runs on chips of the same major version that are not older, except from or to a Jetson's;
    "sm_90a" on 9.0 alone. What is kept as PTX ("compute_90") is compiled for any chip that is not older.

    Args:
        capability: Of the GPU (major, minor).
        built_for: As `torch.cuda.get_arch_list` has it.
    """
    for name in built_for:
        kind, _, number = name.partition("_")
        exact, digits = number.endswith("a"), number.rstrip("af")
        if not digits.isdigit():
            continue
        chip = int(digits[:-1]), int(digits[-1])
        if chip == capability or (kind == "compute" and not exact and chip <= capability):
            return True
        same = (
            kind == "sm" and not exact and chip[0] == capability[0] and TEGRA.isdisjoint((chip, capability))
        )
        if same and chip <= capability:
            return True
    return False


def _asked(device: object) -> str:
    return f"device {str(device)!r:.80}"


def _there() -> str:
    """The devices of this machine."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = ["cpu", *(f"cuda:{i}" for i in range(count))]
    if torch.backends.mps.is_available():
        names.append("mps")
    without = "" if count else f"; torch {torch.__version__} sees no CUDA GPU"
    return f"this machine has {', '.join(names)}{without}"
