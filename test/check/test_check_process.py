# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The check against cameras in processes of their own, with one thing wrong each; and that its lines cure it."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from benchmarks.check_camera import arguments, check  # noqa: E402

AT_ONCE = 3
SECONDS = 3.0
LONG = 8.0
NOISE = {("WARNING", subject) for subject in ("losses", "alignment", "machine", "rate")}
"""What a machine that runs other tests beside these may add."""
CURED = {  # by the fault: what is found, what the line begins with, and the line where it names a lens
    "body_frame": ("frame", "optical_frame:=camera_optical_frame"),
    "other_resolution": ("calibration", "camera_matrix:=[554.26, 554.26, 320.00, 240.00]"),
    "no_sim_time": ("stamps", "use_sim_time:=true"),
    "wrong_topic": ("topic", "image:=/camera/image"),
    "wrong_target": ("transform", "target_frame:=world"),
}
SAID = {
    "sensor_frame": ("WRONG", "frame", "<optical_frame_id>camera_optical_frame</optical_frame_id>"),
    "default_k": ("WRONG", "calibration", "[554.38, 554.38, 319.5, 239.5] for 1.047"),
    "paused": ("WRONG", "clock", "is the simulation paused?"),
    "two_clocks": ("WRONG", "clock", "/bag_player, /gazebo_bridge"),
    "millimetres": ("WARNING", "depth", "32FC1 is in metres, and the median is 518"),
    "depth_camera": ("WRONG", "alignment", "depth is in the frame 'camera_depth_optical_frame'"),
}


def line_of(change, beginning):
    """The argument in a change, as a user copies it."""
    start = change.index(beginning.partition("=")[0])
    return re.match(r"[a-z_]+:=(\[.*?\]|[^ ;:,]+)", change[start:])[0]


def run(fault, claim):
    """The check of a fault, and the one with its line, where it has one."""
    with claim() as domain:
        given = [] if fault == "none" else None
        first = check(fault, LONG if fault in ("reset", "depth_lost") else SECONDS, given, domain)
        if fault not in CURED or ("WRONG", CURED[fault][0]) not in found(first):
            return first, None
        change = next(change for _, subject, _, change in first.findings if subject == CURED[fault][0])
        line = line_of(change, CURED[fault][1])
        return first, (line, check(fault, SECONDS, [*arguments(fault), line], domain))


@pytest.fixture(scope="module")
def checked(claim):
    """Of each fault, its check and the cured one: several at once, for most of each is waiting."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = {
            fault: pool.submit(run, fault, claim) for fault in ("none", "reset", "depth_lost", *CURED, *SAID)
        }
        yield lambda fault: jobs[fault].result()


def found(one):
    return {(grade, subject) for grade, subject, *_ in one.findings if grade != "NOTE"}


def noise(one):
    """What others on the machine may do to a check; where they leave it no time, pictures are too old."""
    busy = {("WRONG", "stamps"), ("WARNING", "clock")} if ("WARNING", "machine") in found(one) else set()
    return NOISE | busy


def wrong(one):
    return {finding for finding in found(one) if finding[0] == "WRONG"}


def test_nothing_is_wrong_and_topics_are_found(checked):
    one, _ = checked("none")
    assert found(one) <= noise(one), one
    assert one.code == bool(found(one))
    assert "image on /camera/image: 640x480 rgb8" in one.text
    assert "depth on /camera/depth_image: 640x480 32FC1" in one.text
    assert "(1.047 rad wide)" in one.text  # the lens that the picture was rendered with
    assert "camera: points in metres in the frame 'camera_optical_frame'" in one.text


@pytest.mark.parametrize("fault", CURED)
def test_the_line_cures_it(checked, fault):
    one, cured = checked(fault)
    subject, beginning = CURED[fault]
    assert one.code == 1 and wrong(one) - noise(one) <= {("WRONG", subject)} <= wrong(one), one
    line, after = cured
    assert line.startswith(beginning)
    assert found(after) <= noise(after), (line, after)
    assert "points in metres in the frame" in after.text


@pytest.mark.parametrize("fault", SAID)
def test_what_it_says(checked, fault):
    one, _ = checked(fault)
    grade, subject, said = SAID[fault]
    assert one.code == 1 and (grade, subject) in found(one), one
    assert said in one.text


def test_a_reset_tells_from_which_time_to_which(checked):
    one, _ = checked("reset")
    (text,) = (text for _, subject, text, _ in one.findings if subject == "clock")
    before, after = map(float, re.search(r"went back from ([\d.]+) s to ([\d.]+) s", text).groups())
    assert before - after == pytest.approx(5.0, abs=0.5)


def test_lost_depth_is_named_and_where_it_is_lost(checked):
    one, _ = checked("depth_lost")
    (change,) = (
        change
        for _, subject, text, change in one.findings
        if subject == "losses" and re.match(r"\d+% of the depth images do not arrive", text)
    )
    assert change.startswith("qos_overrides./camera/depth_image.subscription.reliability:=reliable")


def test_arguments_that_are_refused():
    one = check("none", SECONDS, given=["rate:=-1.0"])
    assert (one.code, one.text) == (2, "") and "rate = -1.0 is refused" in one.errors
