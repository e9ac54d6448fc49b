# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Depth at a pixel, read from a window that may hold noise, holes and the edge of an object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Sorted depths further apart than this belong to different surfaces.
SURFACE_GAP_M = 0.015
SURFACE_GAP_RATIO = 0.02
# A surface must fill this share of the window's valid pixels, or it is taken for flying pixels.
SURFACE_SHARE = 0.2


@dataclass(frozen=True)
class DepthSample:
    """Depth at one pixel, or why there is none.

    Attributes:
        depth: Distance along the optical axis [m]; None where there is none. Never NaN, 0 or infinite.
        spread: Robust standard deviation of the surface's pixels around a plane [m].
        valid: How many pixels the depth was read from.
        reason: Empty where `depth` is given; otherwise a sentence.
    """

    depth: float | None
    spread: float = 0.0
    valid: int = 0
    reason: str = ""


class NoDepthError(ValueError):
    """There is no depth at a pixel; the message says why."""


@dataclass(frozen=True)
class DepthPixels:
    """Pixels with a valid depth.

    Attributes:
        columns, rows: int [n] [px].
        depth: float64 [n], distance along the optical axis [m].
    """

    columns: np.ndarray
    rows: np.ndarray
    depth: np.ndarray

    def chosen(self, which: np.ndarray) -> DepthPixels:
        """Those of a mask or of indices."""
        return DepthPixels(self.columns[which], self.rows[which], self.depth[which])


def metres(depth: np.ndarray) -> np.ndarray:
    """Depth in metres with NaN where there is none (REP-117, REP-118).

    Args:
        depth: uint16 in millimetres (0 is invalid) or floating in metres (NaN, infinite and
            non-positive are invalid), any shape.

    Returns:
        float32, same shape [m].

    Raises:
        TypeError: Another dtype.
    """
    if depth.dtype.kind == "u" and depth.dtype.itemsize == 2:
        scaled = depth.astype(np.float32) * np.float32(0.001)
    elif depth.dtype.kind == "f":
        scaled = depth.astype(np.float32)
    else:
        raise TypeError(f"depth must be uint16 [mm] or floating [m], got {depth.dtype}")
    scaled[~(np.isfinite(scaled) & (scaled > 0))] = np.nan
    return scaled


def depth_at(
    depth: np.ndarray,
    column: float,
    row: float,
    *,
    window: int = 7,
    minimum: float = 0.0,
    maximum: float = np.inf,
) -> DepthSample:
    """Depth of the surface seen at a pixel.

    The valid depths of the window are split into surfaces at gaps; the nearest surface that fills a
    fair share of the window wins, because a pointed-at object stands in front of its background and a
    point near its rim must not fall through to the wall behind. Inverse depth is linear in the pixel on
    a plane, so a fit of it gives the depth at the very pixel on slanted surfaces and at image borders,
    where a median would be biased.

    Args:
        depth: [h, w], uint16 [mm] or floating [m]; only the window is converted.
        column, row: Pixel [px], whole numbers at pixel centres.
        window: Edge of the square window [px], odd.
        minimum, maximum: Depths outside are invalid [m].
    """
    try:
        surface = surface_at(depth, column, row, window=window, minimum=minimum, maximum=maximum)
    except NoDepthError as error:
        return DepthSample(None, reason=str(error))
    return _fit(surface.depth, surface.columns - column, surface.rows - row)


def surface_at(
    depth: np.ndarray, column: float, row: float, *, window: int, minimum: float, maximum: float
) -> DepthPixels:
    """The pixels that `depth_at` reads: those of the nearest surface in the window.

    Args:
        depth, column, row, window, minimum, maximum: See `depth_at`.

    Raises:
        NoDepthError: There are none; the message is a sentence.
    """
    pixels = pixels_around(depth, column, row, window=window)
    if not len(pixels.depth):
        raise NoDepthError(
            f"no valid depth within {window}x{window} px of the point{_beyond_range(depth, column, row)}"
        )
    inside = pixels.chosen((pixels.depth >= minimum) & (pixels.depth <= maximum))
    if not len(inside.depth):
        raise NoDepthError(
            f"depth {np.median(pixels.depth):.3g} m at the point is outside the range "
            f"{minimum:g} to {maximum:g} m"
        )
    return inside.chosen(_nearest_surface(inside.depth))


def pixels_around(depth: np.ndarray, column: float, row: float, *, window: int) -> DepthPixels:
    """The valid pixels of the window around a pixel; a part of it may lie outside the image.

    Args:
        depth, column, row, window: See `depth_at`.

    Raises:
        NoDepthError: The pixel lies outside the image.
    """
    height, width = depth.shape
    if not (-0.5 <= column <= width - 0.5 and -0.5 <= row <= height - 0.5):
        raise NoDepthError(f"pixel ({column:g}, {row:g}) lies outside the {width}x{height} depth image")
    # The right and bottom edges of the image belong to its last column and row.
    u, v = min(round(column), width - 1), min(round(row), height - 1)
    u, v, half = max(u, 0), max(v, 0), window // 2
    left, top = max(u - half, 0), max(v - half, 0)
    patch = metres(depth[top : v + half + 1, left : u + half + 1])
    rows, columns = np.nonzero(np.isfinite(patch))
    return DepthPixels(columns + left, rows + top, patch[rows, columns].astype(np.float64))


def _beyond_range(depth: np.ndarray, column: float, row: float) -> str:
    """What infinite depth at a pixel says (REP-117); empty where it says nothing."""
    height, width = depth.shape
    value = float(depth[min(max(round(row), 0), height - 1), min(max(round(column), 0), width - 1)])
    if value == np.inf:
        return ": it is infinite there, beyond the camera's far limit (a simulator's <clip><far>)"
    if value == -np.inf:
        return ": it is -infinite there, before the camera's near limit (a simulator's <clip><near>)"
    return ""


def _nearest_surface(values: np.ndarray) -> np.ndarray:
    """Indices of the nearest surface that is not just a few flying pixels."""
    order = np.argsort(values)
    ordered = values[order]
    gap = np.maximum(SURFACE_GAP_M, SURFACE_GAP_RATIO * ordered[:-1])
    surfaces = np.split(order, np.flatnonzero(np.diff(ordered) > gap) + 1)
    for surface in surfaces:
        if len(surface) >= SURFACE_SHARE * len(values):
            return surface
    return max(surfaces, key=len)


def _fit(values: np.ndarray, du: np.ndarray, dv: np.ndarray) -> DepthSample:
    """Depth of the plane through the values at du = dv = 0 [px]."""
    depth, expected = float(np.median(values)), np.full(len(values), np.median(values))
    if len(values) >= 6 and np.ptp(du) >= 2 and np.ptp(dv) >= 2:
        terms = np.stack([np.ones(len(values)), du, dv], axis=1)
        coefficients = np.linalg.lstsq(terms, 1 / values, rcond=None)[0]
        inverse = terms @ coefficients
        at_pixel = coefficients[0]
        # Outside what was seen, a fit over a few pixels is a guess.
        if inverse.min() > 0 and 1 / values.max() <= at_pixel <= 1 / values.min():
            depth, expected = float(1 / at_pixel), 1 / inverse
    spread = 1.4826 * float(np.median(np.abs(values - expected)))
    return DepthSample(depth=depth, spread=spread, valid=len(values))
