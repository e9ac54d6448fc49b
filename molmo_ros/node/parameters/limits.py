"""A request's own limits beside the parameters of the same names."""

from __future__ import annotations

from dataclasses import asdict, replace

from molmo_ros.node.parameters.declaration import SPECS, Settings
from molmo_ros.node.records.request import QueryLimits


def limits_in_force(own: QueryLimits, settings: Settings) -> QueryLimits:
    """A request's limits where it has its own, else the parameters'."""
    return replace(own, **{name: value or getattr(settings, name) for name, value in asdict(own).items()})


def limits_error(limits: QueryLimits) -> str:
    """Why the first limit that is refused is refused, with what is allowed; "" where all are accepted.

    0 is always accepted: it means what the parameter says.
    """
    given = {name: value for name, value in asdict(limits).items() if value != 0}
    return next((error for name, value in given.items() if (error := SPECS[name].error(value))), "")
