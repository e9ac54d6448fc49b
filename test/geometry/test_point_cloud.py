# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Coordinates in a cloud's bytes, written by struct, which knows nothing of numpy's views."""

import struct
from types import SimpleNamespace

import numpy as np
import pytest

from molmo_ros.geometry.point_cloud import PointCloudError, read_points

POINTS = [
    (1.0, -2.0, 3.5),
    (0.25, 8.0, -1.0),
    (float("nan"), 0.0, 0.0),
    (4.0, 5.0, 6.0),
    (7.0, 8.0, 9.0),
    (0, 0, 1),
]
F4, F8 = 7, 8


def field(name, offset, datatype=F4, count=1):
    return SimpleNamespace(name=name, offset=offset, datatype=datatype, count=count)


def xyz(x=0, y=4, z=8, datatype=F4):
    return [field("x", x, datatype), field("y", y, datatype), field("z", z, datatype)]


def cloud(layout, fields, *, width, height, point_step, row_step, order="<", last=None):
    """Bytes of POINTS; `layout` maps a coordinate's name to (offset, struct's letter)."""
    data = bytearray(b"\xa5" * (row_step * height))
    for number, point in enumerate(POINTS):
        start = number // width * row_step + number % width * point_step
        for (offset, letter), value in zip(layout, point, strict=True):
            struct.pack_into(order + letter, data, start + offset, value)
    return {
        "fields": fields,
        "data": bytes(data)[:last],
        "width": width,
        "height": height,
        "point_step": point_step,
        "row_step": row_step,
        "is_bigendian": order == ">",
    }


PACKED = [(0, "f"), (4, "f"), (8, "f")]
CLOUDS = {
    "packed": cloud(PACKED, xyz(), width=6, height=1, point_step=12, row_step=72),
    "with colour behind": cloud(
        PACKED, [*xyz(), field("rgb", 16)], width=6, height=1, point_step=32, row_step=192
    ),
    "organised": cloud(PACKED, xyz(), width=3, height=2, point_step=16, row_step=48),
    "rows with padding": cloud(PACKED, xyz(), width=2, height=3, point_step=12, row_step=40),
    "the last row without padding": cloud(
        PACKED, xyz(), width=2, height=3, point_step=12, row_step=40, last=-16
    ),
    "big endian": cloud(PACKED, xyz(), width=6, height=1, point_step=12, row_step=72, order=">"),
    "float64": cloud(
        [(8, "d"), (16, "d"), (24, "d")], xyz(8, 16, 24, F8), width=6, height=1, point_step=40, row_step=240
    ),
    "apart, of both kinds, in another order": cloud(
        [(20, "f"), (0, "f"), (9, "d")],
        [field("y", 0), field("intensity", 4, 2), field("z", 9, F8), field("x", 20)],
        width=2,
        height=3,
        point_step=27,
        row_step=60,
        order=">",
    ),
    "a single row of which nobody has set row_step": cloud(
        PACKED, xyz(), width=6, height=1, point_step=12, row_step=72
    )
    | {"row_step": 0},
}


@pytest.mark.parametrize("name", CLOUDS)
def test_coordinates_whatever_the_layout(name):
    points = read_points(**CLOUDS[name])
    assert points.shape == (6, 3) and points.dtype.kind == "f"
    np.testing.assert_array_equal(points, np.array(POINTS))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"width": 0}, "empty: 0x1 points"),
        ({"height": 0}, "empty: 6x0 points"),
        ({"fields": []}, "no field 'x'; its fields: none"),
        ({"fields": xyz()[:2]}, "no field 'z'; its fields: 'x', 'y'"),
        ({"fields": xyz(datatype=5)}, "'x' of the cloud is INT32; valid: FLOAT32, FLOAT64"),
        ({"fields": xyz(datatype=99)}, "unknown type 99"),
        ({"fields": [*xyz()[:2], field("z", 8, count=3)]}, "'z' of the cloud has 3 values"),
        ({"fields": xyz(z=9)}, "'z' of the cloud ends at byte 13 of a point, point_step is 12"),
        ({"point_step": 0}, "ends at byte 4 of a point, point_step is 0"),
        ({"point_step": 13}, "has 72 bytes, 6x1 points with point_step 13 and row_step 78 need 78"),
        ({"width": 2, "height": 3, "row_step": 20}, "row_step of the cloud is 20, .* takes 24"),
        ({"width": 2, "height": 3, "row_step": 30}, "72 bytes, .* row_step 30 need 84"),
        ({"width": 2**31, "height": 2**31, "row_step": 2**40}, "72 bytes"),
        ({"data": b""}, "has 0 bytes"),
    ],
)
def test_what_contradicts_itself_is_refused_with_both_values(wrong, said):
    with pytest.raises(PointCloudError, match=said):
        read_points(**(CLOUDS["packed"] | wrong))
