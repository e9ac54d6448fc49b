"""The planes that things stand on or before: tables, shelves, floors, walls.

On a plane the inverse depth is linear in the pixel's ray: 1 / z = q . (x, y, 1), with q = n / d for the plane
n . p = d. So the view is cut into blocks, a plane is fitted to the inverse depth of each (as in Feng, Taguchi and Kamat
2014, "Fast plane extraction in organized point clouds using agglomerative hierarchical clustering"), and planes through
three blocks are held against all of them (RANSAC; Fischler and Bolles 1981), the largest first.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from molmo_ros.regions.depth_view import DepthView
from molmo_ros.regions.region import Plane

BLOCKS_ACROSS = 40
STEP = 2
"""Every second pixel of every second row is enough for planes."""
LEAST_FILLED = 0.5
"""Share of a block's pixels that must have depth."""
HYPOTHESES = 500
REACH = 12
"""Blocks between the three of a hypothesis, at most."""
LEAST_SHARE = 0.015
"""Planes that fill a smaller share of the view are not told from faces of objects."""
MOST_PLANES = 8
ROUNDS = 4
INLIER_SIGMAS = 2.5
LEAST_SCALE_M = 0.0002
FACE_M = 0.4
"""A face of an object is no longer than this [m]."""
FACE_ABOVE = 0.4
"""At most this share of what surrounds a face lies above its plane: an object falls away from its faces, while walls
and things rise from a floor."""
FACE_AT_RIM = 0.15
"""At most this share of what surrounds a face lies beyond the image's rim."""
MOST_TILT = np.cos(np.radians(25.0))
LEAST_TOLERANCE_M = 0.0035
FLAT_M = 0.006
"""A block whose pixels lie further off its own plane (RMS) shows more than a plane; noise grows with the distance's
square beyond 1 m [m]."""


@dataclass(frozen=True)
class SupportPlane:
    """A plane, and where in the view it was seen.

    Attributes:
        q: float64 [3]; 1 / z = q . (x, y, 1) on the plane.
        blocks: bool [rows, columns] of the grid of blocks.
    """

    q: np.ndarray
    blocks: np.ndarray

    @property
    def plane(self) -> Plane:
        """In normal form, in the optical frame."""
        length = float(np.linalg.norm(self.q))
        x, y, z = (-self.q / length).tolist()
        return Plane((x, y, z), -1.0 / length)


@dataclass(frozen=True)
class Blocks:
    """The view in blocks.

    Attributes:
        size: Edge of a block [px].
        q: float64 [rows, columns, 3], the plane of each; NaN where it has too little depth.
        rays: float64 [rows, columns, 2], x and y at z = 1 of the mean of its pixels with depth.
        inverse: float64 [rows, columns], inverse depth there [1/m].
        residual: float64 [rows, columns], RMS about its plane [1/m].
    """

    size: int
    q: np.ndarray
    rays: np.ndarray
    inverse: np.ndarray
    residual: np.ndarray

    @classmethod
    def of(cls, view: DepthView) -> Blocks:
        """Fits a plane to each block of a view by least squares."""
        size = max(2 * STEP, round(view.depth.shape[1] / BLOCKS_ACROSS / STEP) * STEP)
        depth, rays = view.depth[::STEP, ::STEP], view.rays[::STEP, ::STEP]
        edge = size // STEP
        shape = depth.shape[0] // edge, depth.shape[1] // edge
        depth, rays = (part[: shape[0] * edge, : shape[1] * edge] for part in (depth, rays))
        valid = np.isfinite(depth) & np.isfinite(rays[..., 0])
        w = np.where(valid, 1.0 / np.where(valid, depth, 1.0), 0.0).astype(np.float64)
        x, y = (np.where(valid, rays[..., i], 0.0).astype(np.float64) for i in (0, 1))
        fields = (valid, x, y, w, x * x, x * y, y * y, x * w, y * w, w * w)
        means = [
            cv2.resize(np.asarray(f, np.float64), shape[::-1], interpolation=cv2.INTER_AREA) for f in fields
        ]
        share = means[0]
        with np.errstate(invalid="ignore", divide="ignore"):
            mx, my, mw, xx, xy, yy, xw, yw, ww = (mean / share for mean in means[1:])
            xx, xy, yy = xx - mx * mx, xy - mx * my, yy - my * my
            xw, yw, ww = xw - mx * mw, yw - my * mw, ww - mw * mw
            determinant = xx * yy - xy * xy
            a, b = (xw * yy - yw * xy) / determinant, (yw * xx - xw * xy) / determinant
            residual = np.sqrt(np.maximum(ww - a * xw - b * yw, 0))
            q = np.stack([a, b, mw - a * mx - b * my], axis=-1)
            enough = (share >= LEAST_FILLED) & (determinant > 1e-3 * xx * yy) & (mw > 0)
        q[~enough] = np.nan
        return cls(size, q, np.stack([mx, my], axis=-1), mw, residual)


def find_supports(blocks: Blocks) -> tuple[SupportPlane, ...]:
    """The planes of a view, the largest first."""
    flat = np.isfinite(blocks.q[..., 0])
    with np.errstate(invalid="ignore"):
        distance = 1.0 / blocks.inverse
        flat &= blocks.residual * distance**2 < FLAT_M * np.maximum(1.0, distance) ** 2
    rows, columns = np.nonzero(flat)
    if len(rows) < 3:
        return ()
    rays = np.column_stack([blocks.rays[rows, columns], np.ones(len(rows))])
    inverse, own = blocks.inverse[rows, columns], blocks.q[rows, columns]
    tolerance = LEAST_TOLERANCE_M + 1.5 * blocks.residual[rows, columns] / inverse**2
    normals = own / np.linalg.norm(own, axis=1, keepdims=True)
    candidates = _hypotheses(rows, columns, rays, inverse)
    fits = _on_planes(candidates, rays, inverse, tolerance, normals)
    least = LEAST_SHARE * flat.size
    left = np.ones(len(rows), bool)
    found: list[SupportPlane] = []
    while len(found) < MOST_PLANES and len(candidates):
        best = int((fits @ left.astype(np.float32)).argmax())
        inliers = (fits[best] > 0) & left
        if inliers.sum() < least:
            break
        q = candidates[best]
        for _ in range(3):
            q = np.linalg.lstsq(rays[inliers], inverse[inliers], rcond=None)[0]
            again = (_on_planes(q[None], rays, inverse, tolerance, normals)[0] > 0) & left
            if again.sum() < 3:
                break
            inliers = again
        left &= ~inliers
        if inliers.sum() >= least:
            mask = np.zeros(flat.shape, bool)
            mask[rows[inliers], columns[inliers]] = True
            found.append(SupportPlane(q, mask))
        else:
            fits[best] = 0
    found = [whole for support in found if (whole := _in_one_piece(support, blocks, least)) is not None]
    found = [support for support in found if not _is_face(support, blocks)]
    return tuple(sorted(found, key=lambda support: -int(support.blocks.sum())))


def _in_one_piece(support: SupportPlane, blocks: Blocks, least: float) -> SupportPlane | None:
    """The plane without what lies on it by chance, refitted; None where nothing large is left.

    A plane can pass through the tops of several objects, which are small and apart.
    """
    solid = cv2.morphologyEx(support.blocks.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= least
    large[0] = False
    if not large.any():
        return None
    mask = large[numbers] & support.blocks  # an opening with an even square moves by a block
    rays = np.column_stack([blocks.rays[mask], np.ones(int(mask.sum()))])
    return SupportPlane(_refined(support.q, rays, blocks.inverse[mask]), mask)


def _refined(q: np.ndarray, rays: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """The plane fitted again to those blocks that lie on it as closely as most do: not to the feet of things."""
    for _ in range(ROUNDS):
        heights = (inverse - rays @ q) / (inverse * np.linalg.norm(q))
        middle = np.median(heights)
        scale = max(1.4826 * float(np.median(np.abs(heights - middle))), LEAST_SCALE_M)
        close = np.abs(heights - middle) < INLIER_SIGMAS * scale
        # Heights are to count, not inverse depths.
        weight = 1.0 / inverse[close]
        q = np.linalg.lstsq(rays[close] * weight[:, None], inverse[close] * weight, rcond=None)[0]
    return q


def _is_face(support: SupportPlane, blocks: Blocks) -> bool:
    """Whether a plane is a side of an object: small, and what surrounds it lies behind it."""
    mask = np.pad(support.blocks.astype(np.uint8), 2)
    ring = (cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0) & (mask == 0)
    inner = ring[2:-2, 2:-2]
    if ring.sum() - inner.sum() > FACE_AT_RIM * ring.sum():
        return False
    rays, inverse = blocks.rays[support.blocks], blocks.inverse[support.blocks]
    places = np.column_stack([rays, np.ones(len(rays))]) / inverse[:, None]
    if np.linalg.norm(np.ptp(places, axis=0)) > FACE_M:
        return False
    around, w = blocks.rays[inner], blocks.inverse[inner]
    heights = (w - around @ support.q[:2] - support.q[2]) / (w * np.linalg.norm(support.q))
    heights = heights[np.isfinite(heights)]
    return bool((heights > 2 * LEAST_TOLERANCE_M).sum() <= FACE_ABOVE * max(len(heights), 1))


def _hypotheses(rows: np.ndarray, columns: np.ndarray, rays: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """[n, 3] planes through three blocks that lie near each other; the same ones in each run."""
    rng = np.random.default_rng(0)
    first = rng.integers(len(rows), size=HYPOTHESES)
    place = {(r, c): i for i, (r, c) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True))}
    triplets = []
    steps = rng.integers(-REACH, REACH + 1, size=(HYPOTHESES, 2, 2)).tolist()
    for i, ((dr, dc), (er, ec)) in zip(first.tolist(), steps, strict=True):
        r, c = int(rows[i]), int(columns[i])
        j, k = place.get((r + dr, c + dc)), place.get((r + er, c + ec))
        if j is not None and k is not None and abs(dr * ec - dc * er) >= REACH:
            triplets.append((i, j, k))
    if not triplets:
        return np.zeros((0, 3))
    chosen = np.array(triplets)
    try:
        return np.linalg.solve(rays[chosen], inverse[chosen][..., None])[..., 0]
    except np.linalg.LinAlgError:
        return np.zeros((0, 3))


def _on_planes(
    q: np.ndarray, rays: np.ndarray, inverse: np.ndarray, tolerance: np.ndarray, normals: np.ndarray
) -> np.ndarray:
    """float32 [planes, blocks]: 1 where a block lies on a plane and faces the same way."""
    length = np.linalg.norm(q, axis=1, keepdims=True)
    heights = np.abs(inverse - q @ rays.T) / (inverse * length)
    alike = (q / length) @ normals.T > MOST_TILT
    return ((heights < tolerance) & alike).astype(np.float32)
