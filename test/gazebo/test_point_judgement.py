# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Worlds and judgement against pictures that Gazebo rendered, and against mistakes made on purpose."""

from pathlib import Path

import numpy as np
import pytest

from molmo_ros.gazebo.point_judgement import SaidPoint, faults_of
from molmo_ros.gazebo.question_list import QuestionList
from molmo_ros.gazebo.release import HARMONIC
from molmo_ros.geometry.rigid_transform import RigidTransform

HERE = Path(__file__).parent
WORLDS = HERE.parents[1] / "gazebo"
TABLETOP = QuestionList.read(HERE / "tabletop.yaml", WORLDS, HARMONIC)
VIEW = TABLETOP.view()
RECORDED = np.load(HERE / "frames" / "tabletop.npz")


def grid(step):
    rows, columns = np.mgrid[step // 2 : 480 : step, step // 2 : 640 : step]
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


def test_the_world_file_explains_the_depth_that_gazebo_rendered():
    """Poses, shapes, lens and principal point at once: Gazebo's own depth is the truth."""
    pixels = grid(3)
    names = VIEW.seen_at(pixels)
    depth = RECORDED["depth"][pixels[:, 1], pixels[:, 0]]
    for name in TABLETOP.queries | {"table": ""}:
        chosen = np.array([one == name for one in names])
        assert chosen.sum() > 250
        off = np.abs(VIEW.ray_lengths(name, pixels[chosen]) - depth[chosen])
        # Gazebo draws a ball as a polyhedron.
        assert np.median(off) < (5e-5 if name in ("table", "red_cube", "yellow_cube") else 3e-4), name
        assert np.mean(off < 0.001) > 0.97, name  # the rest is at outlines


def test_the_file_says_where_gazebos_colours_are():
    pixels = grid(4)
    names = np.array(VIEW.seen_at(pixels))
    red, green, blue = RECORDED["rgb"][pixels[:, 1], pixels[:, 0]].astype(int).T
    strongest = {
        "red_cube": red > 2 * np.maximum(green, blue),
        "green_ball": green > 1.5 * np.maximum(red, blue),
        "blue_cylinder": blue > 1.5 * np.maximum(red, green),
        "yellow_cube": np.minimum(red, green) > 2 * blue,
    }
    for name, coloured in strongest.items():
        assert np.mean(coloured[names == name]) > 0.95, name
        assert not coloured[names == "table"].mean() > 0.01, name


def truly_seen(name):
    """A point on an object as Gazebo's own depth gives it: at the middle of its pixels."""
    pixels = grid(2)
    own = pixels[np.array(VIEW.seen_at(pixels)) == name]
    column, row = own[np.argmin(np.abs(own - own.mean(axis=0)).sum(axis=1))]
    z = RECORDED["depth"][row, column]
    lens = VIEW.camera
    optical = [(column - lens.cx) / lens.fx * z, (row - lens.cy) / lens.fy * z, z]
    position = VIEW.world_from_optical.apply(np.array([optical]))[0]
    return SaidPoint((column + 0.5, row + 0.5), tuple(position), "tabletop")


@pytest.mark.parametrize("name", TABLETOP.queries)
def test_a_right_answer_has_no_faults(name):
    assert faults_of([truly_seen(name)], name, VIEW) == []


@pytest.mark.parametrize(
    "change, fault",
    [
        ({"position": None}, "no position"),
        ({"frame": "camera_optical_frame"}, "is in 'camera_optical_frame', not in 'tabletop'"),
        ({"pixel": (230.0, 190.0)}, "on blue_cylinder, not on red_cube"),
        ({"pixel": (100.0, 440.0)}, "on table, not on red_cube"),
    ],
)
def test_mistakes_are_named(change, fault):
    (said,) = faults_of([SaidPoint(**(vars(truly_seen("red_cube")) | change))], "red_cube", VIEW)
    assert fault in said


@pytest.mark.parametrize("off, wrong", [(0.009, False), (0.011, True)])
def test_ten_millimetres_are_allowed(off, wrong):
    point = truly_seen("green_ball")
    model = np.array(VIEW.world_from_model["green_ball"].translation)
    away = np.array(point.position) - model
    there = tuple(np.array(point.position) + off * away / np.linalg.norm(away))
    faults = faults_of([SaidPoint(point.pixel, there, point.frame)], "green_ball", VIEW)
    assert bool(faults) == wrong
    assert not wrong or "mm off the surface of green_ball" in faults[0]


def test_no_point_and_two_points_are_faults():
    point = truly_seen("red_cube")
    assert faults_of([], "red_cube", VIEW) == ["red_cube was not found"]
    assert faults_of([point, point], "red_cube", VIEW) == ["2 points where one was asked for"]


def test_what_was_right_is_wrong_after_the_object_has_moved():
    moved = VIEW.world_from_model["red_cube"].translation
    place = RigidTransform((moved[0], moved[1] - 0.1, moved[2]), VIEW.world_from_model["red_cube"].rotation)
    faults = faults_of([truly_seen("red_cube")], "red_cube", TABLETOP.view({"red_cube": place}))
    assert len(faults) == 2 and "on table" in faults[0] and "off the surface" in faults[1]


@pytest.mark.parametrize("world", ["tabletop", "shelf"])
def test_the_camera_sees_every_object_of_the_shipped_worlds(world):
    questions = QuestionList.read(HERE / f"{world}.yaml", WORLDS, HARMONIC)
    view = questions.view()
    names = np.array(view.seen_at(grid(4)))
    for name in questions.queries:
        assert (names == name).sum() * 16 > 800, name
    assert not set(questions.absent) & set(questions.queries.values())
