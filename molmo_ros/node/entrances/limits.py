"""Whether a request's own limits are within what the node's parameters of the same names may be."""

from __future__ import annotations

from dataclasses import asdict

from molmo_ros.node.parameters.declaration import SPECS
from molmo_ros.node.records.request import QueryLimits


def limits_error(limits: QueryLimits) -> str:
    """Why the first limit that is refused is refused, with what is allowed; "" where all are accepted.

    0 is always accepted: it means what the parameter says.
    """
    given = {name: value for name, value in asdict(limits).items() if value != 0}
    return next((error for name, value in given.items() if (error := SPECS[name].error(value))), "")
