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
    height, width = depth.shape
    if not (-0.5 <= column <= width - 0.5 and -0.5 <= row <= height - 0.5):
        return DepthSample(
            None, reason=f"pixel ({column:g}, {row:g}) lies outside the {width}x{height} depth image"
        )
    # The right and bottom edges of the image belong to its last column and row.
    u, v = min(round(column), width - 1), min(round(row), height - 1)
    u, v, half = max(u, 0), max(v, 0), window // 2
    left, top = max(u - half, 0), max(v - half, 0)
    patch = metres(depth[top : v + half + 1, left : u + half + 1])
    rows, columns = np.nonzero(np.isfinite(patch))
    values = patch[rows, columns].astype(np.float64)
    if not values.size:
        return DepthSample(None, reason=f"no valid depth within {window}x{window} px of the point")
    inside = (values >= minimum) & (values <= maximum)
    if not inside.any():
        return DepthSample(
            None,
            reason=f"depth {np.median(values):.3g} m at the point is outside the range "
            f"{minimum:g} to {maximum:g} m",
        )
    rows, columns, values = rows[inside] + top, columns[inside] + left, values[inside]
    chosen = _nearest_surface(values)
    values, du, dv = values[chosen], columns[chosen] - column, rows[chosen] - row
    return _fit(values, du, dv)


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
