# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The model of engine remote, as the node loads it: a server that is away is waited for, and never with a query."""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import TYPE_CHECKING, cast

from molmo_ros.engine.open_model import LocalChoice, open_model
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.node.records.model_choice import ModelChoice
from molmo_ros.node.seams.pointing_model import LoadedModel, PointingModel
from molmo_ros.remote.server_arguments import ServerArguments

if TYPE_CHECKING:  # it imports torch
    from molmo_ros.molmo.pipeline import Molmo

LOG = logging.getLogger(__name__)


def load_remote_model(choice: ModelChoice) -> LoadedModel:
    """Finds the model of a server, and loads the one that answers while it is away, where there is one.

    Raises:
        molmo_ros.molmo.errors.MolmoError: The server refuses, or the other model cannot be loaded.
    """
    local = LocalChoice(
        choice.model, choice.engine, choice.engine_path or None, choice.device, choice.dtype, choice.threads
    )
    remote = ServerArguments(**{field.name: getattr(choice, field.name) for field in fields(ServerArguments)})
    model = open_model(local, remote, waits=True, log=LOG.warning, warm_up=_warm_up)
    return cast(PointingModel, model), GenerateOptions


def _warm_up(model: Molmo) -> None:
    """Does on a GPU what the fallback's first query would wait for: that one has waited for the server already."""
    if model.runtime.device.type == "cuda":
        from molmo_ros.molmo import warm_up as gpu

        gpu.warm_up(model, LOG.debug)
