# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The coordinates in the bytes of a cloud of points (sensor_msgs/PointCloud2), whatever else is in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

FLOATS = {7: "f4", 8: "f8"}
"""FLOAT32 and FLOAT64 of sensor_msgs/PointField."""
NAMES = {1: "INT8", 2: "UINT8", 3: "INT16", 4: "UINT16", 5: "INT32", 6: "UINT32", 7: "FLOAT32", 8: "FLOAT64"}
SHOWN = 12
"""How many names of fields a message lists."""


class PointCloudError(ValueError):
    """A cloud that cannot be read; the message names the field at fault, and what would be right."""


class PointField(Protocol):
    """A field of each point, as sensor_msgs/PointField has it: where it begins [bytes], and its type."""

    name: str
    offset: int
    datatype: int
    count: int


def read_points(
    fields: Sequence[PointField],
    data: Any,
    *,
    width: int,
    height: int,
    point_step: int,
    row_step: int,
    is_bigendian: bool,
) -> np.ndarray:
    """The points' coordinates, row by row; those that are missing stay NaN.

    Args:
        fields: What a point holds. Only x, y and z are read, wherever they are.
        data: The bytes, anything with the buffer interface.
        width, height: Points in a row, and rows; an unorganised cloud has one row.
        point_step, row_step: From one point, or row, to the next [bytes]. Of a single row the latter says nothing.
        is_bigendian: The order of the bytes.

    Returns:
        [n, 3] float32 or float64 [m]; a view of the data where it can be one.

    Raises:
        PointCloudError: No points, no coordinates, coordinates of another type, or steps that contradict the fields or
            the data.
    """
    if width < 1 or height < 1:
        raise PointCloudError(f"the cloud is empty: {width}x{height} points")
    places = [_place(fields, name, point_step) for name in "xyz"]
    if height == 1:
        row_step = width * point_step
    if row_step < width * point_step:
        raise PointCloudError(
            f"row_step of the cloud is {row_step}, a row of {width} points of {point_step} bytes takes "
            f"{width * point_step}"
        )
    needed, there = row_step * (height - 1) + width * point_step, memoryview(data).nbytes
    if there < needed:
        raise PointCloudError(
            f"data of the cloud has {there} bytes, {width}x{height} points with point_step {point_step} and row_step "
            f"{row_step} need {needed}"
        )
    order, strides = ">" if is_bigendian else "<", (row_step, point_step)
    (offset, kind), (after, _), (last, _) = places
    size = np.dtype(kind).itemsize
    if {kind for _, kind in places} == {kind} and (after - offset, last - after) == (size, size):
        together = np.ndarray((height, width, 3), order + kind, data, offset, (*strides, size))
        return together.reshape(-1, 3)
    apart = [np.ndarray((height, width), order + kind, data, start, strides) for start, kind in places]
    return np.stack(apart, axis=-1).reshape(-1, 3)


def _place(fields: Sequence[PointField], name: str, point_step: int) -> tuple[int, str]:
    """Where a coordinate begins in a point [bytes], and what it is."""
    field = next((one for one in fields if one.name == name), None)
    if field is None:
        names = ", ".join(repr(one.name[:SHOWN]) for one in fields[:SHOWN]) or "none"
        raise PointCloudError(f"the cloud has no field {name!r}; its fields: {names}")
    if field.datatype not in FLOATS:
        kind = NAMES.get(field.datatype, f"of the unknown type {field.datatype}")
        raise PointCloudError(f"the field {name!r} of the cloud is {kind}; valid: FLOAT32, FLOAT64")
    if field.count > 1:
        raise PointCloudError(f"the field {name!r} of the cloud has {field.count} values a point; valid: 1")
    kind = FLOATS[field.datatype]
    if field.offset + np.dtype(kind).itemsize > point_step:
        raise PointCloudError(
            f"the field {name!r} of the cloud ends at byte {field.offset + np.dtype(kind).itemsize} of a point, "
            f"point_step is {point_step}"
        )
    return field.offset, kind
