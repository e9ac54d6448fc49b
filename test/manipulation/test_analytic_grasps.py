# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Grasps of boxes, cylinders and balls whose shape and place are known, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from simulated import plane_of, region_of, surface_of

from molmo_ros.geometry import RigidTransform, quaternion
from molmo_ros.manipulation.approach_frame import ApproachFrame
from molmo_ros.manipulation.grasp import TOP
from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.manipulation.obstacles import OpenGripper
from molmo_ros.manipulation.scene_grasps import plan_grasps
from molmo_ros.regions.region import ObjectRegion, Plane, PointsOn, SceneRegions
from molmo_ros.sim.scene import Camera

WIDTH, HEIGHT, FOCAL = 640, 480, 560.0
K = np.array([[FOCAL, 0, 319.5], [0, FOCAL, 239.5], [0, 0, 1]])
CAMERA = Camera.looking_at(np.array([0.0, 0.0, 0.03]), 0.4, 0.8, 0.6, 0.0, 0.8)
NOTHING = np.inf


def rays():
    """[h, w, 3] in the world, so long that their depth is 1 m."""
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    optical = np.stack([(columns - 319.5) / FOCAL, (rows - 239.5) / FOCAL, np.ones((HEIGHT, WIDTH))], axis=2)
    return optical @ CAMERA.world_from_optical.T


def box_depth(size, yaw=0.0, x=0.0, y=0.0):
    """Depth of a box of that size that stands at a place of the table."""
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    origin = (CAMERA.position - (x, y, size[2] / 2)) @ turn
    way = rays() @ turn
    with np.errstate(divide="ignore"):
        a, b = ((side * np.array(size) / 2 - origin) / way for side in (-1, 1))
    near, far = np.minimum(a, b).max(axis=2), np.maximum(a, b).min(axis=2)
    return np.where((near < far) & (near > 0), near, NOTHING)


def ball_depth(radius, x=0.0, y=0.0):
    origin, way = CAMERA.position - (x, y, radius), rays()
    a, b = (way * way).sum(axis=2), way @ origin
    root = b * b - a * (origin @ origin - radius**2)
    return np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, NOTHING)


def cylinder_depth(radius, height, x=0.0, y=0.0):
    origin, way = CAMERA.position - (x, y, 0), rays()
    a, b = (way[..., :2] ** 2).sum(axis=2), way[..., :2] @ origin[:2]
    root = b * b - a * (origin[:2] @ origin[:2] - radius**2)
    side = (-b - np.sqrt(np.maximum(root, 0))) / a
    up = origin[2] + side * way[..., 2]
    side = np.where((root > 0) & (up > 0) & (up < height), side, NOTHING)
    lid = (height - origin[2]) / way[..., 2]
    at = origin[:2] + lid[..., None] * way[..., :2]
    return np.minimum(side, np.where((at**2).sum(axis=2) < radius**2, lid, NOTHING))


def scene_of(*depths, noise=0.0005):
    """The table and some things on it, each a region."""
    table = -CAMERA.position[2] / rays()[..., 2]
    table = np.where(table > 0, table, NOTHING)
    every = np.stack([table, *depths])
    depth, label = every.min(axis=0), every.argmin(axis=0)
    depth = depth + np.random.default_rng(0).normal(0, noise, depth.shape)
    surface = surface_of(np.where(depth < 3, depth, np.nan).astype(np.float32), K)
    support = plane_of(CAMERA)
    regions = tuple(region_of(surface, label == number, support) for number in range(1, len(every)))
    return SceneRegions(surface, (support,), regions)


def in_world(grasp):
    """Origin [3], closing axis [3] and approach axis [3] in the world."""
    x, y, z = CAMERA.position.tolist()
    world_from_optical = RigidTransform((x, y, z), quaternion.from_matrix(CAMERA.world_from_optical))
    pose = world_from_optical @ grasp.optical_from_grasp
    closing, approach = pose.rotate(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    return np.array(pose.translation), closing, approach


def best(scene, gripper=None, number=0):
    grasps = plan_grasps(scene, gripper or Gripper())[number]
    assert grasps.grasps, grasps.reason
    return grasps.grasps[0]


@pytest.mark.parametrize("yaw", [0.0, 0.5, 1.2])
def test_a_box_is_gripped_across_its_narrow_side_in_the_middle(yaw):
    grasp = best(scene_of(box_depth((0.12, 0.04, 0.05), yaw, 0.03, -0.02)))
    origin, closing, approach = in_world(grasp)
    assert grasp.width == pytest.approx(0.04, abs=0.003)
    assert grasp.width + 0.006 - 1e-6 <= grasp.opening <= 0.085
    assert abs(closing @ (-np.sin(yaw), np.cos(yaw), 0)) == pytest.approx(1, abs=0.005)
    assert approach == pytest.approx((0, 0, -1), abs=1e-6) and grasp.approach == TOP
    assert (origin - (0.03, -0.02, 0)) @ closing == pytest.approx(0, abs=0.003)
    assert np.hypot(*(origin[:2] - (0.03, -0.02))) < 0.02 and 0.004 < origin[2] < 0.05


@pytest.mark.parametrize("radius", [0.02, 0.03, 0.038])
def test_a_ball_is_gripped_about_its_middle_though_its_far_side_is_hidden(radius):
    grasp = best(scene_of(ball_depth(radius, 0.02, 0.01)))
    origin, _, _ = in_world(grasp)
    assert grasp.width == pytest.approx(2 * radius, abs=0.004)
    assert np.hypot(*(origin[:2] - (0.02, 0.01))) < 0.004
    assert origin[2] <= radius + 0.002


@pytest.mark.parametrize("height", [0.03, 0.10])
def test_a_cylinder_is_as_wide_as_its_diameter(height):
    grasp = best(scene_of(cylinder_depth(0.025, height)))
    origin, _, _ = in_world(grasp)
    assert grasp.width == pytest.approx(0.05, abs=0.003)
    assert np.hypot(*origin[:2]) < 0.004


def test_too_wide_says_both_measures():
    (grasps,) = plan_grasps(scene_of(box_depth((0.13, 0.112, 0.05))), Gripper())
    assert not grasps.grasps
    assert "across its narrowest side, the gripper opens to 0.085 m" in grasps.reason
    assert float(grasps.reason.split("is ")[1].split(" m")[0]) == pytest.approx(0.112, abs=0.006)


def test_too_flat_says_how_high_it_is():
    (grasps,) = plan_grasps(scene_of(box_depth((0.06, 0.06, 0.007)), noise=0.0), Gripper())
    assert not grasps.grasps and "m high" in grasps.reason


def test_the_camera_does_not_matter_a_turned_optical_frame_gives_the_same_grasp():
    scene = scene_of(box_depth((0.10, 0.035, 0.05), 0.7))
    turn = RigidTransform((0.1, -0.05, 0.2), quaternion.from_matrix(_about_z(0.3)))
    moved = _moved(scene, turn)
    before, after = best(scene), best(moved)
    expected = turn @ before.optical_from_grasp
    assert after.width == pytest.approx(before.width, abs=0.002)
    off = np.array(after.optical_from_grasp.translation) - expected.translation
    assert np.linalg.norm(off) < 0.012
    closing = [p.rotate(np.array([[0.0, 1.0, 0.0]]))[0] for p in (after.optical_from_grasp, expected)]
    assert abs(closing[0] @ closing[1]) > 0.99


def _about_z(angle):
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def _moved(scene, turn):
    """The same scene in another frame; pixels stay."""
    surface = turn.apply(scene.surface.reshape(-1, 3)).reshape(scene.surface.shape).astype(np.float32)
    x, y, z = turn.rotate(np.array([scene.supports[0].normal]))[0].tolist()
    support = Plane((x, y, z), scene.supports[0].offset + float(np.dot((x, y, z), turn.translation)))
    regions = tuple(
        replace(region, points=turn.apply(region.points).astype(np.float32), support=support)
        for region in scene.regions
    )
    return SceneRegions(surface, (support,), regions)


def test_fingers_and_hand_stay_out_of_a_neighbour():
    ball, wall = ball_depth(0.025), box_depth((0.16, 0.02, 0.05), 0.0, 0.0, -0.045)
    grasp = best(scene_of(ball, wall))
    origin, closing, approach = in_world(grasp)
    axes = np.stack([np.cross(closing, approach), closing, approach], axis=1)
    volume = np.concatenate(list(_volume(grasp.opening, Gripper()))) @ axes.T + origin
    faces = np.abs(volume - (0.0, -0.045, 0.025)) - (0.08, 0.01, 0.025)
    away = np.linalg.norm(np.maximum(faces, 0), axis=1).min()
    assert 0 < grasp.clearance <= away + 0.004


def test_clearance_is_the_brute_force_distance_from_the_swept_gripper():
    rng = np.random.default_rng(4)
    gripper = Gripper()
    points = rng.uniform(-0.12, 0.12, (40, 3))
    places, angles = rng.uniform(-0.02, 0.02, (6, 3)), rng.uniform(0, np.pi, 6)
    openings = rng.uniform(0.03, 0.085, 6)
    found = OpenGripper(places, angles, openings, gripper).clearance(points)
    frame = ApproachFrame(np.zeros(3), np.eye(3), TOP)
    for place, angle, opening, clearance in zip(places, angles, openings, found, strict=True):
        pose = frame.optical_from_grasp(*place.tolist(), float(angle))
        least = min(
            np.linalg.norm(pose.apply(part)[:, None] - points[None], axis=2).min()
            for part in _volume(opening, gripper)
        )
        assert clearance == pytest.approx(least, abs=0.004)


def _volume(opening, gripper, step=0.004):
    """Points of both fingers and of the hand, and of what they sweep, in the grasp's frame."""

    def filled(x, y, z):
        axes = [np.linspace(a, b, max(2, int((b - a) / step) + 2)) for a, b in (x, y, z)]
        return np.stack([grid.ravel() for grid in np.meshgrid(*axes)], axis=1)

    half, inner = gripper.finger_width / 2, opening / 2
    outer = inner + gripper.finger_thickness
    yield filled((-half, half), (inner, outer), (-0.3, 0))
    yield filled((-half, half), (-outer, -inner), (-0.3, 0))
    x, y = gripper.hand_thickness / 2, gripper.hand_width / 2
    yield filled((-x, x), (-y, y), (-0.3, -gripper.finger_depth))


def test_anything_gets_an_answer_be_it_large_thin_empty_or_many():
    rng = np.random.default_rng(0)
    surface = surface_of(rng.uniform(0.4, 0.6, (HEIGHT, WIDTH)).astype(np.float32), K)
    surface[rng.random((HEIGHT, WIDTH)) < 0.3] = np.nan
    masks = np.zeros((5, HEIGHT, WIDTH), bool)
    masks[0, :, : WIDTH // 2] = True
    masks[1, 100, :] = True
    masks[2, :, 7] = True
    masks[3, 5:9, 5:9] = True
    masks[4, 40:90, 40:90] = True
    surface[40:90, 40:90] = np.nan
    nothing = ObjectRegion.none(PointsOn.UNKNOWN, "nothing is there")
    for support in (None, plane_of(CAMERA), Plane((0.0, 0.0, -1.0), -0.5)):
        regions = (*(region_of(surface, mask, support) for mask in masks), nothing)
        planned = plan_grasps(SceneRegions(surface, (), regions * 80), Gripper())
        assert len(planned) == 480
        for grasps in planned:
            assert bool(grasps.grasps) != bool(grasps.reason)
            assert (grasps.suction is None) == bool(grasps.suction_reason)
        assert planned[-1].reason == planned[-1].suction_reason == "nothing is there"
