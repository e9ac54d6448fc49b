# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The visible surfaces of the objects as one point cloud, coloured and numbered."""

from __future__ import annotations

import array
import sys

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

from molmo_ros.node.messages.point_messages import position_header
from molmo_ros.node.records.found_objects import FoundObjects

POINT = np.dtype([("x", "f4"), ("y", "f4"), ("z", "f4"), ("rgb", "f4"), ("number", "u4")])
"""One point: its place [m], its colour packed as PCL and RViz read it, and the number of its object's point."""
FIELDS = [
    *(
        PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
        for place, name in enumerate(("x", "y", "z", "rgb"))
    ),
    PointField(name="number", offset=16, datatype=PointField.UINT32, count=1),
]


def object_cloud_message(found: FoundObjects, labels: np.ndarray) -> PointCloud2:
    """Every pixel of an object that has depth, with the picture's colour; empty where there is no object.

    Args:
        found: The objects.
        labels: uint16 [h, w], see `label_image`.
    """
    points = _points(found, labels)
    return PointCloud2(
        header=position_header(found.array),
        height=1,
        width=len(points),
        fields=FIELDS,
        is_bigendian=sys.byteorder == "big",
        point_step=POINT.itemsize,
        row_step=POINT.itemsize * len(points),
        data=array.array("B", points.tobytes()),
        is_dense=True,
    )


def _points(found: FoundObjects, labels: np.ndarray) -> np.ndarray:
    surroundings = found.view.surroundings
    if found.scene is None or surroundings is None:
        return np.zeros(0, POINT)
    surface = found.scene.surface
    rows, columns = np.nonzero((labels > 0) & np.isfinite(surface[..., 2]))
    places = surface[rows, columns]
    if surroundings.target_from_optical is not None:
        places = surroundings.target_from_optical.apply(places)
    points = np.zeros(len(rows), POINT)
    points["x"], points["y"], points["z"] = places.T
    points["rgb"] = _packed(found.view.picture()[rows, columns])
    points["number"] = labels[rows, columns]
    return points


def _packed(colours: np.ndarray) -> np.ndarray:
    """uint8 RGB [n, 3] as float32 [n] whose bits are 0x00RRGGBB."""
    red, green, blue = colours.astype(np.uint32).T
    return (red << 16 | green << 8 | blue).view(np.float32)
