# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A scene written by hand: two objects in a picture of 8x6 px, seen from a robot whose base stands elsewhere."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("molmo_msgs.msg")

from geometry_msgs.msg import Point  # noqa: E402
from molmo_msgs.msg import ObjectPoint, ObjectPointArray  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from molmo_ros.geometry import PinholeCamera, RigidTransform  # noqa: E402
from molmo_ros.node.messages.object_regions import with_regions  # noqa: E402
from molmo_ros.node.records.found_objects import FoundObjects  # noqa: E402
from molmo_ros.node.records.surroundings import Surroundings  # noqa: E402
from molmo_ros.node.records.view import View  # noqa: E402
from molmo_ros.regions.region import ObjectRegion, OrientedBox, PointsOn, SceneRegions  # noqa: E402

WIDTH, HEIGHT, FOCAL = 8, 6, 10.0
HALF = 0.5**0.5


def region(rows, columns, surface, box=None):
    rows, columns = np.asarray(rows, np.int32), np.asarray(columns, np.int32)
    points = surface[rows, columns]
    left, top = int(columns.min()), int(rows.min())
    window = left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1
    return ObjectRegion(
        PointsOn.OBJECT, "", rows, columns, points[np.isfinite(points[:, 2])], window, box, cut=left == 0
    )


@pytest.fixture
def scene():
    """What was found, and what it is to be held against.

    Attributes:
        found: A cup at columns 1 and 2, a plate at columns 4 to 6 whose corner has no depth, and a point on the table.
        base_from_optical: The robot's base is 1 m behind the camera, turned a quarter about the view.
    """
    depth = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    depth[1:3, 1:3], depth[3:5, 4:7], depth[3, 4] = 1.0, 1.5, np.nan
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    rays = np.dstack([(columns - 3.5) / FOCAL, (rows - 2.5) / FOCAL, np.ones(depth.shape)])
    surface = (rays * depth[..., None]).astype(np.float32)
    base_from_optical = RigidTransform((0.0, 0.0, 1.0), (0.0, 0.0, HALF, HALF))
    box = OrientedBox(RigidTransform((-0.2, -0.1, 1.05), (0.0, 0.0, HALF, HALF)), (0.2, 0.3, 0.1))
    regions = (
        region([1, 1, 2, 2], [1, 2, 1, 2], surface, box),
        region(np.repeat([3, 4], 3), [4, 5, 6] * 2, surface),
        ObjectRegion.none(PointsOn.SUPPORT, "the point is on the table"),
    )
    header = Image().header
    header.frame_id, header.stamp.sec, header.stamp.nanosec = "camera_optical", 12, 345
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    message = Image(header=header, height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
    message.data = pixels.tobytes()
    depth_message = Image(height=HEIGHT, width=WIDTH, encoding="32FC1", step=4 * WIDTH, data=depth.tobytes())
    depth_message.header.frame_id, depth_message.header.stamp.sec = "depth_optical", 12
    info = CameraInfo(height=HEIGHT, width=WIDTH, k=[FOCAL, 0.0, 3.5, 0.0, FOCAL, 2.5, 0.0, 0.0, 1.0])
    info.header.frame_id = "camera_optical"
    read = np.frombuffer(depth_message.data, np.float32).reshape(depth.shape)
    camera = PinholeCamera(FOCAL, FOCAL, 3.5, 2.5, WIDTH, HEIGHT)
    surroundings = Surroundings(read, camera, base_from_optical, "base_link", depth_message, info)
    places = [(1.5, 1.5, "cup"), (5.5, 4.5, "plate"), (0.5, 5.5, "table")]
    array = ObjectPointArray(header=header, camera="wrist", frame_id="base_link", query="q", complete=True)
    array.image_width, array.image_height, array.status = WIDTH, HEIGHT, "FOUND"
    array.points = [
        ObjectPoint(label=label, pixel=Point(x=x, y=y), has_position=True) for x, y, label in places
    ]
    view = View(lambda: pixels, message, surroundings)
    filled = with_regions(array, regions, surroundings)
    return SimpleNamespace(
        found=FoundObjects(filled, view, SceneRegions(surface, (), regions)),
        array=array,
        pixels=pixels,
        surface=surface,
        header=header,
        box=box,
        base_from_optical=base_from_optical,
    )
