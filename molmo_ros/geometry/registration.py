# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Depth of another camera, or a cloud of points, as a depth image of a picture: reprojected, the nearest surface wins.

Every point is projected into a grid over the picture whose cells are about as far apart as the points, so that a
surface leaves no cracks and hides what lies behind it (a z-buffer; Catmull 1974). A cell holds inverse depth, which is
linear in the pixel on a plane, brought to its centre. The picture's pixels are interpolated between cells that are of
one surface, and take the nearest cell's at the edges of surfaces: nothing is made up across a jump in depth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import cv2
import numpy as np

from molmo_ros.geometry.camera import PinholeCamera
from molmo_ros.geometry.depth import SURFACE_GAP_M, SURFACE_GAP_RATIO, metres
from molmo_ros.geometry.rigid_transform import RigidTransform

SLACK = 1.15
"""Cells are so much wider than the points' distance: one that a slanted surface leaves empty is filled again."""
WIDEST_CELL = 8.0
"""Of clouds that are sparse, such as a lidar's [px]; between their points there is no depth."""
FINEST_CELL = 0.7
"""Of what is seen finer than the picture [px]: of several points in a cell the nearest counts, by their noise too."""
BLOCK = 16
"""Edge of the blocks in which the density of a cloud is looked at [px]."""
LATTICE = 8
"""A lens is inverted at every so many pixels, and interpolated between [px]: Newton's method takes its time."""
TABLE = 512
"""Nodes along each side of the table that stands for a lens: distance of two, a few pixels."""
WIDEST_RAY = math.tan(math.radians(80.0))
"""Of a fisheye's rays, those further from the axis are left out: x / z and y / z."""
CLOSE = 0.5
"""Points that are nearer to each other tell no slope [cells]."""
NEAREST, FARTHEST = 1e-3, 1e4
"""Nothing is seen outside of these distances [m]."""
AROUND = np.ones((3, 3), np.uint8)
SAMPLE = 10_000
"""Points by which a cloud is judged."""
AT_ONCE = 1 << 17
"""Points that are worked on together: their arrays stay in the processor's cache, and few are held at a time."""


@np.errstate(all="ignore")  # anything may stand in a message; what is not finite is nothing
def register_depth(
    depth: np.ndarray, depth_camera: PinholeCamera, camera: PinholeCamera, optical_from_depth: RigidTransform
) -> np.ndarray:
    """The depth image that the picture's camera would have seen.

    Args:
        depth: [h, w] of the depth camera, uint16 [mm] or floating [m]; see `metres`.
        depth_camera: Its intrinsics.
        camera: The picture's.
        optical_from_depth: From the depth camera's optical frame to the picture's.

    Returns:
        float32 [camera.height, camera.width] along the picture's optical axis [m]; NaN where the depth camera saw
        nothing, or something that hides the surface from it.

    Raises:
        CameraInfoError: The depth image has another size than its calibration.
        TypeError: Depth of another dtype.
    """
    height, width = depth.shape
    depth_camera.require_size(width, height)
    along = _turned_rays(depth_camera, camera, optical_from_depth)
    offset = (_picture_matrix(camera) @ np.array(optical_from_depth.translation)).astype(np.float32)
    density = camera.fx * camera.fy / (depth_camera.fx * depth_camera.fy)
    grid = _Grid(camera, max(FINEST_CELL, math.sqrt(density)))
    rows = max(1, AT_ONCE // width)
    for row in range(0, height, rows):
        distance = metres(depth[row : row + rows]).ravel()
        here = along[:, row * width : row * width + len(distance)]
        points = [distance * one + start for one, start in zip(here, offset, strict=True)]
        grid.add(*_in_view(points, camera))
    return grid.image()


@np.errstate(all="ignore")
def register_points(
    points: np.ndarray, camera: PinholeCamera, optical_from_points: RigidTransform
) -> np.ndarray:
    """The depth image that the picture's camera would have seen of a cloud.

    Args:
        points: [n, 3] floating [m]; rows that are not finite are none. A part is converted at a time.
        camera: The picture's.
        optical_from_points: From the cloud's frame, whatever its axes are, to the picture's optical frame.

    Returns:
        As of `register_depth`; all NaN where no point is in view.
    """
    to_picture = _picture_matrix(camera)
    turn = (to_picture @ optical_from_points.rotate(np.eye(3)).T).astype(np.float32)
    offset = (to_picture @ np.array(optical_from_points.translation)).astype(np.float32)

    def seen(part: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _in_view(turn @ part.T.astype(np.float32) + offset[:, None], camera)

    every = -(-len(points) // AT_ONCE) or 1
    u, v, _ = seen(points[::every])
    grid = _Grid(camera, _spacing(u, v, camera, every))
    for start in range(0, len(points), AT_ONCE):
        grid.add(*seen(points[start : start + AT_ONCE]))
    return grid.image()


@np.errstate(all="ignore")
def share_in_view(points: np.ndarray, camera: PinholeCamera, optical_from_points: RigidTransform) -> float:
    """Which share of a cloud's points (of a sample of them) lies in the picture's view; arguments as of
    `register_points`."""
    sample = points[:: -(-len(points) // SAMPLE) or 1]
    sample = sample[np.isfinite(sample).all(axis=1)]
    offset = np.array(optical_from_points.translation, np.float32)
    points = optical_from_points.rotate(sample).T.astype(np.float32) + offset[:, None]
    matrix = _picture_matrix(camera).astype(np.float32)
    return len(_in_view(matrix @ points, camera)[0]) / max(len(sample), 1)


def _picture_matrix(camera: PinholeCamera) -> np.ndarray:
    """What takes a point to pixel times depth; to ray times depth where a lens comes between."""
    if camera.distorts:
        return np.eye(3)
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])


@lru_cache(maxsize=4)
def _turned_rays(
    depth_camera: PinholeCamera, camera: PinholeCamera, optical_from_depth: RigidTransform
) -> np.ndarray:
    """float32 [3, n]: of each depth pixel, pixel times depth (see `_picture_matrix`) per metre of depth."""
    turn = _picture_matrix(camera) @ optical_from_depth.rotate(np.eye(3)).T
    return np.ascontiguousarray((turn @ _rays(depth_camera)).astype(np.float32))


def _rays(camera: PinholeCamera) -> np.ndarray:
    """float64 [3, n]: x / z, y / z and 1 of each pixel, row by row; NaN where the lens has none."""
    columns, rows = np.arange(camera.width), np.arange(camera.height)
    if not camera.distorts:
        x, y = np.meshgrid((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy)
        return np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    nodes = [
        np.linspace(0, size - 1, math.ceil((size - 1) / LATTICE) + 1) for size in (len(columns), len(rows))
    ]
    pixels = np.stack([one.ravel() for one in np.meshgrid(*nodes)], axis=1)
    rays = camera.deproject(pixels, np.ones(len(pixels)))[:, :2].reshape(len(nodes[1]), len(nodes[0]), 2)
    rays = _between(_between(rays, camera.height).swapaxes(0, 1), camera.width).swapaxes(0, 1)
    return np.stack([rays[..., 0].ravel(), rays[..., 1].ravel(), np.ones(camera.width * camera.height)])


def _between(nodes: np.ndarray, size: int) -> np.ndarray:
    """Of nodes along the first axis, the first and the last at the ends: so many values, linear between two nodes."""
    place = np.linspace(0, len(nodes) - 1, size)
    before = np.minimum(place.astype(int), max(len(nodes) - 2, 0))
    after = np.minimum(before + 1, len(nodes) - 1)
    share = (place - before)[:, None, None]
    return nodes[before] * (1 - share) + nodes[after] * share


def _in_view(
    points: Iterable[np.ndarray], camera: PinholeCamera
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column and row [px], whole numbers at pixel centres, and depth [m] of what the picture shows; float32 [n] each.

    Args:
        points: x, y and z after `_picture_matrix`, each float32 [n].
        camera: The picture's.
    """
    x, y, z = points
    u, v = x / z, y / z
    if camera.distorts:
        u, v = _through_lens(u, v, camera)
    seen = np.flatnonzero(
        (z > NEAREST)
        & (z < FARTHEST)
        & (u > -0.5)
        & (u < camera.width - 0.5)
        & (v > -0.5)
        & (v < camera.height - 0.5)
    )
    return u[seen], v[seen], z[seen]


def _through_lens(x: np.ndarray, y: np.ndarray, camera: PinholeCamera) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of rays x / z and y / z; NaN outside of what the lens sees."""
    table, low, per_node = _lens_table(camera)
    wide = 1024  # OpenCV's images have less than 32767 columns and rows
    rows = -(-len(x) // wide)
    maps = []
    for one, start, step in zip((x, y), low, per_node, strict=True):
        padded = np.full(rows * wide, np.nan, np.float32)
        np.multiply(one - np.float32(start), np.float32(1 / step), out=padded[: len(one)])
        padded[~np.isfinite(padded)] = -9.0  # outside
        maps.append(padded.reshape(rows, wide))
    if not rows:
        return x, y
    outside = (math.nan, math.nan)
    pixels = np.asarray(
        cv2.remap(table, maps[0], maps[1], cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, outside)
    ).reshape(-1, 2)
    return pixels[: len(x), 0], pixels[: len(x), 1]


@lru_cache(maxsize=4)
def _lens_table(camera: PinholeCamera) -> tuple[np.ndarray, tuple[float, float], tuple[float, float]]:
    """Pixels float32 [TABLE, TABLE, 2] over the rays that the camera sees, the first node's ray, and their distance.

    A polynomial folds back outside of what its lens sees; so nothing outside is looked up.
    """
    rays = np.clip(_rays(camera)[:2], -WIDEST_RAY, WIDEST_RAY)
    low, high = np.nanmin(rays, axis=1), np.nanmax(rays, axis=1)
    # A pixel's outer half is in view, too.
    margin = (high - low) / np.array([camera.width, camera.height])
    low, high = low - margin, high + margin
    x, y = np.meshgrid(np.linspace(low[0], high[0], TABLE), np.linspace(low[1], high[1], TABLE))
    pixels = camera.project(np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1))
    step = (high - low) / (TABLE - 1)
    return (
        pixels.reshape(TABLE, TABLE, 2).astype(np.float32),
        (float(low[0]), float(low[1])),
        (float(step[0]), float(step[1])),
    )


def _spacing(u: np.ndarray, v: np.ndarray, camera: PinholeCamera, every: int) -> float:
    """How far the points of a cloud are apart in the picture, about [px], by one in so many of them."""
    if not len(u):
        return 1.0
    across = -(-camera.width // BLOCK)
    block = ((v + 0.5) / BLOCK).astype(np.int32) * across + ((u + 0.5) / BLOCK).astype(np.int32)
    # Half of the points are in blocks that are at least so full.
    full = float(np.median(np.bincount(block)[block])) * every
    return min(max(FINEST_CELL, BLOCK / math.sqrt(full)), WIDEST_CELL)


class _Grid:
    """Cells over a picture, each with the nearest point in it.

    Args:
        camera: The picture's.
        spacing: How far points are apart, about [px].
    """

    def __init__(self, camera: PinholeCamera, spacing: float) -> None:
        self._size = camera.width, camera.height
        self._width, self._height = (max(1, round(one / (SLACK * spacing))) for one in self._size)
        cells = self._width * self._height
        self._depth = np.full(cells, np.inf, np.float32)
        self._right, self._down = np.zeros(cells, np.float32), np.zeros(cells, np.float32)

    def add(self, u: np.ndarray, v: np.ndarray, z: np.ndarray) -> None:
        """Points in view: column and row [px], and depth [m]; float32 [n] each."""
        half = np.float32(0.5)
        x = (u + half) * np.float32(self._width / self._size[0])
        y = (v + half) * np.float32(self._height / self._size[1])
        column = np.minimum(x.astype(np.int32), self._width - 1)
        row = np.minimum(y.astype(np.int32), self._height - 1)
        cell = row * self._width + column
        np.minimum.at(self._depth, cell, z)
        nearest = np.flatnonzero(z == self._depth[cell])
        cell = cell[nearest]
        self._right[cell] = (x - column)[nearest] - half
        self._down[cell] = (y - row)[nearest] - half

    def image(self) -> np.ndarray:
        """Depth of the picture's pixels, float32 [m]; NaN where there is none."""
        shape = self._height, self._width
        inverse = (1 / self._depth).reshape(shape)  # of nothing, 0
        inverse = _filled(_centred(inverse, self._right.reshape(shape), self._down.reshape(shape)))
        return _enlarged(inverse, self._size)


def _centred(inverse: np.ndarray, right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Inverse depths at the cells' centres, by the slope to those beside them that are of the same surface.

    Args:
        inverse: [h, w] [1/m]; 0 where there is nothing.
        right, down: [h, w] how far from the centre each is [cells].
    """
    result, gap = inverse.copy(), _gap(inverse)
    most = np.minimum(gap, inverse / 4)
    for offset, before, after in ((right, np.s_[:, :-1], np.s_[:, 1:]), (down, np.s_[:-1], np.s_[1:])):
        step = inverse[after] - inverse[before]
        apart = offset[after] - offset[before]
        apart += 1
        # Of points that lie close together, the noise would be taken for a slope.
        apart *= (np.abs(step) < np.minimum(gap[after], gap[before])) & (apart > CLOSE)
        step *= apart
        apart *= apart
        rise, run = np.zeros_like(inverse), np.full(inverse.shape, 1e-9, np.float32)
        for part in (before, after):
            rise[part] += step
            run[part] += apart
        rise /= run  # the slope of least squares
        rise *= offset
        result -= np.clip(rise, -most, most)
    return result


def _filled(inverse: np.ndarray) -> np.ndarray:
    """Cells that are empty, or behind both of their neighbours in some direction, which are of one surface, are of it.

    Through the cracks of a surface one sees what it hides.
    """
    behind = np.flatnonzero(cv2.dilate(inverse, AROUND) - inverse > _gap(inverse))
    width = inverse.shape[1] + 2
    padded = np.pad(inverse, 1).ravel()
    place = behind + 2 * (behind // inverse.shape[1]) + width + 1
    values = padded[place]
    for step in (1, width, width + 1, width - 1):
        one, other = padded[place + step], padded[place - step]
        nearer, farther = np.maximum(one, other), np.minimum(one, other)
        gap = _gap(farther)
        crack = (farther > 0) & (nearer - farther < gap) & (values < farther - gap)
        values = np.where(crack, (nearer + farther) / 2, values)
    filled = inverse.copy()
    filled.flat[behind] = values
    return filled


def _gap(inverse: np.ndarray) -> np.ndarray:
    """Inverse depths further apart than this are of different surfaces [1/m]; see `depth.SURFACE_GAP_M`."""
    return inverse * np.maximum(np.float32(SURFACE_GAP_M) * inverse, np.float32(SURFACE_GAP_RATIO))


def _enlarged(inverse: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Depth [m] of the picture's pixels, float32, from inverse depth in cells."""
    edge = cv2.dilate(inverse, AROUND) - cv2.erode(inverse, AROUND) > 2 * _gap(inverse)
    within = inverse.copy()
    within[edge] = np.nan
    pixels = cv2.resize(within, size, interpolation=cv2.INTER_LINEAR)
    nearest = cv2.resize(inverse, size, interpolation=cv2.INTER_NEAREST_EXACT)
    np.copyto(pixels, nearest, where=np.isnan(pixels))
    np.divide(np.float32(1), pixels, out=pixels)
    pixels[np.isinf(pixels)] = np.nan
    return pixels
