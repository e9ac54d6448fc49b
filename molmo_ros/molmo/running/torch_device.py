"""The device that a model is to run on: asked for by name, and there."""

from __future__ import annotations

import torch

from molmo_ros.molmo.errors import CheckpointError

WITHOUT_MEMORY = ("meta", "lazy")


def torch_device(device: str | torch.device) -> torch.device:
    """The device of a name, after a value was written to it and read back.

    Raises:
        CheckpointError: No such name, or this machine or this torch has no such device. In one sentence: torch's own
            message may be pages long.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{_asked(device)} is no device; {_there()}") from error
    if found.type in WITHOUT_MEMORY:
        raise CheckpointError(f"{_asked(device)} holds no values; {_there()}")
    try:
        torch.zeros(1, dtype=torch.float32, device=found).item()
    # A torch without the device asserts, or raises NotImplementedError or what the device's library has.
    except Exception as error:
        reason = " ".join(str(error).split(". ")[0].split())
        raise CheckpointError(f"{_asked(device)} does not work here ({reason:.120}); {_there()}") from error
    return found


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
