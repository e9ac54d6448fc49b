# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from geometry_msgs.msg import PointStamped  # noqa: E402
from molmo_msgs.msg import ObjectPoint, ObjectPointArray, StageTime  # noqa: E402
from rosbags.highlevel import AnyReader  # noqa: E402

from molmo_ros.demo.recording import Recording  # noqa: E402
from molmo_ros.sim.sim_camera import image_message  # noqa: E402


def test_what_is_written_is_read_back(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    point = PointStamped()
    point.header.frame_id, point.point.x, point.point.z = "camera", 0.25, 1.5
    folder = tmp_path / "run"
    for _ in range(2):  # the second run replaces the first
        with Recording(folder) as recording:
            recording.write("/image", image_message(pixels, "rgb8"), 1_000)
            recording.write("/point", point, 2_000)
            recording.write("/image", image_message(pixels, "rgb8"), 3_000)
    assert recording.path.read_bytes()[:8] == b"\x89MCAP0\r\n"
    with AnyReader([folder]) as reader:
        assert {c.topic: c.msgtype for c in reader.connections} == {
            "/image": "sensor_msgs/msg/Image",
            "/point": "geometry_msgs/msg/PointStamped",
        }
        messages = [(c.topic, t, reader.deserialize(raw, c.msgtype)) for c, t, raw in reader.messages()]
    assert [(topic, time) for topic, time, _ in messages] == [
        ("/image", 1_000),
        ("/point", 2_000),
        ("/image", 3_000),
    ]
    image, read_point = messages[0][2], messages[1][2]
    assert image.encoding == "rgb8" and image.step == 64 * 3
    np.testing.assert_array_equal(image.data.reshape(48, 64, 3), pixels)
    assert (read_point.header.frame_id, read_point.point.x, read_point.point.z) == ("camera", 0.25, 1.5)


def test_a_viewer_that_knows_no_molmo_msgs_reads_them_by_the_file(tmp_path):
    point = ObjectPoint(label="mug", has_score=True, score=0.5)
    point.position.z = 1.25
    written = ObjectPointArray(
        query="mug", status="FOUND", points=[point], timings=[StageTime(stage="model")]
    )
    written.header.frame_id = "camera"
    with Recording(tmp_path / "run") as recording:
        recording.write("/result", written, 1_000)
    with AnyReader([tmp_path / "run"]) as reader:
        ((connection, _, raw),) = reader.messages()
        read = reader.deserialize(raw, connection.msgtype)
    assert (read.query, read.status, read.FOUND, read.header.frame_id) == ("mug", "FOUND", "FOUND", "camera")
    assert (read.points[0].label, read.points[0].score, read.points[0].position.z) == ("mug", 0.5, 1.25)
    assert read.timings[0].stage == "model"
