# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The planes that things stand on or before: tables, shelves, floors, walls.

On a plane the inverse depth is linear in the pixel's ray: 1 / z = q . (x, y, 1), with q = n / d for the plane
n . p = d. So the view is cut into blocks, a plane is fitted to the inverse depth of each (as in Feng, Taguchi and Kamat
2014, "Fast plane extraction in organized point clouds using agglomerative hierarchical clustering"), and planes through
three blocks are held against all of them (RANSAC; Fischler and Bolles 1981), the largest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from molmo_ros.regions.depth_view import DepthView
from molmo_ros.regions.region import Plane

BLOCKS_ACROSS = 40
STEP = 2
"""Every second pixel of every second row is enough for planes."""
LEAST_FILLED = 0.5
"""Share of a block's pixels that must have depth."""
WIDE_PLANES = 150
TRIPLETS = 400
REACH = 12
"""Blocks between the three of a hypothesis, at most."""
ATTEMPTS = 5
LEAST_SHARE = 0.015
"""Planes that fill a smaller share of the view are not told from faces of objects."""
MOST_PLANES = 8
ROUNDS = 4
INLIER_SIGMAS = 2.5
LEAST_SCALE_M = 0.0002
FACE_M = 0.32
"""A face of an object is no longer than this [m]."""
SMALL_FACE_M = 0.15
"""No support is so small, but the top of a thing is [m]."""
FACE_ABOVE = 0.4
"""At most this share of what surrounds a face lies above its plane: an object falls away from its faces, while walls
and things rise from a floor."""
TOP_ABOVE = 0.1
"""The same of one piece of a plane that goes further, or that the image's rim cuts."""
FACE_AT_RIM = 0.4
"""At most this share of what surrounds a face lies beyond the image's rim."""
MOST_TILT = np.cos(np.radians(25.0))
LEAST_TOLERANCE_M = 0.003
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

    @cached_property
    def homogeneous(self) -> np.ndarray:
        """float64 [rows, columns, 3], the rays with their z of 1."""
        return np.concatenate([self.rays, np.ones((*self.inverse.shape, 1))], axis=2)

    @cached_property
    def normals(self) -> np.ndarray:
        """float64 [rows, columns, 3], unit normals of the planes, away from the camera."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.q / np.linalg.norm(self.q, axis=2, keepdims=True)

    @cached_property
    def tolerance(self) -> np.ndarray:
        """float64 [rows, columns]: how far a block's middle may lie off a plane [m].

        Its mean has a fraction of its pixels' noise.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return LEAST_TOLERANCE_M + 0.5 * self.residual / self.inverse**2

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
    least = LEAST_SHARE * flat.size
    left = flat.copy()
    found: list[SupportPlane] = []
    rng = np.random.default_rng(0)
    while len(found) < MOST_PLANES and left.sum() >= max(least, 3):
        plane = next(
            (
                plane
                for q in _best_planes(blocks, left, least, rng)
                if (plane := _grown(q, blocks, left, least))
            ),
            None,
        )
        if plane is None:
            break
        left &= ~plane.blocks
        found.append(plane)
    found = [whole for support in found if (whole := _without_faces(support, blocks)) is not None]
    return tuple(sorted(found, key=lambda support: -int(support.blocks.sum())))


def _best_planes(blocks: Blocks, left: np.ndarray, least: float, rng: np.random.Generator) -> np.ndarray:
    """[n, 3] the planes that most of the blocks left lie on, the best first."""
    rows, columns = np.nonzero(left)
    rays, inverse = blocks.homogeneous[left], blocks.inverse[left]
    candidates = np.vstack(
        [_wide_planes(blocks, left, rng), _planes_of_three(rows, columns, rays, inverse, rng)]
    )
    counts = _on_planes(candidates, rays, inverse, blocks.tolerance[left], blocks.normals[left]).sum(axis=1)
    best = np.argsort(-counts, kind="stable")[:ATTEMPTS]
    return candidates[best[counts[best] >= least]]


def _wide_planes(blocks: Blocks, left: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[n, 3] planes through three by three blocks that are all left."""
    whole = cv2.erode(left.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0)
    rows, columns = np.nonzero(whole)
    if len(rows) > WIDE_PLANES:
        chosen = rng.permutation(len(rows))[:WIDE_PLANES]
        rows, columns = rows[chosen], columns[chosen]
    steps = np.array([(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)])
    r, c = rows[:, None] + steps[:, 0], columns[:, None] + steps[:, 1]
    rays = blocks.homogeneous[r, c]
    across = rays.transpose(0, 2, 1)
    return _solved(across @ rays, across @ blocks.inverse[r, c][..., None])


def _planes_of_three(
    rows: np.ndarray, columns: np.ndarray, rays: np.ndarray, inverse: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """[n, 3] planes through three blocks that lie near each other."""
    first = rng.integers(len(rows), size=TRIPLETS)
    steps = rng.integers(-REACH, REACH + 1, size=(TRIPLETS, 2, 2))
    place = np.full((rows.max() + 2 * REACH + 1, columns.max() + 2 * REACH + 1), -1)
    place[rows + REACH, columns + REACH] = np.arange(len(rows))
    others = place[
        np.minimum(rows[first, None] + steps[..., 0] + REACH, place.shape[0] - 1),
        np.minimum(columns[first, None] + steps[..., 1] + REACH, place.shape[1] - 1),
    ]
    wide = np.abs(steps[:, 0, 0] * steps[:, 1, 1] - steps[:, 0, 1] * steps[:, 1, 0]) >= REACH
    chosen = np.column_stack([first, others])[wide & (others >= 0).all(axis=1)]
    return _solved(rays[chosen], inverse[chosen][..., None])


def _solved(matrices: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[n, 3] solutions of n systems, without those that have none or lie behind the camera."""
    good = np.abs(np.linalg.det(matrices)) > 1e-12
    return np.linalg.solve(matrices[good], values[good])[..., 0]


def _grown(q: np.ndarray, blocks: Blocks, left: np.ndarray, least: float) -> SupportPlane | None:
    """The plane fitted to all blocks that lie on it and hang together; None where too few do.

    A plane can pass through the tops of several objects, which are small and apart.
    """
    rays, inverse = blocks.homogeneous[left], blocks.inverse[left]
    normals, tolerance = blocks.normals[left], blocks.tolerance[left]
    mask = np.zeros(left.shape, bool)
    for _ in range(2):
        mask = np.zeros(left.shape, bool)
        mask[left] = _on_planes(q[None], rays, inverse, tolerance, normals)[0]
        mask = _large_pieces(mask, least)
        if not mask.any():
            return None
        q = _refined(q, blocks.homogeneous[mask], blocks.inverse[mask])
    return SupportPlane(q, mask)


def _large_pieces(mask: np.ndarray, least: float) -> np.ndarray:
    """The parts of a mask that are large, thin ones left out."""
    solid = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= least
    large[0] = False
    return large[numbers] & mask  # an opening with an even square moves by a block


def _refined(q: np.ndarray, rays: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """The plane fitted again to those blocks that lie on it as closely as most do: not to the feet of things."""
    for _ in range(ROUNDS):
        heights = (inverse - rays @ q) / (inverse * np.linalg.norm(q))
        middle = np.median(heights)
        scale = max(1.4826 * float(np.median(np.abs(heights - middle))), LEAST_SCALE_M)
        close = np.abs(heights - middle) < INLIER_SIGMAS * scale
        # Heights are to count, not inverse depths; their place in space is what remains of the rays.
        places = rays[close] / inverse[close, None]
        try:
            q = np.linalg.solve(places.T @ places, places.sum(axis=0))
        except np.linalg.LinAlgError:  # all on a line
            break
    return q


def _without_faces(support: SupportPlane, blocks: Blocks) -> SupportPlane | None:
    """The plane without those of its pieces that are sides of objects; None where none is left."""
    count, numbers = cv2.connectedComponents(support.blocks.astype(np.uint8), connectivity=8)
    pieces = [numbers == number for number in range(1, count)]
    # Pieces far apart are one board, seen between things, or tops of equal height: only those have nothing above.
    most = FACE_ABOVE if _length(support.blocks, blocks) <= FACE_M else TOP_ABOVE
    kept = [piece for piece in pieces if not _is_face(support.q, piece, blocks, most)]
    return SupportPlane(support.q, np.logical_or.reduce(kept)) if kept else None


def _length(piece: np.ndarray, blocks: Blocks) -> float:
    """Diagonal of what the blocks span [m]."""
    places = np.column_stack([blocks.rays[piece], np.ones(int(piece.sum()))]) / blocks.inverse[piece][:, None]
    return float(np.linalg.norm(np.ptp(places, axis=0)))


def _is_face(q: np.ndarray, piece: np.ndarray, blocks: Blocks, most_above: float) -> bool:
    """Whether a piece of a plane is a side of an object: small, and what surrounds it lies behind it."""
    mask = np.pad(piece.astype(np.uint8), 2)
    ring = (cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0) & (mask == 0)
    inner = ring[2:-2, 2:-2]
    at_rim = 1 - inner.sum() / ring.sum()
    if at_rim > FACE_AT_RIM:
        return False
    length = _length(piece, blocks)
    if length > FACE_M:
        return False
    if at_rim > 0 and length > SMALL_FACE_M:  # the rim may hide what rises beside a floor
        most_above = min(most_above, TOP_ABOVE)
    around, w = blocks.rays[inner], blocks.inverse[inner]
    heights = (w - around @ q[:2] - q[2]) / (w * np.linalg.norm(q))
    heights = heights[np.isfinite(heights)]
    return bool((heights > 2 * LEAST_TOLERANCE_M).sum() <= most_above * max(len(heights), 1))


def _on_planes(
    q: np.ndarray, rays: np.ndarray, inverse: np.ndarray, tolerance: np.ndarray, normals: np.ndarray
) -> np.ndarray:
    """bool [planes, blocks]: whether a block lies on a plane and faces the same way."""
    # Single precision is enough to count, and several times as fast.
    length = np.linalg.norm(q, axis=1, keepdims=True)
    unit = (q / length).astype(np.float32)
    places = (rays / inverse[:, None]).astype(np.float32)
    heights = unit @ places.T
    heights -= (1.0 / length).astype(np.float32)
    on = np.abs(heights, out=heights) < tolerance.astype(np.float32)
    on &= unit @ normals.T.astype(np.float32) > np.float32(MOST_TILT)
    return on
