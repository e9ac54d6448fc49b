# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The objects at an answer's points: their pixels, surfaces and boxes, from one depth image."""

from __future__ import annotations

import cv2
import numpy as np

from molmo_ros.geometry import PinholeCamera
from molmo_ros.regions.box_fit import fit_box
from molmo_ros.regions.components import connected_surfaces
from molmo_ros.regions.depth_view import DepthView
from molmo_ros.regions.region import ObjectRegion, Plane, PointsOn, SceneRegions
from molmo_ros.regions.supports import Blocks, SupportPlane, find_supports
from molmo_ros.regions.touching import parted

SNAP = 4
"""A point so near an object, in pixels of an image 640 wide, is meant to be on it [px]."""
MARGIN = 12
"""Around a surface's window, for what is beside it [px]."""
LEAST_PIXELS = 30
BASE_M = 0.0025
"""What lies less above a support is part of it [m]."""
BASE_SIGMAS = 3.0
SMOOTHED = 5
"""Heights above supports are averaged over so many pixels."""
HOVERING_M = 0.03
"""What is higher above a support, and by more than most of its own height, does not stand on it [m]."""
MOST_DROPPED = 300
MOST_HIDDEN = 1.1
"""What stands hides at most so much of its height, as a share of what it shows."""
DROPS = (0.1, 0.3, 0.6, 0.95)
"""Shares of a surface's height by which it is lowered to look for its lower part."""
SEEN_BELOW = 0.3
"""It hovers where so large a share of that is support instead."""
MOST_LENGTH_M = 0.6
"""A surface that goes on for longer is furniture or a wall, not an object."""
MOST_SHARE = 0.5
"""A surface that fills more of the view is no object."""


def find_regions(
    depth: np.ndarray,
    camera: PinholeCamera,
    pixels: np.ndarray,
    *,
    minimum: float = 0.0,
    maximum: float = np.inf,
) -> SceneRegions:
    """The object at each point, as far as the view shows it, or why there is none.

    Args:
        depth: [h, w], uint16 [mm] or floating [m], aligned to the camera's image.
        camera: Intrinsics of that image.
        pixels: [n, 2] column and row [px], whole numbers at pixel centres.
        minimum, maximum: Depths outside are invalid [m].

    Raises:
        CameraInfoError: The depth image has another size than the camera's.
        TypeError: Depth of another dtype.
    """
    camera.require_size(depth.shape[1], depth.shape[0])
    pixels = np.asarray(pixels, np.float64).reshape(-1, 2)
    view = DepthView.read(depth, camera, minimum, maximum)
    surface = view.surface()
    if not np.isfinite(view.depth).any():
        none = ObjectRegion.none(PointsOn.UNKNOWN, "the depth image has no valid depth")
        return SceneRegions(surface, (), tuple(none for _ in pixels))
    blocks = Blocks.of(view)
    supports = find_supports(blocks)
    sigma = _noise(blocks)
    on_support = _support_labels(surface, blocks, supports, sigma)
    foreground = np.isfinite(surface[..., 0]) & (on_support == 0)
    labels = connected_surfaces(view.depth, foreground, sigma)
    planes = tuple(support.plane for support in supports)
    chosen = [_surface_at(pixel, view.depth, labels) for pixel in pixels]
    for number in sorted({number for _, number in chosen} - {0}):
        _part(
            labels, number, view, surface, on_support, planes, sigma, [at for at, n in chosen if n == number]
        )
    known: dict[int, ObjectRegion] = {}
    regions = []
    for pixel in pixels:
        (row, column), number = _surface_at(pixel, view.depth, labels)
        if number == 0:
            regions.append(_no_region(pixel, row, column, surface, on_support, planes))
            continue
        if number not in known:
            known[number] = _region(labels, number, surface, on_support, planes, camera)
        regions.append(known[number])
    return SceneRegions(surface, planes, tuple(regions))


def _part(
    labels: np.ndarray,
    number: int,
    view: DepthView,
    surface: np.ndarray,
    on_support: np.ndarray,
    planes: tuple[Plane, ...],
    sigma: float,
    seeds: list[tuple[int, int]],
) -> None:
    """Gives the things of a surface that touch numbers of their own."""
    window = _window(labels, number)
    mask = labels[window] == number
    if not LEAST_PIXELS <= np.count_nonzero(mask) <= MOST_SHARE * labels.size:
        return
    top, left = window[0].start, window[1].start
    support = _stands_on(mask, on_support[window], planes)
    places = np.array(seeds) - (top, left)
    parts = parted(mask, view.depth[window], surface[window], support, sigma, places)
    first = int(labels.max())
    labels[window][parts > 1] = parts[parts > 1] + first


def _noise(blocks: Blocks) -> float:
    """Standard deviation of the inverse depth [1/m], from the flatter half of the blocks."""
    residuals = blocks.residual[np.isfinite(blocks.residual)]
    return float(np.percentile(residuals, 30)) if len(residuals) else 0.0


def _support_labels(
    surface: np.ndarray, blocks: Blocks, supports: tuple[SupportPlane, ...], sigma: float
) -> np.ndarray:
    """uint8 [h, w]: number from 1 of the support that a pixel lies on, 0 for none."""
    height, width = surface.shape[:2]
    labels = np.zeros((height, width), np.uint8)
    seen = np.isfinite(surface[..., 0])
    filled = np.where(seen, surface[..., 2], 0)
    for number, support in enumerate(supports, start=1):
        plane = support.plane
        heights = cv2.transform(surface, np.array([[*plane.normal, -plane.offset]]))
        heights[~seen] = 0
        smooth = cv2.blur(np.clip(heights, -0.02, 0.02), (SMOOTHED, SMOOTHED))
        # The offset is 1 / |q|: noise of the inverse depth times z / |q| is that of the height.
        tolerance = np.float32(BASE_SIGMAS * sigma * -plane.offset / SMOOTHED) * filled
        tolerance += np.float32(BASE_M)
        on = (np.abs(smooth) < tolerance) & (np.abs(heights) < 0.012) & seen
        grid = cv2.dilate(support.blocks.astype(np.uint8), np.ones((7, 7), np.uint8))
        near = np.zeros(labels.shape, np.uint8)
        whole = np.repeat(np.repeat(grid, blocks.size, axis=0), blocks.size, axis=1)
        near[: whole.shape[0], : whole.shape[1]] = whole[:height, :width]
        near[whole.shape[0] :] = near[whole.shape[0] - 1]
        near[:, whole.shape[1] :] = near[:, whole.shape[1] - 1 : whole.shape[1]]
        labels[on & (near > 0) & (labels == 0)] = number
    return labels


def _surface_at(pixel: np.ndarray, depth: np.ndarray, labels: np.ndarray) -> tuple[tuple[int, int], int]:
    """Row and column of the surface that a point means, and its number; 0 for none."""
    height, width = labels.shape
    if not (np.isfinite(pixel).all() and (np.abs(pixel) < 1e6).all()):
        return (-1, -1), 0
    column, row = (round(float(value)) for value in pixel)
    if not (0 <= column < width and 0 <= row < height):
        return (row, column), 0
    return _label_near(labels, depth, column, row, max(1, round(SNAP * width / 640)))


def _no_region(
    pixel: np.ndarray,
    row: int,
    column: int,
    surface: np.ndarray,
    on_support: np.ndarray,
    planes: tuple[Plane, ...],
) -> ObjectRegion:
    """Why there is nothing at a point."""
    height, width = on_support.shape
    if not (0 <= column < width and 0 <= row < height):
        return ObjectRegion.none(
            PointsOn.UNKNOWN, f"the point {pixel.tolist()} lies outside the image of {width}x{height}"
        )
    if support := int(on_support[row, column]):
        return ObjectRegion.none(
            PointsOn.SUPPORT, "the point is on what things stand on, not on a thing", planes[support - 1]
        )
    if not np.isfinite(surface[row, column, 0]):
        return ObjectRegion.none(PointsOn.NOTHING, "the camera sees no surface at the point")
    return ObjectRegion.none(PointsOn.UNKNOWN, "the surface at the point is too small for an object")


def _label_near(
    labels: np.ndarray, depth: np.ndarray, column: int, row: int, reach: int
) -> tuple[tuple[int, int], int]:
    """Row, column and number of the surface at a pixel, or of the nearest one within reach; 0 for none."""
    if labels[row, column]:
        return (row, column), int(labels[row, column])
    top, left = max(row - reach, 0), max(column - reach, 0)
    near = labels[top : row + reach + 1, left : column + reach + 1]
    rows, columns = np.nonzero(near)
    distance = np.hypot(rows + top - row, columns + left - column)
    rows, columns, distance = (v[distance <= reach + 0.5] for v in (rows, columns, distance))
    if not len(rows):
        return (row, column), 0
    nearest = np.lexsort((depth[rows + top, columns + left], distance))[0]
    place = int(rows[nearest]), int(columns[nearest])
    return (place[0] + top, place[1] + left), int(near[place])


def _window(labels: np.ndarray, number: int) -> tuple[slice, slice]:
    """Rows and columns that a surface lies in, with a margin."""
    left, top, width, height = cv2.boundingRect((labels == number).astype(np.uint8))
    rows = slice(max(top - MARGIN, 0), min(top + height + MARGIN, labels.shape[0]))
    return rows, slice(max(left - MARGIN, 0), min(left + width + MARGIN, labels.shape[1]))


def _region(
    labels: np.ndarray,
    number: int,
    surface: np.ndarray,
    on_support: np.ndarray,
    planes: tuple[Plane, ...],
    camera: PinholeCamera,
) -> ObjectRegion:
    window = _window(labels, number)
    mask = labels[window] == number
    rows, columns = np.nonzero(mask)
    rows, columns = rows + window[0].start, columns + window[1].start
    if len(rows) < LEAST_PIXELS:
        return ObjectRegion.none(
            PointsOn.UNKNOWN, f"the surface at the point has {len(rows)} pixels, too few for an object"
        )
    if len(rows) > MOST_SHARE * labels.size:
        return ObjectRegion.none(
            PointsOn.UNKNOWN, "one surface without an edge fills most of the view: no object can be told"
        )
    points = surface[rows, columns]
    low, high = np.percentile(points[:: len(points) // 2000 + 1], (2, 98), axis=0)
    if (length := float(np.linalg.norm(high - low))) > MOST_LENGTH_M:
        return ObjectRegion.none(
            PointsOn.UNKNOWN,
            f"the surface at the point runs on over {length:.2f} m without an edge: no object can be told",
        )
    top, left, bottom, right = rows.min(), columns.min(), rows.max(), columns.max()
    height, width = labels.shape
    support = _stands_on(mask, on_support[window], planes)
    if support is not None and _hovers(points, support, on_support, camera):
        support = None
    return ObjectRegion(
        PointsOn.OBJECT,
        "",
        rows.astype(np.int32),
        columns.astype(np.int32),
        points,
        window=(int(left), int(top), int(right - left + 1), int(bottom - top + 1)),
        box=fit_box(points, support),
        support=support,
        cut=bool(top == 0 or left == 0 or bottom == height - 1 or right == width - 1),
    )


def _hovers(points: np.ndarray, support: Plane, on_support: np.ndarray, camera: PinholeCamera) -> bool:
    """Whether a surface [n, 3] is far above a support, and the support is seen where its lower part would be.

    Of what is seen from straight above only the top shows, however firmly it stands.
    """
    points = points[:: len(points) // MOST_DROPPED + 1].astype(np.float64)
    heights = support.heights(points)
    low, high = np.percentile(heights, (2, 98))
    # Of a ball, too, the lower half is hidden: as much as is seen.
    if low <= max(HOVERING_M, MOST_HIDDEN * (high - low)):
        return False
    for share in DROPS:
        pixels = np.rint(camera.project(points - (share * heights)[:, None] * np.asarray(support.normal)))
        inside = ((pixels >= 0) & (pixels < (camera.width, camera.height))).all(axis=1)
        columns, rows = pixels[inside].astype(int).T
        if np.count_nonzero(on_support[rows, columns]) > SEEN_BELOW * len(points):
            return True
    return False


def _stands_on(mask: np.ndarray, on_support: np.ndarray, planes: tuple[Plane, ...]) -> Plane | None:
    """The support that most of the region's outline borders on."""
    ring = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~mask
    shares = np.bincount(on_support[ring], minlength=len(planes) + 1)[1:]
    return planes[int(shares.argmax())] if len(planes) and shares.max() > 0 else None
