# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The label image: numbers of points, with the picture's header."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("molmo_msgs.msg")

from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from molmo_ros.node.messages.label_image import label_image, label_image_message  # noqa: E402


def pixels_of(message):
    assert (message.encoding, message.step) == ("mono16", 2 * message.width)
    kind = ">u2" if message.is_bigendian else "<u2"
    return np.frombuffer(bytes(message.data), kind).reshape(message.height, message.width)


def test_each_pixel_has_the_number_of_its_objects_point(scene):
    message = label_image_message(label_image(scene.found), scene.found.array)
    message = deserialize_message(serialize_message(message), Image)
    wanted = np.zeros((6, 8), int)
    wanted[1:3, 1:3], wanted[3:5, 4:7] = 1, 2
    np.testing.assert_array_equal(pixels_of(message), wanted)
    assert message.header == scene.header


def test_where_nothing_was_found_it_is_empty_and_as_large(scene):
    message = label_image_message(label_image(replace(scene.found, scene=None)), scene.found.array)
    assert pixels_of(message).shape == (6, 8) and not pixels_of(message).any()
