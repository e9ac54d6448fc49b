# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A request's own limits beside the parameters of the same names."""

from __future__ import annotations

from dataclasses import asdict

from molmo_ros.node.parameters.declaration import SPECS, Settings
from molmo_ros.node.records.request import QueryLimits


def limits_in_force(own: QueryLimits, settings: Settings) -> QueryLimits:
    """A request's limits where it has its own, else the parameters'."""
    return QueryLimits(
        max_points=own.max_points or settings.max_points,
        max_new_tokens=own.max_new_tokens or settings.max_new_tokens,
        min_confidence=own.min_confidence or settings.min_confidence,
        time_limit=own.time_limit or settings.time_limit,
        max_frame_age=own.max_frame_age or settings.max_frame_age,
    )


def limits_error(limits: QueryLimits) -> str:
    """Why the first limit that is refused is refused, with what is allowed; "" where all are accepted.

    0 is always accepted: it means what the parameter says.
    """
    given = {name: value for name, value in asdict(limits).items() if value != 0}
    return next((error for name, value in given.items() if (error := SPECS[name].error(value))), "")
