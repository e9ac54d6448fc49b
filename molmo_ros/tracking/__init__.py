# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points followed between answers, at the camera's rate: OpenCV and numpy, no ROS and no torch."""

from molmo_ros.tracking.catch_up import catch_up
from molmo_ros.tracking.frame_history import FrameHistory
from molmo_ros.tracking.gray_frame import GrayFrame
from molmo_ros.tracking.point_tracker import PointTracker
from molmo_ros.tracking.track import LossReason, Track, TrackedPoint
from molmo_ros.tracking.track_ids import new_id, same_objects

__all__ = [
    "FrameHistory",
    "GrayFrame",
    "LossReason",
    "PointTracker",
    "Track",
    "TrackedPoint",
    "catch_up",
    "new_id",
    "same_objects",
]
