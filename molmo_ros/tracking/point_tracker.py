# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Follows points from frame to frame until they are lost.

Of every point the surface around it is kept: features on it, and what it looked like. A step predicts its motion from
the features' optical flow and then aligns what it sees with what it looked like, so that errors do not add up: the way
of Matthews, Ishikawa and Baker, The Template Update Problem, PAMI 2004.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from molmo_ros.tracking.features import choose_features
from molmo_ros.tracking.flow_cluster import fit_flow, follow
from molmo_ros.tracking.gray_frame import GrayFrame
from molmo_ros.tracking.object_region import grow_region
from molmo_ros.tracking.template import (
    GRID,
    LEAST_CONTRAST,
    Templates,
    changed,
    contrast,
    correlation,
    sample,
)
from molmo_ros.tracking.track import LossReason, Track, TrackedPoint
from molmo_ros.tracking.track_ids import new_id, same_objects

# What a point may look like; chosen on simulated tables seen by a moving camera, with and without something that passes
# in front (benchmarks/tracking.py).
LEAST_LIKE_TEMPLATE = 0.65
LEAST_LIKE_LAST = 0.8
RENEW_BELOW = 0.8
"""A template that looks less like what is seen is taken anew: the camera sees another side by now."""
RENEW_WITH = 0.93
"""But only when so much of the last frame is seen again, so that nothing that comes in front becomes part of it."""

# The middle of the patch is the point itself: what covers it changes its samples.
MIDDLE = 0.4
"""Radius of the middle, in radii of the patch."""
CHANGE = 18.0
"""A sample that differs by more shows something else [gray levels]."""
MOST_CHANGED_SINCE_TEMPLATE = 0.7
MOST_CHANGED_SINCE_LAST = 0.3
OTHER_COLOR = 30.0
"""A surface whose Cr and Cb are further from the point's at the start is another one [gray levels]."""

FARTHEST_CORRECTION = 0.4
"""An alignment further from the prediction found something else; in radii of the patch."""


@dataclass(frozen=True)
class _Followed:
    """The n points that are followed, an array per property."""

    ids: np.ndarray
    labels: np.ndarray
    place: np.ndarray
    """complex [n], in the scaled frame [px]."""
    turn: np.ndarray
    """complex [n], scale and rotation since the start."""
    radius: np.ndarray
    """[n] of the patch at the start [px]."""
    offsets: np.ndarray
    """complex [n, k], of the features from the point at the start [px]."""
    there: np.ndarray
    """bool [n, k]: not padding."""
    chroma: np.ndarray
    """[n, 2] Cr and Cb at the start."""
    last: np.ndarray
    """float32 [n, SIDE²]: the patches of the last frame."""
    templates: Templates

    def __getitem__(self, which: np.ndarray) -> _Followed:
        return _Followed(**{field.name: getattr(self, field.name)[which] for field in fields(self)})

    def joined(self, other: _Followed) -> _Followed:
        """These points and then the other's."""
        both: dict[str, Any] = {}
        for field in fields(self):
            one, two = getattr(self, field.name), getattr(other, field.name)
            both[field.name] = one.joined(two) if isinstance(one, Templates) else _stacked(one, two)
        return _Followed(**both)


class PointTracker:
    """Follows points through the frames of one camera. For one thread at a time."""

    def __init__(self) -> None:
        self._frame: GrayFrame | None = None
        self._points: _Followed | None = None

    def start(self, frame: GrayFrame, points: Sequence[TrackedPoint]) -> list[Track]:
        """Begins with these points, each under a new id; those followed before are forgotten.

        Args:
            frame: The frame that the points were found in.
            points: In pixels of the original image.

        Returns:
            A track per point, in order. A point outside of the image, or on a surface without any structure within
            reach, is lost at once.
        """
        pixels = np.array([(point.x, point.y) for point in points], float).reshape(-1, 2)
        places = frame.to_index(pixels) @ (1, 1j)
        regions = [grow_region(frame.smooth, place) for place in places]
        offsets, there = choose_features(frame.pixels, places, regions)
        radius = np.array([region.radius for region in regions])
        weights = np.array([region.sampled(GRID) for region in regions], np.float32).reshape(-1, len(GRID))
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        patches = sample(frame.smooth, places, radius)
        self._frame = frame
        self._points = _Followed(
            ids=np.array([new_id() for _ in points], np.int64),
            labels=np.array([point.label for point in points], object),
            place=places,
            turn=np.ones(len(points), complex),
            radius=radius,
            offsets=offsets,
            there=there,
            chroma=frame.chroma_at(_rows(places)),
            last=patches,
            templates=Templates(patches, weights),
        )
        plain = contrast(patches, weights)[:, 0] < LEAST_CONTRAST
        return self._report(
            [(_outside(frame, places), LossReason.OUT_OF_IMAGE), (plain, LossReason.NO_TEXTURE)]
        )

    def step(self, frame: GrayFrame) -> list[Track]:
        """Follows the points into the next frame.

        Returns:
            A track per point that was followed until now. One lost in this step says why, and is not reported again.
        """
        before, points = self._frame, self._points
        self._frame = frame
        if before is None or points is None or not len(points.ids):
            return []
        if frame.size != before.size or frame.pixels.shape != before.pixels.shape:
            return self._report([(np.ones(len(points.ids), bool), LossReason.IMAGE_SIZE)])
        place, turn = _aligned(points, frame, _predicted(points, before, frame))
        patches = sample(frame.smooth, place, turn * points.radius)
        templates, weights = points.templates, points.templates.weights
        like_template = templates.similarity(patches)
        like_last = correlation(points.last, patches, weights)
        since_template = changed(templates.patches, patches, weights, MIDDLE, CHANGE)
        since_last = changed(points.last, patches, weights, MIDDLE, CHANGE)
        renew = (
            (like_template < RENEW_BELOW)
            & (like_last > RENEW_WITH)
            & (since_last < MOST_CHANGED_SINCE_LAST / 2)
        )
        if renew.any():
            templates = templates.renewed(renew, patches)
        self._points = replace(points, place=place, turn=turn, last=patches, templates=templates)
        recolored = np.linalg.norm(frame.chroma_at(_rows(place)) - points.chroma, axis=1) > OTHER_COLOR
        covered = (
            recolored
            | (since_template > MOST_CHANGED_SINCE_TEMPLATE)
            | (since_last > MOST_CHANGED_SINCE_LAST)
        )
        leaving = _outside(frame, place, points.radius)
        strange = (like_template < LEAST_LIKE_TEMPLATE) | (like_last < LEAST_LIKE_LAST)
        return self._report(
            [
                (_outside(frame, place) | (leaving & (covered | strange)), LossReason.OUT_OF_IMAGE),
                (covered, LossReason.COVERED),
                (strange, LossReason.APPEARANCE),
            ]
        )

    def adopt(self, fresh: PointTracker, instead_of: Collection[int]) -> dict[int, int]:
        """Takes over the points of a newer answer in place of those of the last one.

        Points of both that are the same object (`same_objects`) go on under the id they had.

        Args:
            fresh: A tracker that stands at the same frame; it is empty afterwards.
            instead_of: The ids followed here that the new answer replaces; the rest stays.

        Returns:
            The ids that changed: of the fresh tracker to the one that the object keeps.

        Raises:
            ValueError: The trackers stand at different frames.
        """
        if self._frame is not fresh._frame or self._frame is None or fresh._points is None:
            raise ValueError(f"the points to adopt are of {_told(fresh._frame)}, not of {_told(self._frame)}")
        replaced = [track for track in self.tracks if track.id in instead_of]
        kept_ids = same_objects(fresh.tracks, replaced, self._frame.size[0])
        ids = np.array([kept_ids.get(int(one), int(one)) for one in fresh._points.ids], np.int64)
        incoming = replace(fresh._points, ids=ids)
        self.forget(instead_of)
        self._points = incoming if self._points is None else self._points.joined(incoming)
        fresh._points = None
        return kept_ids

    def forget(self, ids: Collection[int]) -> None:
        """Follows these no longer."""
        if self._points is not None:
            self._points = self._points[~np.isin(self._points.ids, list(ids))]

    @property
    def tracks(self) -> list[Track]:
        """The points that are followed, in the newest frame."""
        return [] if self._points is None else self._report([])

    def _report(self, losses: Sequence[tuple[np.ndarray, LossReason]]) -> list[Track]:
        """A track per point, with the first reason that holds; the lost ones are forgotten."""
        frame, points = self._frame, self._points
        assert frame is not None and points is not None
        pixels = frame.to_original(_rows(points.place))
        tracks, followed = [], np.ones(len(points.ids), bool)
        for n, (x, y) in enumerate(pixels.tolist()):
            lost = next((reason for bad, reason in losses if bad[n]), None)
            tracks.append(Track(int(points.ids[n]), x, y, points.labels[n], lost))
            followed[n] = lost is None
        if not followed.all():
            self._points = points[followed]
        return tracks


def _predicted(points: _Followed, before: GrayFrame, frame: GrayFrame) -> tuple[np.ndarray, np.ndarray]:
    """Where the features' flow moves the points: place and turn."""
    offsets = points.offsets * points.turn[:, None]
    places = points.place[:, None] + offsets
    flows, good = np.zeros_like(places), np.zeros(places.shape, bool)
    moved, good[points.there] = follow(before.pixels, frame.pixels, places[points.there])
    flows[points.there] = moved - places[points.there]
    flow = fit_flow(offsets, flows, good)
    return points.place + flow.shift, points.turn * flow.turn


def _aligned(
    points: _Followed, frame: GrayFrame, predicted: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Place and turn where the frame looks most like the templates; as predicted where that is no better."""
    place, turn = predicted
    new_place, new_turn = points.templates.align(frame.smooth, place, turn, points.radius)
    before = points.templates.similarity(sample(frame.smooth, place, turn * points.radius))
    after = points.templates.similarity(sample(frame.smooth, new_place, new_turn * points.radius))
    near = np.abs(new_place - place) < FARTHEST_CORRECTION * points.radius
    better = (after > before) & near
    return np.where(better, new_place, place), np.where(better, new_turn, turn)


def _rows(places: np.ndarray) -> np.ndarray:
    """[n, 2] x and y of complex [n]."""
    return np.stack([places.real, places.imag], axis=1)


def _outside(frame: GrayFrame, places: np.ndarray, margin: np.ndarray | float = 0.0) -> np.ndarray:
    """bool [n]: which places, complex [n], are no pixel of the frame, or nearer than a margin to its edge [px]."""
    height, width = frame.pixels.shape
    x, y = places.real + 0.5, places.imag + 0.5
    return ~((x >= margin) & (y >= margin) & (x <= width - margin) & (y <= height - margin))


def _stacked(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """One below the other, the narrower filled up with zeros."""
    if one.ndim == 2:
        width = max(one.shape[1], other.shape[1])
        one, other = (np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in (one, other))
    return np.concatenate([one, other])


def _told(frame: GrayFrame | None) -> str:
    return "no frame" if frame is None else f"the frame of {frame.stamp} ns"
