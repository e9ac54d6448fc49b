# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One picture with its depth, calibration and transforms, judged as the node judges them, but all of them, where the
node ends with the first that is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from molmo_ros.bag.camera_topics import CameraTopics
from molmo_ros.check import cures
from molmo_ros.check.finding import Finding, Grade
from molmo_ros.check.watched_camera import WatchedCamera
from molmo_ros.geometry import CameraInfoError, PinholeCamera
from molmo_ros.geometry.belonging import Belonging, InputClaims, MismatchError
from molmo_ros.geometry.frame_names import plain
from molmo_ros.geometry.rigid_transform import TransformError
from molmo_ros.molmo.answer import Point
from molmo_ros.node.answers.locator import Locator
from molmo_ros.node.answers.picture_belonging import (
    NotOpticalError,
    belonging_of,
    require_optical,
    require_picture_optical,
)
from molmo_ros.node.answers.picture_depth import PictureDepth
from molmo_ros.node.cameras.images import ImageMessageError
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.frame import Frame
from molmo_ros.node.records.surroundings import Surroundings
from molmo_ros.node.seams.transform_source import TransformSource

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import DepthMessage

COLUMNS, ROWS = 8, 6
"""Places of a picture whose depth is read."""
ENOUGH = 0.5
"""Share of them that should have metres: sky and holes have none anywhere."""
MILLIMETRES = 100.0
"""A median depth beyond is none in metres, for a camera that a robot looks at things with [m]."""


@dataclass
class PictureJudgement:
    """What is said about one picture.

    Args:
        camera: Whose it is.
        frame: The picture.
        settings: The parameters.
        transforms: Where the frames are.
        found: The topics that the graph has for this camera.

    Attributes:
        findings: What is wrong with it.
        assumed: What was taken for granted, because no header says so.
        surroundings: What gives its pixels their places; None where nothing does.
        camera_model: The calibration; None where it cannot be used.
        placed: Share of the places that have metres.
    """

    camera: WatchedCamera
    frame: Frame
    settings: Settings
    transforms: TransformSource
    found: CameraTopics
    findings: list[Finding] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    surroundings: Surroundings | None = None
    camera_model: PinholeCamera | None = None
    placed: float = 0.0

    def judge(self) -> PictureJudgement:
        """Look at all of it."""
        message, settings = self.frame.message, self.settings
        self.camera.depths.want(self.frame.stamp)
        try:
            picture = self.camera.reader.read(message, settings.image_bits)
        except ImageMessageError as error:
            self._add(
                "encoding", str(error), cures.encoding(message, self.found.image, self.camera.names["image"])
            )
            return self
        if picture.note:
            self._add("picture", picture.note, "image_bits:=BITS, or light and exposure", Grade.WARNING)
        if not settings.use_depth:
            return self
        height, width = picture.pixels.shape[:2]
        belonging = belonging_of(message.header, (width, height), settings, self.camera.name)
        self._judge_stamp(belonging)
        self._judge_calibration(belonging)
        self._judge_frame(belonging)
        self._judge_target(belonging)
        depth, reason = self.camera.depths.collect(settings.depth_sync_tolerance, settings.depth_patience)
        if depth is None:
            reason = self.camera.depth_gaps.missing(self.frame.stamp, self.camera.depths.what) or reason
        if self.camera.records["depth"].count:
            self._judge_depth(belonging, depth, reason)
        self._judge_places((width, height), depth, reason)
        self.assumed = list(dict.fromkeys(belonging.assumed))
        return self

    def _add(self, subject: str, text: str, change: str, grade: Grade = Grade.WRONG) -> None:
        self.findings.append(Finding(grade, subject, text, change, self.camera.name))

    def _judge_stamp(self, belonging: Belonging) -> None:
        try:
            belonging.require_stamp()
        except MismatchError as error:
            self._add("stamps", str(error), cures.STAMP)

    def _judge_calibration(self, belonging: Belonging) -> None:
        settings, info = self.settings, self.camera.info
        given = any(settings.camera_matrix)
        if info is None and not given:
            return  # told with the topic
        try:
            self.camera_model = self.camera.calibration(
                *belonging.picture.size,
                rectified=settings.image_is_rectified,
                matrix=settings.camera_matrix,
                trusted=settings.trust_camera_info,
            )
            claims = InputClaims("camera_info", info.header.frame_id) if info and not given else None
            belonging.require_calibration(claims, self.camera_model)
        except (CameraInfoError, MismatchError) as error:
            change = cures.calibration(info, belonging.picture.size, self.found.info, self.camera)
            self._add("calibration", str(error), change)

    def _judge_frame(self, belonging: Belonging) -> None:
        if not belonging.optical_frame:
            name = cures.of_camera(self.settings, self.camera.name, "camera_optical_frame")
            text = "the picture's header has no frame_id, so its points are in no frame"
            self._add("frame", text, f"optical_frame:={name}", Grade.WARNING)
        try:
            require_picture_optical(belonging, self.transforms)
        except NotOpticalError as error:
            self._add("frame", error.fault, cures.optical(error, self.settings, self.camera.name))

    def _judge_target(self, belonging: Belonging) -> None:
        target, optical = plain(self.settings.target_frame), belonging.optical_frame
        if not target or target == optical or not optical:
            return
        try:
            self.transforms.lookup(target, optical, belonging.picture.stamp, self.settings.transform_patience)
        except TransformError as error:
            self._add("transform", str(error), cures.transform(target, optical, self.transforms.parents()))

    def _judge_depth(self, belonging: Belonging, depth: DepthMessage | None, reason: str) -> None:
        if depth is None:
            change = cures.apart(self.camera, self.settings)
            self._add("alignment", reason.partition(": large")[0], change, Grade.WARNING)
            return
        try:
            pixels = PictureDepth(depth, self.camera, belonging, self.settings)
            if self.camera_model is not None:
                pixels.pixels(
                    self.camera_model, self.transforms, partial(require_optical, belonging, self.transforms)
                )
        except ImageMessageError as error:
            change = cures.topic("depth", self.found.depth, self.camera.names["depth"])
            self._add("encoding", f"depth: {error}", change)
        except NotOpticalError as error:
            self._add("alignment", error.fault, cures.optical(error, self.settings, self.camera.name))
        except (MismatchError, CameraInfoError) as error:
            self._add("alignment", str(error), cures.alignment(self.camera, belonging, self.found, depth))

    def _judge_places(self, size: tuple[int, int], depth: DepthMessage | None, reason: str) -> None:
        """What the node itself would say about points all over the picture."""
        locator = Locator(
            self.camera,
            self.frame.message.header,
            size,
            "",
            settings=self.settings,
            transforms=self.transforms,
            find_depth=lambda: (depth, reason),
        )
        columns = (np.arange(COLUMNS) + 0.5) / COLUMNS * size[0]
        rows = (np.arange(ROWS) + 0.5) / ROWS * size[1]
        located = locator.locate([Point(float(x), float(y)) for y in rows for x in columns])
        self.surroundings = locator.surroundings
        self.placed = sum(one.xyz is not None for one in located) / len(located)
        if locator.reason:
            told = self.camera.info is None and not any(self.settings.camera_matrix)
            told |= any(one.counts for one in self.findings) or not self.camera.records["depth"].count
            if not told:
                self._add("depth", locator.reason, "as the text says")
        elif self.placed < ENOUGH and locator.surroundings is not None:
            reasons = Counter(one.reason for one in located if one.xyz is None)
            (why, _), *_ = reasons.most_common(1)
            text = f"{self.placed:.0%} of the picture has depth that can be used; elsewhere: {why}"
            self._add("depth", text, self._depth_cure(locator.surroundings), Grade.WARNING)

    def _depth_cure(self, surroundings: Surroundings) -> str:
        depth = surroundings.depth
        finite = depth[np.isfinite(depth) & (depth > 0)]
        encoding = getattr(surroundings.depth_message, "encoding", "")
        if not finite.size:
            return (
                "depth is empty: <clip><near> and <far> of the SDF camera, or the sensor's range and emitter"
            )
        median = float(np.median(finite))
        if encoding == "32FC1" and median > MILLIMETRES:
            return (
                f"32FC1 is in metres, and the median is {median:.0f}: publish millimetres as 16UC1, or divide"
            )
        if encoding == "16UC1" and median < 1e3 * self.settings.min_depth:
            return f"16UC1 is in millimetres, and the median is {median:.0f}: publish metres as 32FC1, or multiply"
        near, far = self.settings.min_depth, self.settings.max_depth
        return (
            f"min_depth:={near:g} and max_depth:={far:g} leave it out: change them, or the sensor's range (SDF: "
            "<clip><near> and <far>)"
        )
