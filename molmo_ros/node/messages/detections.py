# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points as detections of vision_msgs 4 (Humble, Jazzy), for consumers that read those; where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import Pose, Vector3
from molmo_msgs.msg import ObjectPoint, ObjectPointArray

from molmo_ros.node import installed_ros
from molmo_ros.node.messages.object_regions import has_box_3d
from molmo_ros.node.messages.point_messages import pose_of, position_header

if TYPE_CHECKING:
    from vision_msgs.msg import Detection2DArray, Detection3DArray


def message_types() -> tuple[type[Detection2DArray], type[Detection3DArray]] | None:
    """What the two functions below return; None where vision_msgs is not installed, or too old."""
    package = installed_ros.module("vision_msgs")
    return None if package is None else (package.msg.Detection2DArray, package.msg.Detection3DArray)


def detections_2d_message(array: ObjectPointArray) -> Detection2DArray:
    """Every point as the box around its object's pixels [px], 0 at the image's left and top edges.

    Molmo points and does not outline: where the object's region is not known, the box has size 0 at the pixel.
    `class_id` is the label. `score` is the point's score; where it has none it is 0: a threshold drops what nothing is
    known about, rather than trusts it. `id` is the track's, empty where nothing is tracked.

    Raises:
        ModuleNotFoundError: vision_msgs is not installed.
    """
    from vision_msgs.msg import Detection2D, Detection2DArray

    message = Detection2DArray(header=array.header)
    for point in array.points:
        detection = Detection2D(header=array.header, id=_track(point), results=[_hypothesis(point, Pose())])
        box = point.box_2d
        if point.region_valid:
            detection.bbox.center.position.x = box.x_offset + box.width / 2
            detection.bbox.center.position.y = box.y_offset + box.height / 2
            detection.bbox.size_x, detection.bbox.size_y = float(box.width), float(box.height)
        else:
            detection.bbox.center.position.x = point.pixel.x
            detection.bbox.center.position.y = point.pixel.y
        message.detections.append(detection)
    return message


def detections_3d_message(array: ObjectPointArray) -> Detection3DArray:
    """Every point that has a place as the box around its object [m], in the frame of the positions.

    Label, score and id as in `detections_2d_message`. The hypothesis' pose is that of the point: its z axis is the
    surface's outward normal, where one is known; its covariance is not given (zeros). Where the object's region is not
    known, the box has size 0 and that pose.

    Raises:
        ModuleNotFoundError: vision_msgs is not installed.
    """
    from vision_msgs.msg import Detection3D, Detection3DArray

    header = position_header(array)
    message = Detection3DArray(header=header)
    for point in array.points:
        if point.has_position:
            pose = pose_of(point)
            detection = Detection3D(header=header, id=_track(point), results=[_hypothesis(point, pose)])
            has_box = has_box_3d(point)
            detection.bbox.center = point.box_pose if has_box else pose
            detection.bbox.size = point.box_size if has_box else Vector3()
            message.detections.append(detection)
    return message


def _track(point: ObjectPoint) -> str:
    return str(point.track_id) if point.track_id else ""


def _hypothesis(point: ObjectPoint, pose: Pose) -> Any:
    from vision_msgs.msg import ObjectHypothesisWithPose

    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id = point.label
    result.hypothesis.score = float(point.score) if point.has_score else 0.0
    result.pose.pose = pose
    return result
