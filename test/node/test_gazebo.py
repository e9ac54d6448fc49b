# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node in a simulation: pictures that Gazebo rendered, with its topics, headers, clock and defaults."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tf2_msgs")

from std_msgs.msg import String  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from gazebo_player import TABLETOP_VIEW, lens  # noqa: E402
from gazebo_simulation import (  # noqa: E402
    BODY,
    CAMERA,
    IN_BODY,
    IN_WORLD,
    NODE,
    OPTICAL,
    PLAYER,
    Simulation,
    cube_query,
    off_the_cube,
)


@pytest.fixture(scope="module")
def simulation(robot):
    one = Simulation(robot)
    yield one
    one.close()


@pytest.fixture(scope="module")
def live(simulation):
    """A running simulation whose camera is known to TF with its optical frame, and without."""
    simulation.start(play=["--frame-id", OPTICAL])
    body = ("camera_link", OPTICAL, (0.0, 0.0, 0.0), IN_BODY)
    simulation.place(("world", "camera_link", CAMERA, IN_WORLD), body, ("world", BODY, CAMERA, IN_WORLD))
    assert simulation.ask(until="FOUND")["status"] == "FOUND"
    return simulation


@pytest.fixture
def world(live):
    """The running simulation with the player's and the node's defaults."""
    yield live
    defaults = {"frame_id": OPTICAL, "default_k": False, "k": None, "info_size": None, "factor": 1.0}
    defaults |= {"depth_encoding": "32FC1", "infinite_depth": False, "lose_depth": 0.0, "paused": False}
    defaults |= {"silent_after_reset": False}
    if live.player:
        live.tell(**defaults, clock_hz=250.0, frame="tabletop")
        live.robot.set(optical_frame="", target_frame="")


def shown(world, result="FOUND", **changes):
    """Ask after what the player was told, once its pictures have come."""
    world.tell(**changes)
    world.robot.spin(0.5)
    return world.ask(until=result)


def test_a_point_is_on_the_surface_of_what_the_world_holds(world):
    world.robot.set(target_frame="world")
    result = shown(world)
    assert (result["status"], result["position_frame"]) == ("FOUND", "world")
    assert off_the_cube(result["points"][0]["xyz"]) < 0.001


def test_depth_in_millimetres(world):
    world.robot.set(target_frame="world")
    result = shown(world, depth_encoding="16UC1")
    assert off_the_cube(result["points"][0]["xyz"]) < 0.002


@pytest.mark.parametrize(("factor", "clock_hz"), [(0.1, 250.0), (1.0, 1000.0)])
def test_a_slow_world_and_a_fast_clock_are_ordinary(world, factor, clock_hz):
    world.tell(factor=factor, clock_hz=clock_hz)
    world.robot.spin(1.5)
    result = world.ask(until="FOUND")
    assert result["status"] == "FOUND" and result["frame_age_ms"] < 200


def test_after_a_reset_no_picture_of_the_time_before_is_answered(world):
    shown(world)
    world.robot.spin(1.0)
    before = world.ask()["stamp"]["sec"]
    world.tell(wait=False, reset=8)
    answers = []
    while len(answers) < 40 and not (answers and answers[-1]["stamp"]["sec"] == 2):
        answers.append(world.ask())
        world.robot.spin(0.1)
    gone = [one for one in answers if one["status"] == "NO_IMAGE"]
    assert gone and all("since the clock went back by" in one["reason"] for one in gone)
    later = [one for one in answers[answers.index(gone[0]) :] if one not in gone]
    assert before > 3 and {one["status"] for one in later} == {"FOUND"}
    assert [one["stamp"]["sec"] for one in later] == sorted(one["stamp"]["sec"] for one in later)
    assert later[-1]["stamp"]["sec"] == 2


def test_gazebos_own_frame_is_noticed_until_the_optical_one_is_named(world):
    world.robot.set(target_frame="world")
    result = shown(world, None, frame_id=BODY)
    assert (result["status"], result["points"][0]["xyz"]) == ("NO_TRANSFORM", None)
    assert f"set optical_frame to '{OPTICAL}'" in result["reason"]
    assert "set optical_frame" in world.camera()[0]
    world.robot.set(target_frame="")
    assert world.ask()["status"] == "NO_DEPTH"
    world.robot.set(target_frame="world", optical_frame=OPTICAL)
    result = world.ask()
    assert result["position_frame"] == "world" and off_the_cube(result["points"][0]["xyz"]) < 0.001


def test_a_simulators_frame_that_nothing_knows_is_named_with_what_is_to_be_published(world):
    world.robot.set(target_frame="world")
    result = shown(world, None, frame_id="robot/head/rgbd")
    assert result["status"] == "NO_TRANSFORM"
    for word in (
        "'robot/head/rgbd' is unknown",
        "set optical_frame to 'robot/head/rgbd_optical",
        "--roll -1.5708",
    ):
        assert word in result["reason"]


def test_a_links_name_is_a_warning_until_the_user_says_that_it_is_optical(world):
    assert shown(world, frame_id="head_link")["position_frame"] == "head_link"
    assert "'head_link', a link's name" in world.camera()[0] and "set optical_frame to" in world.camera()[0]
    world.robot.set(target_frame="world")
    result = world.ask()
    assert result["status"] == "NO_TRANSFORM" and "set optical_frame to" in result["reason"]
    world.robot.set(target_frame="", optical_frame="head_link")
    assert world.ask()["status"] == "FOUND"
    assert "link's name" not in world.camera()[0]


def test_sdfs_default_calibration_is_named_with_what_to_write(world):
    result = shown(world, None, default_k=True)
    assert result["status"] == "NO_DEPTH"
    for word in ("640x480", "<intrinsics>", "camera_matrix", "cx = 319.5", "tan(horizontal_fov / 2)"):
        assert word in result["reason"]
    assert "SDF's default" in world.camera()[0]


def test_a_calibration_of_another_resolution_is_not_scaled_unasked(world):
    fx, _, cx, cy = lens(1280, 960, TABLETOP_VIEW)
    result = shown(world, None, info_size=[1280, 960], k=[fx, fx, cx, cy])
    assert result["status"] == "NO_DEPTH"
    given = re.search(r"to \[(.*?)\] where the picture is the whole view", result["reason"])
    world.robot.set(camera_matrix=[float(one) for one in given[1].split(",")], target_frame="world")
    result = world.ask()
    world.robot.set(camera_matrix=[0.0] * 4)
    assert off_the_cube(result["points"][0]["xyz"]) < 0.001


def test_infinite_depth_is_called_that(world):
    result = shown(world, None, infinite_depth=True)
    assert result["status"] == "NO_DEPTH" and "<clip><far>" in result["reason"]


def test_lost_depth_is_told_as_a_loss(world):
    world.tell(lose_depth=0.3, clock_hz=500.0, factor=4.0)  # the less to wait
    world.robot.spin(2.0)
    world.tell(factor=1.0)
    results = [world.ask() for _ in range(12) if world.robot.spin(0.1) is None]
    lost = [one["reason"] for one in results if one["status"] == "NO_DEPTH"]
    assert lost and len(lost) < 12
    for reason in lost:
        assert "the depth image of that moment never arrived" in reason and "tolerance" not in reason
        assert "qos_overrides./camera/depth_image.subscription.reliability" in reason
    # By itself, or as the reason of the last answer.
    said = world.camera()[0]
    assert "of the depth images do not arrive" in said or "% of them are lost" in said


def test_what_was_there_is_located_where_it_was(world, gate):
    """An object that falls off the table while the model thinks."""
    world.robot.set(target_frame="world")
    fx, _, cx, cy = lens(640, 480, TABLETOP_VIEW)
    shown(world, k=[fx, fx, cx, cy])
    before = len(world.robot.heard["result"])
    world.robot.publish("query", String(data=f"{gate} {cube_query()}"))
    world.robot.spin(0.3)
    world.tell(frame="user_00")
    world.robot.spin(0.5)
    gate.open()
    result = world.robot.next_result(before)
    assert result["status"] == "FOUND"
    assert off_the_cube(result["points"][0]["xyz"]) < 0.001
    later = world.ask()
    gone = later["points"][0]["xyz"]
    assert gone is None or off_the_cube(gone) > 0.01
    assert (later["stamp"]["sec"], later["stamp"]["nanosec"]) > (
        result["stamp"]["sec"],
        result["stamp"]["nanosec"],
    )


def test_a_paused_world_is_told(world):
    shown(world, paused=True)
    world.robot.spin(2.5)
    assert world.ask()["status"] == "FOUND"  # nothing has moved since
    message, _ = world.camera()
    assert "no new image: the clock stands at" in message and "paused?" in message
    world.tell(reset=0)
    world.robot.spin(0.5)
    result = world.ask()
    assert result["status"] == "NO_IMAGE"
    for said in (result["reason"], world.camera()[0]):
        assert "since the clock went back by" in said and "the clock stands at 0.000 s" in said


def test_cameras_that_are_silent_after_a_reset(world):
    """As those of Gazebo Fortress, until the time comes again at which they were."""
    shown(world)
    world.robot.spin(1.5)
    world.tell(reset=3, silent_after_reset=True)
    world.robot.spin(0.3)
    result = world.ask()
    assert result["status"] == "NO_IMAGE" and "since the clock went back by" in result["reason"]
    assert "start it anew" in result["reason"]
    assert world.ask(until="FOUND")["status"] == "FOUND"


def test_two_clocks_are_told(world):
    command = [sys.executable, str(PLAYER), "--cameras", "--begin", "500"]
    with subprocess.Popen(command, env=world.environment, stdin=subprocess.PIPE) as second:
        world.robot.spin_until(lambda: "2 publishers set the time on /clock" in world.camera()[0])
        second.terminate()
    world.tell(reset=0)
    assert world.ask(until="FOUND")["status"] == "FOUND"


def test_what_is_wrong_is_logged_once(world):
    for _ in range(2):
        shown(world, None, frame_id=BODY)
        world.camera()
        world.camera()
        shown(world, frame_id=OPTICAL)
        world.camera()
    world.close()
    assert world.log.count(f"the picture is in the frame '{BODY}', which is no optical frame") == 1
    assert re.search(r"the clock went back from \d+\.\d{3} s to 0\.\d{3} s", world.log)


def test_another_topic_and_a_world_that_never_ran(simulation):
    simulation.start(play=["--paused"], image="image_raw")
    reason = simulation.reason("clock stands")
    for said in (reason, simulation.camera()[0]):
        assert "nobody publishes it" in said and "/camera/image" in said and "remap it" in said
        assert "the clock stands at 0.000 s: is the simulation paused?" in said


def test_no_clock_and_a_world_without_the_sensor(simulation):
    simulation.start(play=["--without", "image", "clock"])
    reason = simulation.reason("is there a sensor")
    for said in (reason, simulation.camera()[0]):
        assert (
            "no image has arrived" in said
            and "is there a sensor" in said
            and "nobody publishes /clock" in said
        )


def test_two_cameras_with_one_frame(simulation):
    simulation.start(
        *("-p", "cameras:=[left,right]", "-p", "target_frame:=world"),
        *("-r", "left/depth:=left/depth_image", "-r", "right/depth:=right/depth_image"),
        play=["--frame-id", OPTICAL, "--cameras", "left", "right"],
        image="left/image",
    )
    result = simulation.ask(until="NO_TRANSFORM")
    assert "set optical_frame to 'left=FRAME right=FRAME'" in result["reason"]
    simulation.robot.set(target_frame="")
    assert simulation.ask()["status"] == "FOUND"
    assert "left, right all name the frame" in simulation.camera("left")[0]
    simulation.robot.set(optical_frame=f"left={OPTICAL} right=elsewhere", target_frame="world")
    result = simulation.ask()
    assert off_the_cube(result["points"][0]["xyz"]) < 0.001


def test_the_embedded_model_in_gazebos_picture(simulation):
    simulation.start("-p", "target_frame:=world", play=["--frame-id", OPTICAL], script=NODE)
    result = simulation.ask("the red cube", until="FOUND")
    assert off_the_cube(result["points"][0]["xyz"]) < 0.01
    assert simulation.ask("the screwdriver")["status"] == "NOT_FOUND"
