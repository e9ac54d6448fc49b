"""Follows points from frame to frame until they are lost.

Of every point the surface around it is kept: features on it, and what it looked like. A step predicts its motion from
the features' optical flow and then aligns what it sees with what it looked like, so that errors do not add up: the way
of Matthews, Ishikawa and Baker, The Template Update Problem, PAMI 2004.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from molmo_ros.tracking.flow_cluster import fit_flow, follow
from molmo_ros.tracking.gray_frame import GrayFrame
from molmo_ros.tracking.object_region import Region, grow_region
from molmo_ros.tracking.template import GRID, Pose, Templates, sample
from molmo_ros.tracking.track import LossReason, Track, TrackedPoint
from molmo_ros.tracking.track_ids import new_id

FEATURES = 24
"""Most features of a point, the point itself included."""
FEWEST = 4
MIN_SHARE = 0.25
MIN_START = 0.5
MIN_LAST = 0.7
MAX_JUMP = 14.0
MAX_CHANGE = 40.0


class PointTracker:
    """Follows the points of one answer through the frames of one camera. For one thread at a time."""

    def __init__(self) -> None:
        self._frame: GrayFrame | None = None
        self._ids = np.zeros(0, np.int64)
        self._labels: list[str] = []

    def start(self, frame: GrayFrame, points: Sequence[TrackedPoint]) -> list[Track]:
        """Begins with these points, each under a new id; those followed before are forgotten.

        Args:
            frame: The frame that the points were found in.
            points: In pixels of the original image.

        Returns:
            A track per point; one outside of the image is lost at once.
        """
        self._frame = frame
        self._ids = np.array([new_id() for _ in points], np.int64)
        self._labels = [point.label for point in points]
        places = frame.to_index(np.array([(point.x, point.y) for point in points], float).reshape(-1, 2))
        self._pose = Pose(places[:, 0] + 1j * places[:, 1], np.ones(len(points), complex))
        lost: dict[int, LossReason] = {i: LossReason.OUT_OF_IMAGE for i in np.flatnonzero(self._outside(frame))}
        blurred = cv2.GaussianBlur(frame.pixels, (0, 0), 1.2)
        regions = [grow_region(blurred, place.real, place.imag) for place in self._pose.place]
        self._radius = np.array([region.radius for region in regions])
        self._offsets, self._there = _features(frame.pixels, self._pose.place, regions)
        patches = sample(blurred, self._pose.place, self._pose.turn, self._radius)
        self._weights = _weights(regions)
        self._templates = Templates(patches, self._weights) if len(points) else None
        self._last = patches
        self._level = self._first_level = _level(blurred, self._pose.place)
        return self._report(frame, lost)

    def step(self, frame: GrayFrame) -> list[Track]:
        """Follows the points into the next frame.

        Returns:
            A track per point followed until now; those lost in this step have their reason, and are not reported
            again.
        """
        before = self._frame
        if before is None or not len(self._ids):
            self._frame = frame
            return []
        self._frame = frame
        if frame.size != before.size or frame.pixels.shape != before.pixels.shape:
            return self._report(frame, {i: LossReason.IMAGE_SIZE for i in range(len(self._ids))})
        lost: dict[int, LossReason] = {}
        flow = self._flow(before, frame)
        blurred = cv2.GaussianBlur(frame.pixels, (0, 0), 1.2)
        predicted = Pose(self._pose.place + flow.shift, self._pose.turn * flow.turn)
        self._pose = self._aligned(blurred, predicted)
        patches = sample(blurred, self._pose.place, self._pose.turn, self._radius)
        from_start = self._templates.similarity(patches)
        from_last = Templates(self._last, self._weights).similarity(patches)
        level = _level(blurred, self._pose.place)
        self.debug = dict(start=from_start, last=from_last, share=flow.share, n=flow.agreeing,
            jump=level - self._level, change=level - self._first_level, ids=self._ids.copy())
        for bad, reason in (
            (self._outside(frame), LossReason.OUT_OF_IMAGE),
            ((flow.agreeing < FEWEST) | (flow.share < MIN_SHARE), LossReason.NO_FLOW),
            ((np.abs(level - self._level) > MAX_JUMP) | (np.abs(level - self._first_level) > MAX_CHANGE), LossReason.COVERED),
            ((from_start < MIN_START) | (from_last < MIN_LAST), LossReason.APPEARANCE),
        ):
            for i in np.flatnonzero(bad):
                lost.setdefault(int(i), reason)
        self._last, self._level = patches, level
        return self._report(frame, lost)

    def _flow(self, before, frame):
        offsets = self._offsets * self._pose.turn[:, None]
        places = self._pose.place[:, None] + offsets
        flows, good = np.zeros_like(places), np.zeros(places.shape, bool)
        moved, followed = follow(before.pixels, frame.pixels, places[self._there])
        flows[self._there] = moved - places[self._there]
        good[self._there] = followed
        return fit_flow(offsets, flows, good, self._there)

    def _aligned(self, blurred, predicted):
        aligned = self._templates.align(blurred, predicted, self._radius)
        old = self._templates.similarity(sample(blurred, predicted.place, predicted.turn, self._radius))
        new = self._templates.similarity(sample(blurred, aligned.place, aligned.turn, self._radius))
        far = np.abs(aligned.place - predicted.place) > 0.4 * self._radius
        better = (new > old) & ~far & (np.abs(np.log(np.abs(aligned.turn / predicted.turn))) < 0.15)
        return Pose(np.where(better, aligned.place, predicted.place), np.where(better, aligned.turn, predicted.turn))

    def _outside(self, frame):
        height, width = frame.pixels.shape
        x, y = self._pose.place.real, self._pose.place.imag
        return ~((x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5))

    def _report(self, frame, lost):
        xy = frame.to_original(np.stack([self._pose.place.real, self._pose.place.imag], axis=1))
        tracks = [Track(int(i), float(x), float(y), label, lost.get(n)) for n, (i, (x, y), label) in enumerate(zip(self._ids, xy, self._labels))]
        if lost:
            keep = np.array([n not in lost for n in range(len(tracks))], bool)
            self._keep(keep)
        return tracks

    def _keep(self, keep):
        self._ids = self._ids[keep]
        self._labels = [l for l, k in zip(self._labels, keep) if k]
        self._pose = Pose(self._pose.place[keep], self._pose.turn[keep])
        self._radius, self._offsets, self._there = self._radius[keep], self._offsets[keep], self._there[keep]
        self._weights, self._last, self._level, self._first_level = self._weights[keep], self._last[keep], self._level[keep], self._first_level[keep]
        self._templates = Templates(self._templates.patches[keep], self._weights)


def _features(image, places, regions):
    offsets = np.zeros((len(places), FEATURES), complex)
    there = np.zeros(offsets.shape, bool)
    there[:, 0] = True
    strength = cv2.cornerMinEigenVal(image, 5) if len(places) else None
    for n, (place, region) in enumerate(zip(places, regions)):
        reach = len(region.mask) // 2
        window = cv2.getRectSubPix(image, (2 * reach + 1, 2 * reach + 1), (place.real, place.imag))
        corners = cv2.goodFeaturesToTrack(window, FEATURES - 1, 0.02, max(2, region.radius / 6), mask=region.mask.astype(np.uint8), blockSize=5)
        if corners is None: continue
        found = corners[:, 0, 0] - reach + 1j * (corners[:, 0, 1] - reach)
        offsets[n, 1:len(found) + 1] = found
        there[n, 1:len(found) + 1] = True
    return offsets, there


def _weights(regions):
    weights = np.zeros((len(regions), len(GRID)), np.float32)
    for n, region in enumerate(regions):
        reach = len(region.mask) // 2
        at = reach + GRID * region.radius
        weights[n] = cv2.remap(region.mask.astype(np.float32), at.real.astype(np.float32)[None], at.imag.astype(np.float32)[None], cv2.INTER_LINEAR)[0] + 1e-3
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)


def _level(blurred, place):
    around = np.array([0, 2, -2, 2j, -2j, 1+1j, 1-1j, -1+1j, -1-1j])
    at = place[:, None] + around
    return np.median(cv2.remap(blurred, at.real.astype(np.float32), at.imag.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(float).reshape(len(place), -1), axis=1) if len(place) else np.zeros(0)
