# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What each worker is given, and how many fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from molmo_ros.labelling.labelling_error import LabellingError


@dataclass(frozen=True)
class WorkerNeeds:
    """What each worker is given.

    Attributes:
        count: How many there are; 0 for as many as fit.
        gpus: Of each; 0 for none.
        cpus: Cores of each; 0 for an equal share.
        memory: That the model takes [bytes]; 0 where it is not known.
    """

    count: int = 0
    gpus: float = 0.0
    cpus: int = 0
    memory: int = 0


def fitting(needs: WorkerNeeds, nodes: list[dict[str, Any]], resources: dict[str, float]) -> WorkerNeeds:
    """What each worker gets, and how many there can be.

    Args:
        needs: As the user wants it.
        nodes, resources: As Ray tells of its nodes, and of all of them together.

    Raises:
        LabellingError: No node has room for one worker.
    """
    alive = [one["Resources"] for one in nodes if one.get("Alive", one.get("alive"))]
    most_cpus = int(max((one.get("CPU", 0) for one in alive), default=0))
    most_gpus = max((one.get("GPU", 0.0) for one in alive), default=0.0)
    memory = max((one.get("memory", 0.0) for one in alive), default=0.0)
    if needs.gpus > most_gpus:
        raise LabellingError(
            f"--gpus-per-model {needs.gpus:g}: no machine has that many GPUs, the most is {most_gpus:g}"
        )
    if needs.cpus > most_cpus:
        raise LabellingError(
            f"--cpus-per-model {needs.cpus}: no machine has that many cores, the most is {most_cpus}"
        )
    need = needs.memory if not needs.gpus else 0  # on a GPU the weights are not in the machine's memory
    if need > memory:
        raise LabellingError(
            f"the model does not fit a worker: it takes about {need / 1e9:.1f} GB, and the largest machine has "
            f"{memory / 1e9:.1f} GB for workers; --dtype bfloat16 halves it, a smaller model takes less"
        )
    rooms = sum(
        min(
            int(one.get("GPU", 0.0) / needs.gpus) if needs.gpus else 1 << 20,
            int(one.get("CPU", 0) // max(1, needs.cpus)),
            int(one.get("memory", 0.0) // need) if need else 1 << 20,
        )
        for one in alive
    )
    if not rooms:
        raise LabellingError("Ray has no free core for a worker")
    count = min(needs.count, rooms) if needs.count else rooms
    cpus = needs.cpus or max(1, min(int(resources.get("CPU", 1)) // count, most_cpus))
    return WorkerNeeds(count, needs.gpus, cpus, need)
