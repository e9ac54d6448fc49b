# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Depth of another camera in the picture, against planes that are known, and what a ray caster sees from there."""

import tracemalloc
from functools import lru_cache

import cv2
import numpy as np
import pytest

from molmo_ros.geometry import CameraInfoError, PinholeCamera, RigidTransform
from molmo_ros.geometry.depth import SURFACE_GAP_M, SURFACE_GAP_RATIO
from molmo_ros.geometry.optical_frame import BODY_FROM_OPTICAL
from molmo_ros.geometry.quaternion import from_matrix
from molmo_ros.geometry.registration import register_depth, register_points, share_in_view
from molmo_ros.sim.renderer import _cast
from molmo_ros.sim.scene import Scene

RGB = PinholeCamera(460.0, 462.0, 322.3, 178.1, 640, 360)
DEPTH = PinholeCamera(212.0, 212.5, 210.8, 121.2, 424, 240)
BESIDE = RigidTransform((0.015, 0.002, -0.001), from_matrix(cv2.Rodrigues(np.array([0.01, -0.02, 0.015]))[0]))
LENS = {"model": "plumb_bob", "distortion": (-0.15, 0.05, 0.001, -0.001, 0.0)}


def bent(camera, **lens):
    return PinholeCamera(
        camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height, **(lens or LENS)
    )


@lru_cache
def rays(camera):
    """x / z, y / z, 1 of each pixel, [h * w, 3]."""
    pixels = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1).reshape(-1, 2)
    return camera.deproject(pixels, np.ones(len(pixels)))


def image_of_plane(camera, normal, offset):
    """Depth of the plane normal @ p = offset in the camera's optical frame."""
    return (offset / (rays(camera) @ normal)).reshape(camera.height, camera.width)


def plane_pair(depth_camera, camera, optical_from_depth, normal, offset):
    """The plane, given in the picture's frame, as both cameras see it."""
    turned = optical_from_depth.inverse().rotate(np.array([normal]))[0]
    moved = offset - float(np.dot(normal, optical_from_depth.translation))
    return image_of_plane(depth_camera, turned, moved), image_of_plane(camera, np.array(normal), offset)


def ray_cast(scene, camera, world_from_optical):
    """Depth of a scene as a camera of any lens sees it."""
    own = rays(camera)
    seen = np.isfinite(own).all(axis=1)
    origin = np.array(world_from_optical.translation)
    distance, geom, _ = _cast(scene, origin, world_from_optical.rotate(np.nan_to_num(own)))
    return np.where((geom >= 0) & seen, distance, np.nan).reshape(camera.height, camera.width)


def world_from_picture(scene):
    x, y, z = scene.camera.position.tolist()
    return RigidTransform((x, y, z), from_matrix(scene.camera.world_from_optical))


def visible(truth, camera, depth, depth_camera, optical_from_depth):
    """Which pixels' surface the depth camera saw as well, by its own depth at the nearest pixel."""
    points = rays(camera) * truth.reshape(-1, 1)
    there = optical_from_depth.inverse().apply(points)
    pixels = np.nan_to_num(depth_camera.project(there), nan=-9)
    column, row = np.rint(pixels).astype(int).T
    inside = (
        (column >= 1)
        & (row >= 1)
        & (column < depth_camera.width - 1)
        & (row < depth_camera.height - 1)
        & np.isfinite(truth.ravel())
    )
    seen = np.zeros(len(points), bool)
    apart = np.abs(depth[row[inside], column[inside]] - there[inside, 2])
    seen[inside] = apart < np.maximum(SURFACE_GAP_M, SURFACE_GAP_RATIO * there[inside, 2])
    return seen.reshape(truth.shape)


@pytest.mark.parametrize(
    ("depth_camera", "camera"),
    [
        (DEPTH, RGB),
        (bent(DEPTH), RGB),
        (DEPTH, bent(RGB)),
        (bent(DEPTH, model="equidistant", distortion=(0.01, -0.002, 0.0, 0.0)), bent(RGB)),
        (DEPTH, bent(RGB, model="rational_polynomial", distortion=(0.3, -0.1, 0, 0, 0.01, 0.6, -0.2, 0.02))),
        (DEPTH, bent(RGB, model="equidistant", distortion=(0.02, 0.0, 0.0, 0.0))),
        (RGB, DEPTH),
        (DEPTH, DEPTH),
        (
            DEPTH,
            PinholeCamera.from_camera_info(
                k=(920.0, 0, 640.2, 0, 921.0, 355.0, 0, 0, 1),
                width=1280,
                height=720,
                roi=(200, 100, 800, 500),
                binning=(2, 2),
            ),
        ),
    ],
)
@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.1, -0.8, 0.6), (0.5, 0.3, 0.8)])
def test_planes_come_out_as_planes(depth_camera, camera, normal):
    depth, truth = plane_pair(depth_camera, camera, BESIDE, np.array(normal), 0.7)
    depth[(depth > 5) | (depth <= 0)] = np.nan
    truth[(truth > 4) | (truth <= 0)] = np.nan
    registered = register_depth(depth, depth_camera, camera, BESIDE)
    assert registered.dtype == np.float32 and registered.shape == (camera.height, camera.width)
    seen = visible(truth, camera, depth, depth_camera, BESIDE)
    assert seen.sum() > 3000
    share = (np.abs(registered - truth) / truth)[seen]
    assert np.isnan(share).mean() < 0.002
    assert np.nanmedian(share) < 1e-4 and np.nanpercentile(share, 99) < 0.01


def test_millimetres_and_a_camera_that_lies_on_its_side():
    turned = RigidTransform((0.0, 0.03, 0.0), (0.0, 0.0, np.sin(np.pi / 4), np.cos(np.pi / 4)))
    depth, truth = plane_pair(DEPTH, RGB, turned, np.array([0.0, -0.6, 0.8]), 0.8)
    depth[(depth <= 0) | (depth > 5)] = 0
    registered = register_depth(np.rint(depth * 1000).astype(np.uint16), DEPTH, RGB, turned)
    seen = visible(truth, RGB, depth, DEPTH, turned) & (truth < 4)
    assert seen.mean() > 0.3
    assert np.nanmedian(np.abs(registered - truth)[seen]) < 6e-4  # rounded to 1 mm


@pytest.mark.parametrize(("depth_camera", "camera"), [(DEPTH, RGB), (RGB, DEPTH)], ids=["up", "down"])
def test_noise_does_not_grow(depth_camera, camera):
    depth, truth = plane_pair(depth_camera, camera, BESIDE, np.array([0.05, -0.5, 0.85]), 0.8)
    exact = register_depth(depth, depth_camera, camera, BESIDE)
    rng = np.random.default_rng(2)
    noisy = register_depth(depth + rng.normal(0, 2e-3, depth.shape), depth_camera, camera, BESIDE)
    seen = visible(truth, camera, depth, depth_camera, BESIDE) & (truth < 1.5)
    for registered, most in ((exact, 3e-4), (noisy, 2.2e-3)):
        error = (registered - truth)[seen]
        assert np.nanstd(error) < most and np.nanmax(np.abs(error)) < 0.02
    # Where several points fall into one cell, the nearest is taken: nearer by less than the noise.
    assert abs(np.nanmean(noisy - truth, where=seen)) < 1.5e-3


@pytest.mark.parametrize("metres", [0.015, 0.05])
@pytest.mark.parametrize(
    ("depth_camera", "camera"),
    [(DEPTH, RGB), (bent(DEPTH), bent(RGB)), (RGB, DEPTH)],
    ids=["plain", "bent", "down"],
)
def test_tables_are_seen_as_from_the_pictures_camera(metres, depth_camera, camera):
    """Simulated depth cameras beside the picture's, of another resolution and lens."""
    aside = RigidTransform((metres, 0.003, -0.002), BESIDE.rotation)
    for seed in (3, 8):
        scene = Scene.random(seed)
        world = world_from_picture(scene)
        depth, truth = ray_cast(scene, depth_camera, world @ aside), ray_cast(scene, camera, world)
        registered = register_depth(depth.astype(np.float32), depth_camera, camera, aside)
        seen = visible(truth, camera, depth, depth_camera, aside)
        error = np.abs(registered - truth)
        gap = np.maximum(SURFACE_GAP_M, SURFACE_GAP_RATIO * truth)
        assert seen.mean() > 0.45
        assert np.nanmedian(error[seen]) < 1e-4
        assert np.isnan(registered[seen]).mean() < 0.005, "holes"
        assert (error > gap)[np.isfinite(error)].mean() < 0.015, "another surface"
        # What only the picture's camera sees is not made up, but for a rim of a depth pixel.
        hidden = cv2.erode((np.isfinite(truth) & ~seen).astype(np.uint8), np.ones((7, 7))) > 0
        assert (error > gap)[hidden].mean() < 0.1 if hidden.any() else True


def test_the_nearest_surface_hides_what_is_behind_and_nothing_lies_between():
    depth = np.full((240, 424), 1.0, np.float32)
    depth[80:160, 150:250] = 0.4
    aside = RigidTransform((0.05, 0.0, 0.0))
    registered = register_depth(depth, DEPTH, RGB, aside)
    near, far = np.isclose(registered, 0.4, atol=1e-3), np.isclose(registered, 1.0, atol=1e-3)
    assert (near | far | np.isnan(registered)).all(), "a depth between two surfaces"

    def edge(column, z):  # where an edge of the depth image is in the picture
        return ((column - 0.5 - DEPTH.cx) / DEPTH.fx + 0.05 / z) * RGB.fx + RGB.cx

    row = registered[180]
    left, right = np.flatnonzero(np.isclose(row, 0.4, atol=1e-3))[[0, -1]]
    assert (left, right) == (pytest.approx(edge(150, 0.4), abs=3), pytest.approx(edge(250, 0.4), abs=3))
    # Left of it the depth camera did not see the background; right of it the background is hidden.
    shadow = np.flatnonzero(np.isnan(row))
    assert shadow.min() == pytest.approx(edge(150, 1.0), abs=3) and shadow.max() == pytest.approx(left, abs=1)
    assert near[120:240, left + 3 : right - 2].all(), "the background shines through"


def test_holes_of_the_sensor_stay_holes_and_cracks_do_not():
    depth = np.full((240, 424), 1.0, np.float32)
    depth[100:120, 200:220] = 0
    registered = register_depth(depth, DEPTH, RGB, RigidTransform())
    hole = np.isnan(registered)
    scale = RGB.fx / DEPTH.fx
    assert hole.sum() == pytest.approx((20 * scale) ** 2, rel=0.25)
    column, row = ((209.5 - DEPTH.cx) * scale + RGB.cx, (109.5 - DEPTH.cy) * scale + RGB.cy)
    rows, columns = np.nonzero(hole)
    assert (columns.mean(), rows.mean()) == (pytest.approx(column, abs=1), pytest.approx(row, abs=1))


@pytest.mark.parametrize("fill", [0.0, np.nan, np.inf, -1.0])
def test_nothing_is_nothing(fill):
    depth = np.full((240, 424), fill, np.float32)
    assert np.isnan(register_depth(depth, DEPTH, RGB, BESIDE)).all()
    behind = RigidTransform((0, 0, -3.0))
    assert np.isnan(register_depth(np.full((240, 424), 1.0, np.float32), DEPTH, RGB, behind)).all()


def test_depth_of_another_size_than_its_calibration():
    with pytest.raises(CameraInfoError, match="424x240, the image is 320x240"):
        register_depth(np.ones((240, 320), np.float32), DEPTH, RGB, BESIDE)


def scene_cloud(seed=3, camera=RGB):
    """Points of a table in the picture's frame, and its depth."""
    scene = Scene.random(seed)
    truth = ray_cast(scene, camera, world_from_picture(scene))
    return (rays(camera) * truth.reshape(-1, 1)).astype(np.float32), truth


@pytest.mark.parametrize("kept", [1, 3, 7])
def test_clouds_in_any_order_in_any_frame(kept):
    points, truth = scene_cloud()
    rng = np.random.default_rng(1)
    points = rng.permutation(points)[::kept]
    points[::50] = np.nan
    points[5] = np.inf
    # A robot's base, x forward and z up, metres away.
    optical_from_base = RigidTransform((0.3, -0.2, 1.5), BODY_FROM_OPTICAL).inverse()
    in_base = optical_from_base.inverse().apply(points).astype(np.float32)
    registered = register_points(in_base, RGB, optical_from_base)
    error = np.abs(registered - truth)
    assert np.isfinite(registered).mean() > 0.9
    assert np.nanmedian(error) < 1e-3 and (error > 0.02)[np.isfinite(error)].mean() < 0.02 * kept


def test_a_sparse_cloud_is_not_made_dense():
    """Rings of a lidar, 40 px apart: what lies between them is not known."""
    points, truth = scene_cloud()
    rings = points.reshape(RGB.height, RGB.width, 3)[20::40].reshape(-1, 3)
    registered = register_points(rings, RGB, RigidTransform())
    rows = np.flatnonzero(np.isfinite(registered).any(axis=1))
    assert np.abs(rows[:, None] - np.arange(20, RGB.height, 40)).min(axis=1).max() <= 10
    near_rings = np.abs(registered - truth)[20::40]
    assert np.nanmedian(near_rings) < 5e-3


def test_what_a_lens_folds_back_is_not_in_the_picture():
    """A polynomial maps rays from far outside of the view into it."""
    lens = bent(RGB, distortion=(-0.35, 0.0, 0.0, 0.0, 0.0))
    folded = np.array([[1.95, 0.0, 1.0]])
    assert 0 < lens.project(folded)[0, 0] < RGB.width
    cloud = np.repeat(folded, 1000, axis=0).astype(np.float32)
    assert np.isnan(register_points(cloud, lens, RigidTransform())).all()


@pytest.mark.parametrize("points", [np.zeros((0, 3), np.float32), np.full((7, 3), np.nan, np.float32)])
def test_a_cloud_of_nothing(points):
    assert np.isnan(register_points(points, RGB, RigidTransform())).all()
    assert share_in_view(points, RGB, RigidTransform()) == 0


def test_how_much_of_a_cloud_is_in_view():
    points, _ = scene_cloud()
    assert share_in_view(points, RGB, RigidTransform()) > 0.99
    assert share_in_view(points, RGB, RigidTransform((0, 0, -5.0))) == 0
    assert share_in_view(points, RGB, RigidTransform((30.0, 0, 0.0))) == 0


def test_memory_does_not_grow_with_the_cloud():
    points = np.random.default_rng(0).normal((0, 0, 1.5), 0.3, (3_000_000, 3)).astype(np.float32)
    tracemalloc.start()
    registered = register_points(points, RGB, RigidTransform())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.isfinite(registered).any() and most < 32 * 2**20


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("camera", [RGB, bent(RGB), PinholeCamera(9.0, 600.0, 0.0, 3.0, 1, 7)])
def test_any_numbers_whatever(camera):
    """Random bytes, numbers of all sizes, frames anywhere: depth that may be, or none."""
    rng = np.random.default_rng(4)
    for number in range(60):
        count = int(rng.integers(0, 300))
        if number % 2:
            points = np.frombuffer(rng.bytes(12 * count), np.float32).reshape(count, 3)
        else:
            points = rng.normal(0, 1, (count, 3)) * 10.0 ** rng.integers(-50, 50)
        turn = rng.normal(size=4)
        place = RigidTransform(
            tuple(rng.normal(0, 10.0 ** rng.integers(-3, 9), 3)), tuple(turn / np.linalg.norm(turn))
        )
        depth = np.frombuffer(rng.bytes(4 * 240 * 424), np.float32).reshape(240, 424)
        for where in (place, RigidTransform()):
            for registered in (
                register_points(points, camera, where),
                register_depth(depth, DEPTH, camera, where),
            ):
                seen = registered[~np.isnan(registered)]
                assert registered.shape == (camera.height, camera.width)
                assert (seen > 0).all() and np.isfinite(seen).all()
            assert 0 <= share_in_view(points, camera, where) <= 1
