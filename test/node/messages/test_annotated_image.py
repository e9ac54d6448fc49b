# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The picture with the points: right pixels changed, same size, a JPEG that others can read."""

import io

import cv2
import numpy as np
import pytest

pytest.importorskip("molmo_msgs.msg")

from geometry_msgs.msg import Point  # noqa: E402
from molmo_msgs.msg import ObjectPoint, ObjectPointArray  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from molmo_ros.drawing import PINK  # noqa: E402
from molmo_ros.node.cameras.images import decode_picture  # noqa: E402
from molmo_ros.node.messages.annotated_image import (  # noqa: E402
    JPEG_MAX_SIDE,
    annotated,
    compressed_message,
    image_message,
)


def outcome(*pixels, label="red cube", **fields):
    array = ObjectPointArray(query="red cube", status="FOUND" if pixels else "NOT_FOUND", **fields)
    array.header.frame_id, array.header.stamp.sec, array.header.stamp.nanosec = "camera_optical", 12, 345
    array.points = [ObjectPoint(label=label, pixel=Point(x=float(x), y=float(y))) for x, y in pixels]
    return array


def grey(height=480, width=640):
    return np.full((height, width, 3), 90, np.uint8)


def test_points_are_drawn_where_they_are_and_the_original_is_left_alone():
    image = grey()
    picture = annotated(image, outcome((100.7, 300.2), (500, 200)))
    assert (image == 90).all() and picture.shape == image.shape and picture.dtype == np.uint8
    assert tuple(picture[300, 100]) == PINK and tuple(picture[200, 500]) == PINK
    below_the_text = np.any(picture != image, axis=-1)[40:]
    rows, columns = np.nonzero(below_the_text)
    near = [np.hypot(columns - x, rows + 40 - y) for x, y in ((100, 300), (500, 200))]
    assert np.minimum(*near).max() < 150 and (near[0] < 15).any() and (near[1] < 15).any()


def test_the_line_at_the_top_says_what_came_of_it():
    image = grey()
    nothing, why = annotated(image, outcome()), outcome()
    why.status, why.reason = "STALE", "the newest image is 3.2 s old"
    for picture in (nothing, annotated(image, why)):
        assert np.any(picture != image, axis=-1)[:30].any(), "something is written"
        assert (picture[30:] == 90).all(), "only there"
    assert (nothing != annotated(image, why)).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (8, 8), (3000, 4000)])
@pytest.mark.parametrize("label", ["", "x" * 500, "roter Würfel 赤い箱\n\x00"])
def test_any_size_and_any_label(size, label):
    image = grey(*size)
    array = outcome((0, 0), (size[1], size[0]), (-5, 1e7), label=label)
    array.query = label
    picture = annotated(image, array)
    assert picture.shape == image.shape and (picture != image).any()


def test_many_points():
    places = [(x, y) for x in range(20, 640, 31) for y in range(60, 480, 31)]
    picture = annotated(grey(), outcome(*places, label=""))
    assert np.mean([(picture[y, x] != 90).any() for x, y in places]) == 1


def test_a_score_is_written_where_there_is_one():
    array = outcome((100, 300))
    without = annotated(grey(), array)
    array.points[0].has_score, array.points[0].score = True, 0.87
    assert (annotated(grey(), array) != without).any()


def test_the_raw_message_has_the_header_and_survives_the_wire():
    array = outcome((100, 300))
    picture = annotated(grey(), array)
    message = deserialize_message(serialize_message(image_message(picture, array.header)), Image)
    assert message.header == array.header and message.encoding == "rgb8"
    assert (message.width, message.height, message.step) == (640, 480, 1920)
    assert (decode_picture(message) == picture).all()


def test_the_jpeg_is_near_the_picture_and_in_the_right_colours():
    array = outcome((100, 300))
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, :320], image[:, 320:] = (200, 30, 30), (20, 40, 190)
    picture = annotated(image, array)
    message = compressed_message(picture, array.header)
    assert message.header == array.header
    # image_transport's format: the original's encoding, then what the data are; subscribers convert by it.
    assert message.format == "rgb8; jpeg compressed bgr8"
    decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert decoded.shape == picture.shape
    assert np.abs(decoded.astype(int) - picture).mean() < 2
    assert io.BytesIO(bytes(message.data)).read(3) == b"\xff\xd8\xff"


def test_a_picture_that_no_jpeg_can_hold_is_refused():
    picture = np.zeros((1, JPEG_MAX_SIDE + 1, 3), np.uint8)
    with pytest.raises(ValueError, match=f"at most {JPEG_MAX_SIDE} px per side, the picture is 65501x1"):
        compressed_message(picture, Header())
    assert len(compressed_message(picture[:, 1:], Header()).data) > 100


def test_regions_are_drawn_below_the_points():
    image, labels = grey(), np.zeros((480, 640), np.uint16)
    labels[250:350, 50:150] = 1
    array = outcome((100, 300), (500, 200))
    plain, drawn = annotated(image, array), annotated(image, array, labels)
    changed = np.any(plain != drawn, axis=-1)
    assert changed[260:280, 60:80].all() and not changed[:240].any() and not changed[:, 160:].any()
    assert tuple(drawn[300, 100]) == PINK
    other = np.ones((8, 8), np.uint16)
    assert (annotated(image, array, other) == plain).all(), "labels of another picture are not drawn"
