# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros bag`: what it refuses, how it ends, and that what was done is kept."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("rosbags")
sys.path.insert(0, str(Path(__file__).parents[1] / "bag"))

from recordings import LATENCY, PERIOD, START, Recording, image, recorded, transform  # noqa: E402
from rosbags.highlevel import AnyReader  # noqa: E402

from molmo_ros.cli.main import main  # noqa: E402
from molmo_ros.sim.renderer import render  # noqa: E402
from molmo_ros.sim.scene import Scene  # noqa: E402


@pytest.fixture(scope="module")
def table():
    return render(Scene.random(0), 640, 480)


@pytest.fixture
def bag(table, tmp_path):
    return recorded(table, 2).write(tmp_path / "in", mcap=True)


def results(path):
    with AnyReader([path]) as reader:
        asked = [one for one in reader.connections if one.topic == "/molmo_node/result"]
        return [reader.deserialize(data, one.msgtype) for one, _, data in reader.messages(asked)]


def refused(capsys, *arguments):
    """The one line on stderr of a call that ends with 2."""
    assert main(["bag", *map(str, arguments)]) == 2
    lines = [
        line for line in capsys.readouterr().err.splitlines() if "%|" not in line and "reading" not in line
    ]
    assert len(lines) == 1 and lines[0].startswith("molmo-ros: "), lines
    return lines[0]


def test_the_default_name_is_beside_the_bag(bag, tmp_path, capsys):
    assert main(["bag", str(bag), "--query", "mug"]) == 0
    assert [one.status for one in results(tmp_path / "in" / "in_molmo.mcap")] == ["FOUND"]
    assert "1 FOUND" in capsys.readouterr().out
    assert sorted(path.name for path in bag.parent.iterdir()) == ["in.mcap", "in_molmo.mcap", "metadata.yaml"]


def test_an_existing_file_is_kept_without_force(bag, tmp_path, capsys):
    out = tmp_path / "out.mcap"
    out.write_text("precious")
    assert "--force" in refused(capsys, bag, "--query", "mug", "--out", out)
    assert out.read_text() == "precious"
    assert main(["bag", str(bag), "--query", "mug", "--out", str(out), "--force"]) == 0
    assert len(results(out)) == 1


def test_the_bag_itself_is_never_written_to(bag, capsys):
    before = bag.read_bytes()
    assert "is the bag that is read" in refused(capsys, bag, "--query", "mug", "--out", bag, "--force")
    assert bag.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--query", " "], "the query is empty"),
        (["--query", "@a mug", "--query", "@b mug"], "a, b"),
        (["--query", "@wrist mug"], "'wrist'"),
        (["--query", "mug", "--image", "/camera_info"], "sensor_msgs/msg/CameraInfo"),
        (["--query", "mug", "--start", "60"], "--start 60"),
        (["--query", "mug", "--out", "out.bag"], ".mcap"),
        (["--query", "mug", "--out", "nowhere/out.mcap"], "nowhere is no folder"),
        (["--query", "mug", "--model", "unknown-model"], "unknown-model"),
    ],
)
def test_bad_arguments(options, said, bag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, bag, *options)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert not list(bag.parent.glob("*molmo*"))


def test_what_is_no_bag(bag, tmp_path, capsys):
    whole = bag.read_bytes()
    for name, content, said in (
        ("missing.mcap", None, "there is no bag"),
        ("empty.mcap", b"", "is empty"),
        ("text.mcap", b"hello" * 99, "cannot be read"),
        ("cut.mcap", whole[:999], "cannot be read: it ends within a chunk"),
        ("cut.db3", b"SQLite format 3\x00" + bytes(99), "cannot be read"),
        ("old.bag", b"#ROSBAG V2.0\n", "rosbags-convert"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        assert said in refused(capsys, path, "--query", "mug")
    assert "no file in it ends with" in refused(capsys, Path(__file__).parent, "--query", "mug")


def test_bags_without_pictures(table, tmp_path, capsys):
    recording = Recording()
    recording.write(tmp_path / "empty")
    assert "holds no messages" in refused(capsys, tmp_path / "empty", "--query", "mug")
    recording.add("/tf", transform("a", "b", START, (0.0, 0.0, 0.0)), START)
    recording.write(tmp_path / "blind")
    assert "no topic with pictures" in refused(capsys, tmp_path / "blind", "--query", "mug")
    recording.add("/left", image(table.rgb, "rgb8", START), START)
    recording.add("/right", image(table.rgb, "rgb8", START), START)
    recording.write(tmp_path / "two")
    assert "/left, /right" in refused(capsys, tmp_path / "two", "--query", "mug")
    assert main(["bag", str(tmp_path / "two"), "--query", "mug", "--image", "/left"]) == 0
    assert len(results(tmp_path / "two_molmo.mcap")) == 1


def test_a_bag_that_is_damaged_in_the_middle(table, tmp_path, capsys):
    """What is before and behind the damage is asked about; how much is missing is said."""
    bag = recorded(table, 30, depth=False).write(tmp_path / "in", mcap=True)
    content = bytearray(bag.read_bytes())
    at = content.index(image(table.rgb, "rgb8", START + 15 * PERIOD).data[:99].tobytes(), len(content) // 2)
    content[at - 200 : at] = 200 * b"\xff"
    bag.write_bytes(content)
    out = tmp_path / "out.mcap"
    assert main(["bag", str(bag), "--query", "mug", "--rate", "2", "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "1 of 16 chunks are damaged and left out" in said
    asked = [one.header.stamp.sec * 10**9 + one.header.stamp.nanosec for one in results(out)]
    assert 5 <= len(asked) <= 6
    assert asked[0] == START and asked[-1] == START + 25 * PERIOD


def test_a_recording_that_was_cut(table, tmp_path, capsys):
    bag = recorded(table, 10).write(tmp_path / "in", mcap=True)
    bag.write_bytes(bag.read_bytes()[: bag.stat().st_size * 2 // 3])
    out = tmp_path / "out.mcap"
    assert main(["bag", str(bag), "--query", "mug", "--rate", "5", "--out", str(out)]) == 2
    assert "it ends within a chunk" in capsys.readouterr().err
    assert [one.status for one in results(out)][:3] == [
        "FOUND"
    ] * 3  # of the last one only the picture is there


def test_a_bag_of_which_no_picture_can_be_read_is_a_failure(table, tmp_path, capsys):
    recording = recorded(table, 3)
    recording.messages = [
        (topic, kind, time, data.replace(b"rgb8", b"rgb7")) for topic, kind, time, data in recording.messages
    ]
    out = tmp_path / "out.mcap"
    assert main(["bag", str(recording.write(tmp_path / "in")), "--query", "mug", "--out", str(out)]) == 2
    assert "no picture of /image could be answered" in capsys.readouterr().err.splitlines()[-1]
    assert [one.status for one in results(out)] == ["ERROR"]


def test_interrupted_runs_are_kept(table, tmp_path):
    bag = recorded(table, 60, depth=False).write(tmp_path / "in")
    out = tmp_path / "out.mcap"
    command = [sys.executable, "-m", "molmo_ros.cli.main", "bag", bag, "--query", "mug", "--rate", "0"]
    with subprocess.Popen(
        [*command, "--json", "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        lines, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted after" in said.splitlines()[-1] and "of 5.9 s" in said.splitlines()[-1]
    kept = results(out)
    assert len(kept) == 1 + len(lines.splitlines()) < 60
    assert {one.status for one in kept} == {"FOUND"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.mcap"]


def test_latency_does_not_matter(table, tmp_path):
    """The age in the result is that of the recording, whenever it is looked at."""
    recorded(table, 1).write(tmp_path / "in")
    assert main(["bag", str(tmp_path / "in"), "--query", "mug"]) == 0
    (result,) = results(tmp_path / "in_molmo.mcap")
    assert (result.start_age.sec, result.start_age.nanosec) == (0, LATENCY)
