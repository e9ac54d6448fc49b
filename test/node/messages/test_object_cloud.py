# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The cloud of the objects: places in the array's frame, colours as PCL packs them, numbers."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("molmo_msgs.msg")

from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import PointCloud2, PointField  # noqa: E402

from molmo_ros.node.messages.label_image import label_image  # noqa: E402
from molmo_ros.node.messages.object_cloud import object_cloud_message  # noqa: E402

KINDS = {PointField.FLOAT32: "<f4", PointField.UINT32: "<u4"}


def read(message):
    """The points by what the message says of its own fields."""
    assert message.height == 1 and message.is_dense and not message.is_bigendian
    assert message.row_step == message.point_step * message.width == len(message.data)
    kind = np.dtype(
        {
            "names": [field.name for field in message.fields],
            "formats": [KINDS[field.datatype] for field in message.fields],
            "offsets": [field.offset for field in message.fields],
            "itemsize": message.point_step,
        }
    )
    return np.frombuffer(bytes(message.data), kind)


def test_every_pixel_with_depth_is_a_point_of_its_object(scene):
    message = object_cloud_message(scene.found, label_image(scene.found))
    message = deserialize_message(serialize_message(message), PointCloud2)
    assert message.header.stamp == scene.header.stamp and message.header.frame_id == "base_link"
    points = read(message)
    pixels = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 5), (3, 6), (4, 4), (4, 5), (4, 6)]  # (3, 4) has no depth
    rows, columns = np.transpose(pixels)
    assert points["number"].tolist() == [1] * 4 + [2] * 5
    places = np.stack([points["x"], points["y"], points["z"]], axis=1)
    np.testing.assert_allclose(places, scene.base_from_optical.apply(scene.surface[rows, columns]), atol=1e-6)
    packed = points["rgb"].view(np.uint32)
    colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
    np.testing.assert_array_equal(colours, scene.pixels[rows, columns])
    assert not (packed >> 24).any()


def test_without_a_scene_it_is_empty(scene):
    none = replace(scene.found, scene=None)
    message = object_cloud_message(none, label_image(none))
    assert len(read(message)) == 0 and len(message.fields) == 5
