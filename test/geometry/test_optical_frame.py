# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Optical frames and others, told apart by names and by a tree of frames built by hand."""

import math

import numpy as np
import pytest

from molmo_ros.geometry.frame_names import plain, shown
from molmo_ros.geometry.optical_frame import BODY_FROM_OPTICAL, doubt
from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError
from molmo_ros.geometry.transform_buffer import TransformBuffer

OPTICAL_RPY = (-math.pi / 2, 0, -math.pi / 2)


def turned(roll=0.0, pitch=0.0, yaw=0.0, xyz=(0.0, 0.0, 0.0)):
    """As URDF's rpy: about the fixed axes x, y, z, one after the other."""
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(one / 2), math.sin(one / 2)) for one in (roll, pitch, yaw))
    quaternion = (
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )
    return RigidTransform(xyz, quaternion)


def asked(frame, *edges):
    """What is said of a frame in a tree of (parent, child, transform)."""
    buffer = TransformBuffer()
    for parent, child, transform in edges:
        buffer.set(parent, child, 0, transform, static=True)

    def relate(target, source):
        try:
            return buffer.lookup(target, source, 5)
        except TransformError:
            return None

    return doubt(frame, buffer.parents(), relate)


def test_the_rotation_is_that_of_rep_103():
    turn = RigidTransform(rotation=BODY_FROM_OPTICAL)
    # optical z is forward (body x), optical x is right (body -y), optical y is down (body -z)
    np.testing.assert_allclose(turn.rotate(np.eye(3)), [[0, -1, 0], [0, 0, -1], [1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(turned(*OPTICAL_RPY).rotation, BODY_FROM_OPTICAL, atol=1e-12)


@pytest.mark.parametrize(
    "frame",
    [
        "camera_color_optical_frame",
        "robot1/camera_optical",
        "zed_left_camera_frame_optical",
        "a/b/cam_optical_frame",
        "camera",
        "default_cam",
        "",
    ],
)
def test_names_that_say_optical_or_nothing_are_not_doubted(frame):
    assert asked(frame) == ("", "")


@pytest.mark.parametrize(
    "frame", ["camera/link/rgbd", "robot/arm/wrist/cam", "tabletop/camera/link/rgbd_camera"]
)
def test_a_simulators_names_are_doubted_without_tf(frame):
    why, beside = asked(frame)
    assert frame in why and beside == ""


@pytest.mark.parametrize("frame", ["camera_link", "camera_color_frame", "camera/link/rgbd", "cam"])
def test_an_optical_child_gives_a_body_away_and_is_named(frame):
    why, beside = asked(frame, (frame, "left_optical_frame", turned(*OPTICAL_RPY, (0.0, 0.015, 0.0))))
    assert "left_optical_frame" in why and beside == "left_optical_frame"


def test_so_does_an_optical_sibling_and_the_nearest_is_named():
    why, beside = asked(
        "camera/link/rgbd",
        ("base", "camera_link", turned(pitch=0.9, xyz=(1.0, 0.0, 0.4))),
        ("camera_link", "camera/link/rgbd", turned()),
        ("camera_link", "camera_optical", turned(*OPTICAL_RPY)),
        ("base", "other_optical", turned(*OPTICAL_RPY)),
        ("camera_link", "far_optical", turned(*OPTICAL_RPY, (0.2, 0.0, 0.0))),
    )
    assert beside == "camera_optical" and "camera_optical" in why


@pytest.mark.parametrize("pitch", [0.0, 0.5, 0.9, -0.6])
def test_a_body_stands_upright_in_the_robots_base(pitch):
    """No optical frame anywhere: x forward and z up, pitched down (or up) as cameras are."""
    why, _ = asked("cam", ("base_link", "cam", turned(0, pitch, 0.7, (0.1, 0.0, 0.5))))
    assert "points up" in why and "'base_link'" in why


@pytest.mark.parametrize("pitch", [0.0, 0.5, 0.9, 1.5, -0.6])
@pytest.mark.parametrize("name", ["cam", "camera_link"])
def test_a_camera_that_looks_along_z_is_not_doubted(pitch, name):
    """The same poses, followed by the turn to the optical frame, under a name that does not say so."""
    pose = turned(0, pitch, 0.7, (0.1, 0.0, 0.5)) @ turned(*OPTICAL_RPY)
    assert asked(name, ("base_link", name, pose)) == ("", "")


def test_a_link_that_nothing_shows_to_be_optical_is_doubted():
    """Straight down with x forward: the vertical does not tell, the name does."""
    down = turned(0, math.pi / 2, 0)
    assert "link's name" in asked("wrist_link", ("base", "wrist_link", down))[0]
    assert asked("wrist_cam", ("base", "wrist_cam", down)) == ("", "")


def test_a_long_name_is_cut_where_it_is_shown():
    assert shown("camera") == "'camera'" and len(shown("x" * 1_000_000)) < 120
    assert len(asked("x" * 1_000_000 + "/a/b")[0]) < 300


def test_leading_slashes_are_no_part_of_a_name():
    assert plain("/base_link") == plain("base_link") == "base_link"
