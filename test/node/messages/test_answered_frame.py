# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The answered frame once more: bit for bit where it came so, and all of it with the picture's stamp."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("molmo_msgs.msg")

from sensor_msgs.msg import CompressedImage, Image, PointCloud2  # noqa: E402

from molmo_ros.node.cameras.images import decode_picture, depth_view  # noqa: E402
from molmo_ros.node.cameras.intrinsics import camera_from_message  # noqa: E402
from molmo_ros.node.messages.answered_frame import (  # noqa: E402
    answered_camera_info,
    answered_depth,
    answered_image,
)


def test_a_raw_picture_is_the_message_itself(scene):
    view = scene.found.view
    assert answered_image(view, scene.header) is view.message


def test_a_compressed_picture_is_decoded_under_its_own_header(scene):
    view = replace(scene.found.view, message=CompressedImage(header=scene.header, format="jpeg"))
    message = answered_image(view, scene.header)
    assert message.header == scene.header
    np.testing.assert_array_equal(decode_picture(message), scene.pixels)


def test_depth_and_calibration_have_the_pictures_stamp_and_their_own_frames(scene):
    surroundings = scene.found.view.surroundings
    depth = answered_depth(surroundings, scene.header)
    info = answered_camera_info(surroundings, scene.header)
    assert depth.header.stamp == info.header.stamp == scene.header.stamp
    assert (depth.header.frame_id, info.header.frame_id) == ("depth_optical", "camera_optical")
    assert depth.data == surroundings.depth_message.data and info.k.tolist() == surroundings.info.k.tolist()
    # What others hold, or is yet to be read, keeps its own stamp.
    assert surroundings.depth_message.header.stamp.nanosec == 0 and surroundings.info.header.stamp.sec == 0


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_depth_that_was_no_image_of_the_pictures_pixels_becomes_one(scene, kind):
    depth = (np.arange(48).reshape(6, 8) + 500).astype(kind)
    sources = CompressedImage(format="16UC1; compressedDepth png"), Image(height=2, width=2), PointCloud2()
    for message in sources:
        surroundings = replace(scene.found.view.surroundings, depth=depth, depth_message=message)
        made = answered_depth(surroundings, scene.header)
        assert made.header == scene.header
        assert made.encoding == ("16UC1" if kind is np.uint16 else "32FC1")
        np.testing.assert_array_equal(depth_view(made), depth)


def test_the_users_matrix_becomes_a_calibration(scene):
    surroundings = replace(scene.found.view.surroundings, info=None)
    info = answered_camera_info(surroundings, scene.header)
    assert info.header == scene.header
    assert camera_from_message(info) == surroundings.camera
    assert camera_from_message(info, rectified=True) == surroundings.camera
