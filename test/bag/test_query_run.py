# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs over recordings, and what they write: read by rosbags with the definitions in the new bag alone."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import PointStamped, PoseArray
from molmo_msgs.msg import ObjectPointArray
from rclpy.serialization import deserialize_message
from recordings import (
    LATENCY,
    OPTICAL,
    PERIOD,
    START,
    Recording,
    camera_info,
    cloud,
    compressed,
    compressed_depth,
    image,
    recorded,
    transform,
)
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosReliability

from molmo_ros.cli.main import main
from molmo_ros.sim.renderer import render


class Written:
    """The messages of a bag by topic: (log time [ns], message), and in `raw` as CDR, in the order of the file."""

    def __init__(self, path):
        self.topics, self.raw, self.times = {}, {}, []
        with AnyReader([Path(path)]) as reader:
            self.qos = {one.topic: one.ext.offered_qos_profiles for one in reader.connections}
            self.types = {one.topic: one.msgtype for one in reader.connections}
            for connection, time, data in reader.messages():
                self.times.append(time)
                message = reader.deserialize(data, connection.msgtype)
                self.topics.setdefault(connection.topic, []).append((time, message))
                self.raw.setdefault(connection.topic, []).append((time, bytes(data)))

    def __getitem__(self, name):
        return self.topics.get(f"/molmo_node/{name}", [])


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def run(bag, tmp_path, *options, code=0):
    out = tmp_path / "out.mcap"
    assert main(["bag", str(bag), "--out", str(out), *options]) == code
    return Written(out)


def assert_on(mask, point):
    assert mask[int(point.pixel.y), int(point.pixel.x)]


@pytest.mark.parametrize("kind", ["sqlite3", "mcap", "compressed"])
def test_points_are_on_the_object_at_the_pictures_time(kind, table, mug, tmp_path):
    recording = recorded(table, 4)
    if kind == "compressed":
        recording = Recording()
        for number in range(4):
            time = START + number * PERIOD
            recording.add("/cam/image/compressed", compressed(table.rgb, time), time + LATENCY)
            recording.add("/cam/depth/compressedDepth", compressed_depth(table.depth, time), time + LATENCY)
            recording.add("/cam/camera_info", camera_info(table, time), time + LATENCY)
    written = run(
        recording.write(tmp_path / "in", mcap=kind != "sqlite3"),
        tmp_path,
        "--query",
        "mug",
        "--rate",
        "5",
        "--annotated",
    )
    assert len(written["result"]) == 2 and written.times == sorted(written.times)
    for number, (time, result) in zip((0, 2), written["result"], strict=True):
        assert stamp(result) == START + number * PERIOD and time == stamp(result) + LATENCY
        assert (result.status, result.query, result.camera) == ("FOUND", "mug", "camera")
        assert result.header.frame_id == result.frame_id == OPTICAL
        (point,) = result.points
        assert_on(mug, point)
        place = np.array([point.position.x, point.position.y, point.position.z])
        depths = table.depth[mug]
        assert np.nanmin(depths) - 1e-3 <= place[2] <= np.nanmax(depths) + 1e-3
        u, v = (table.intrinsics @ place / place[2])[:2]
        np.testing.assert_allclose((u + 0.5, v + 0.5), (point.pixel.x, point.pixel.y), atol=1e-6)
        assert result.frame_age.sec == 0 and result.frame_age.nanosec == LATENCY
    for name in ("objects", "point", "points", "pixels", "markers", "answer", "annotated/compressed"):
        assert [time for time, _ in written[name]] == [time for time, _ in written["result"]], name
    for (_, drawn), (_, result) in zip(written["annotated/compressed"], written["result"], strict=True):
        assert cv2.imdecode(drawn.data, cv2.IMREAD_COLOR).shape == table.rgb.shape
        assert drawn.header == result.header
    assert written["annotated"] == [] and "/image" not in written.topics


def test_ros_reads_what_is_written(table, tmp_path):
    written = run(
        recorded(table, 1).write(tmp_path / "in"), tmp_path, "--query", "mug", "--query", "count: objects"
    )
    for name, kind in (("result", ObjectPointArray), ("points", PoseArray), ("point", PointStamped)):
        raw = written.raw[f"/molmo_node/{name}"]
        for (_, data), (_, read) in zip(raw, written[name], strict=True):
            message = deserialize_message(data, kind)
            assert message.header.frame_id == read.header.frame_id == OPTICAL
            if name == "result":
                assert message.query == read.query and len(message.points) == len(read.points) > 0
                assert message.points[0].position.z == read.points[0].position.z > 0
                assert message.FOUND == message.status == read.status
    assert [result.query for _, result in written["result"]] == ["mug", "count: objects"]
    assert all(profile.reliability is QosReliability.RELIABLE for (profile,) in written.qos.values())


def test_objects_are_written_where_they_are_wanted(table, mug, tmp_path):
    bag = recorded(table, 1).write(tmp_path / "in")
    names = "object_regions", "regions", "clouds", "grasps"
    plain = run(bag, tmp_path, "--query", "mug")
    assert plain["markers"] and not any(plain[name] for name in names)
    assert not any(topic.startswith("/molmo_node/answered") for topic in plain.topics)
    written = run(bag, tmp_path, "--query", "mug", "--regions", "--force", "--gripper-opening", "0.2")
    ((_, objects),), ((_, labels),), ((_, cloud),), ((_, grasps),) = (written[name] for name in names)
    assert objects.points[0].region_valid and labels.header == objects.header
    numbers = np.frombuffer(labels.data, np.uint16).reshape(mug.shape)
    assert (numbers[mug] == 1).mean() > 0.8 and (mug[numbers == 1]).mean() > 0.9
    assert cloud.width == cloud.data.size // cloud.point_step > 0.5 * mug.sum()
    assert len(grasps.objects) == 1
    assert any(one.ns.endswith("boxes") and one.type == one.CUBE for one in written["markers"][0][1].markers)


@pytest.mark.parametrize("delay", [-900_000_000, 900_000_000])
def test_depth_that_was_recorded_long_before_or_after(delay, table, mug, tmp_path):
    written = run(
        recorded(table, 12, depth_delay=delay).write(tmp_path / "in"),
        tmp_path,
        "--query",
        "mug",
        "--rate",
        "2",
    )
    assert len(written["result"]) == 3
    for _, result in written["result"]:
        assert result.status == "FOUND" and result.points[0].has_position


def test_depth_of_another_time_is_not_used(table, tmp_path):
    recording = recorded(table, 1, depth=False)
    recording.add("/depth", image(table.depth, "32FC1", START + 21_000_000), START + LATENCY)
    ((_, result),) = run(recording.write(tmp_path / "in"), tmp_path, "--query", "mug")["result"]
    assert result.status == "NO_DEPTH" and "0.021 s apart" in result.reason
    assert result.points[0].pixel.x > 0 and not result.points[0].has_position


def test_a_calibration_that_was_sent_once_holds(table, tmp_path):
    recording = recorded(table, 15, info=False)
    recording.add("/camera_info", camera_info(table, START), START)
    written = run(recording.write(tmp_path / "in", mcap=True), tmp_path, "--query", "mug", "--start", "1.3")
    ((time, result),) = written["result"]
    assert time >= START + 1_300_000_000
    assert result.status == "FOUND" and result.points[0].has_position


def test_a_camera_that_is_not_quite_in_time(table, tmp_path):
    """Asked at half its rate, every other picture is asked about."""
    recording = Recording()
    for number, late in enumerate((0, 5, -5, 9, -1, 0, 4, -9)):
        time = START + number * PERIOD
        recording.add("/image", image(table.rgb, "rgb8", time), time + late * 1_000_000)
    written = run(recording.write(tmp_path / "in"), tmp_path, "--query", "mug", "--rate", "5")
    asked = [(stamp(result) - START) // PERIOD for _, result in written["result"]]
    assert asked == [0, 2, 4, 6]


def test_target_frame_at_the_pictures_time(scene, table, mug, tmp_path):
    """The camera moves along the base's x by 1 m/s; the transforms come half a second late."""
    recording = recorded(table, 3)
    for number in range(-1, 5):
        time = START + number * PERIOD + 30_000_000  # never at a picture's stamp
        position = ((time - START) * 1e-9, 0.0, 0.5)
        recording.add("/tf", transform("base", "camera", time, position), time + 500_000_000)
    turn = (-0.5, 0.5, -0.5, 0.5)  # REP-103: optical z is the camera's x, optical x its -y
    recording.add(
        "/tf_static", transform("camera", OPTICAL, START, (0.0, 0.0, 0.0), turn), START + 250_000_000
    )
    bag = recording.write(tmp_path / "in")
    optical = run(bag, tmp_path, "--query", "mug", "--rate", "0")
    based = run(bag, tmp_path, "--query", "mug", "--rate", "0", "--target-frame", "base", "--force")
    assert len(based["result"]) == 3
    for number, ((_, seen), (_, placed)) in enumerate(zip(optical["result"], based["result"], strict=True)):
        assert placed.frame_id == "base" and placed.header.frame_id == OPTICAL
        p, q = seen.points[0].position, placed.points[0].position
        np.testing.assert_allclose((q.x, q.y, q.z), (p.z + number * 0.1, -p.x, 0.5 - p.y), atol=1e-6)
    unknown = run(bag, tmp_path, "--query", "mug", "--target-frame", "map", "--force")
    assert unknown["result"][0][1].status == "NO_TRANSFORM" and "'map'" in unknown["result"][0][1].reason


def test_track_gives_every_picture_points(table, mug, tmp_path):
    """Each picture is the table, moved by 3 px to the right; depth is not."""
    recording = recorded(table, 8, picture=lambda number: np.roll(table.rgb, 3 * number, axis=1))
    written = run(recording.write(tmp_path / "in"), tmp_path, "--query", "mug", "--track")
    objects = [one for _, one in written["objects"]]
    assert [stamp(one) for one in objects] == [START + number * PERIOD for number in range(8)]
    assert [one.tracked for one in objects] == [False] + 7 * [True] and len(written["result"]) == 1
    assert len({one.points[0].track_id for one in objects}) == 1 and objects[0].points[0].track_id > 0
    first = objects[0].points[0].pixel
    assert_on(mug, objects[0].points[0])
    for number, one in enumerate(objects):
        assert abs(one.points[0].pixel.x - first.x - 3 * number) < 0.5
        assert abs(one.points[0].pixel.y - first.y) < 0.5


def test_copy_keeps_every_message(table, tmp_path):
    recording = recorded(table, 3)
    recording.add("/tf_static", transform("base", OPTICAL, START, (0.0, 0.0, 1.0)), START)
    words = Recording()
    words.add("/said", transform("a", "b", START, (1.0, 2.0, 3.0)), START + LATENCY + PERIOD)
    recording.messages += words.messages
    recording.messages.append(("/molmo_node/result", "std_msgs/msg/Empty", START, bytes(8)))
    bag = recording.write(tmp_path / "in", mcap=True)
    written, original = run(bag, tmp_path, "--query", "mug", "--copy"), Written(bag)
    assert written.times == sorted(written.times)
    for topic in ("/image", "/depth", "/camera_info", "/said"):
        assert written.raw[topic] == original.raw[topic] and written.types[topic] == original.types[topic]
    assert len(written.raw["/tf_static"]) == 1
    assert written.types["/molmo_node/result"] == "molmo_msgs/msg/ObjectPointArray"


def test_a_picture_that_cannot_be_read_is_an_error_and_the_run_goes_on(table, mug, tmp_path, capsys):
    recording = recorded(table, 4)
    for number, damage in ((1, "encoding"), (2, "cdr")):
        topic, kind, time, data = recording.messages[3 * number]
        data = data.replace(b"rgb8", b"rgb7") if damage == "encoding" else data[:40]
        recording.messages[3 * number] = topic, kind, time, data
    written = run(recording.write(tmp_path / "in"), tmp_path, "--query", "mug", "--rate", "0")
    results = [result for _, result in written["result"]]
    assert [result.status for result in results] == ["FOUND", "ERROR", "ERROR", "FOUND"]
    assert "rgb7" in results[1].reason and stamp(results[1]) == START + PERIOD
    assert "cannot be read" in results[2].reason
    assert "4 asked about: 2 FOUND, 2 ERROR" in capsys.readouterr().out


def test_without_calibration_points_are_in_pixels(table, mug, tmp_path, capsys):
    written = run(
        recorded(table, 3, info=False).write(tmp_path / "in"), tmp_path, "--query", "mug", "--rate", "0"
    )
    for _, result in written["result"]:
        assert result.status == "FOUND" and not result.points[0].has_position
        assert_on(mug, result.points[0])
    assert written["points"] == [] and len(written["pixels"]) == 3
    assert capsys.readouterr().err.count("no camera_info") == 1


DEPTH_FRAME = "camera_depth_optical_frame"


def beside(scene, table, tf=True):
    """One picture, with depth of a smaller camera 50 mm beside, its calibration and where it is."""
    recording, own = recorded(table, 1, depth=False), scene.camera
    scene.camera = replace(own, position=own.position + own.world_from_optical[:, 0] * 0.05)
    other = render(scene, 424, 318)
    scene.camera = own
    depth, info = image(other.depth, "32FC1", START), camera_info(other, START)
    for message, topic in ((depth, "/cam/depth/image_rect_raw"), (info, "/cam/depth/camera_info")):
        recording.add(topic, replace(message, header=replace(message.header, frame_id=DEPTH_FRAME)), START)
    if tf:
        recording.add("/tf_static", transform(OPTICAL, DEPTH_FRAME, 0, (0.05, 0.0, 0.0)), START - PERIOD)
    return recording


def assert_placed(point, table):
    """Where the pixel's ray meets what the renderer saw there."""
    column, row = point.pixel.x - 0.5, point.pixel.y - 0.5
    depth = table.depth[round(row), round(column)]
    ray = np.linalg.inv(table.intrinsics) @ (column, row, 1.0)
    position = point.position.x, point.position.y, point.position.z
    np.testing.assert_allclose(position, ray * depth, atol=4e-3)


def test_depth_that_is_not_aligned_is_registered(scene, table, mug, tmp_path):
    written = run(beside(scene, table).write(tmp_path / "in"), tmp_path, "--query", "mug")
    ((_, result),) = written["result"]
    (point,) = result.points
    assert (result.status, result.frame_id) == ("FOUND", OPTICAL) and point.has_position
    assert_on(mug, point)
    assert_placed(point, table)
    bag = beside(scene, table, tf=False).write(tmp_path / "without_tf")
    ((_, result),) = run(bag, tmp_path, "--query", "mug", "--force")["result"]
    assert result.status == "NO_DEPTH"
    assert all(word in result.reason for word in (OPTICAL, DEPTH_FRAME, "TF"))


@pytest.mark.parametrize("options", [[], ["--depth", "/lidar/points"]])
def test_a_cloud_is_depth(options, scene, table, mug, tmp_path):
    recording = recorded(table, 1, depth=False)
    rows, columns = np.nonzero(np.isfinite(table.depth))
    rays = np.column_stack([columns, rows, np.ones(len(rows))]) @ np.linalg.inv(table.intrinsics).T
    points = rays * table.depth[rows, columns][:, None]
    aside = points[:, [2, 0, 1]] * (1, -1, -1) - (0.3, 0.0, 0.5)  # x forward, and elsewhere
    recording.add("/lidar/points", cloud(aside, START, "lidar"), START)
    body = transform("lidar", OPTICAL, 0, (-0.3, 0.0, -0.5), (-0.5, 0.5, -0.5, 0.5))
    recording.add("/tf_static", body, START - PERIOD)
    written = run(recording.write(tmp_path / "in"), tmp_path, "--query", "mug", *options)
    ((_, result),) = written["result"]
    assert result.status == "FOUND", result.reason
    assert_placed(result.points[0], table)


def rectified(table, topic="/cam/image_rect"):
    """One rectified picture, with the calibration of the raw one: only P is right for it."""
    recording = Recording()
    wider = (table.intrinsics * [[1.2, 1, 1], [1, 1.2, 1], [1, 1, 1]]).ravel()
    distortion = np.array((0.2, -0.1, 0.0, 0.0, 0.0))
    info = replace(camera_info(table, START), d=distortion, k=wider)
    recording.add(topic, image(table.rgb, "rgb8", START), START + LATENCY)
    recording.add("/cam/depth", image(table.depth, "32FC1", START), START + LATENCY)
    recording.add("/cam/camera_info", info, START + LATENCY)
    return recording


def pixel_of(matrix, point):
    """Where a point in metres is seen [px]; edges at integers."""
    u, v, w = matrix @ (point.position.x, point.position.y, point.position.z)
    return u / w + 0.5, v / w + 0.5


@pytest.mark.parametrize(
    "options",
    [
        ["--image-is-rectified"],
        ["--set", "image_is_rectified=true"],
        ["--camera-matrix", "{k[0]}", "{k[4]}", "{k[2]}", "{k[5]}"],
        ["--set", "camera_matrix=[{k[0]}, {k[4]}, {k[2]}, {k[5]}]"],
    ],
)
def test_rectified_pictures_by_option(options, table, tmp_path, caplog):
    options = [option.format(k=[float(one) for one in table.intrinsics.ravel()]) for option in options]
    written = run(rectified(table).write(tmp_path / "in"), tmp_path, "--query", "mug", *options)
    ((_, result),) = written["result"]
    (point,) = result.points
    np.testing.assert_allclose(pixel_of(table.intrinsics, point), (point.pixel.x, point.pixel.y), atol=1e-6)
    assert "rectified" not in caplog.text


@pytest.mark.parametrize(
    ("topic", "options", "warned"),
    [
        ("/cam/image_rect", [], True),
        ("/cam/image_rect_color", [], True),
        ("/cam/direct/image", [], False),
        ("/cam/image_rect", ["--no-image-is-rectified"], False),
    ],
)
def test_a_rectified_topic_with_a_distortion_is_warned_of(topic, options, warned, table, tmp_path, caplog):
    bag = rectified(table, topic).write(tmp_path / "in")
    run(bag, tmp_path, "--query", "mug", "--image", topic, "--depth", "/cam/depth", *options)
    assert ("--image-is-rectified" in caplog.text) == warned


def test_parameters_of_the_node_hold_for_bags(table, tmp_path):
    bag = recorded(table, 1).write(tmp_path / "in")
    for options, said in (
        (["--max-depth", "0.3"], "0.3"),
        (["--no-use-depth"], "use_depth is off"),
        (["--set", "min_confidence=1"], "confidence"),
    ):
        ((_, result),) = run(bag, tmp_path, "--query", "mug", "--force", *options)["result"]
        assert not any(point.has_position for point in result.points)
        assert said in result.reason + " ".join(point.reason for point in result.points)
    moved = recorded(table, 1, depth=False)
    moved.add("/depth", image(table.depth, "32FC1", START + 21_000_000), START + LATENCY)
    bag = moved.write(tmp_path / "moved")
    options = ("--query", "mug", "--force", "--depth-sync-tolerance", "0.03")
    assert run(bag, tmp_path, *options)["result"][0][1].points[0].has_position


@pytest.mark.parametrize(("without", "said"), [("depth", "no depth"), ("info", "no camera_info")])
def test_what_the_bag_has_not_is_named(without, said, table, tmp_path):
    bag = recorded(table, 1, **{without: False}).write(tmp_path / "in")
    ((_, result),) = run(bag, tmp_path, "--query", "mug")["result"]
    assert result.status == "FOUND" and result.points[0].reason == f"the bag has {said}"


def test_a_camera_matrix_needs_no_camera_info(table, tmp_path):
    matrix = [str(table.intrinsics[index]) for index in ((0, 0), (1, 1), (0, 2), (1, 2))]
    bag = recorded(table, 1, info=False).write(tmp_path / "in")
    ((_, result),) = run(bag, tmp_path, "--query", "mug", "--camera-matrix", *matrix)["result"]
    assert result.points[0].has_position


def test_part_of_a_bag_and_json(table, tmp_path, capsys):
    bag = recorded(table, 8).write(tmp_path / "in")
    options = ("--query", "mug", "--rate", "0", "--start", "0.15", "--duration", "0.3", "--json")
    written = run(bag, tmp_path, *options)
    stamps = [START + number * PERIOD for number in (2, 3, 4)]
    assert [stamp(result) for _, result in written["result"]] == stamps
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["stamp_ns"] for line in lines] == stamps
    for line, (_, result) in zip(lines, written["result"], strict=True):
        assert line["status"] == "FOUND" and line["frame_id"] == OPTICAL
        assert line["points"][0]["position"] == [getattr(result.points[0].position, axis) for axis in "xyz"]
