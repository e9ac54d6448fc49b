"""Points as detections of vision_msgs 4 (Humble, Jazzy), for consumers that read those; where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import Pose
from molmo_msgs.msg import ObjectPoint, ObjectPointArray

from molmo_ros.node import installed_ros
from molmo_ros.node.messages.point_messages import pose_of, position_header

if TYPE_CHECKING:
    from vision_msgs.msg import Detection2DArray, Detection3DArray


def message_types() -> tuple[type[Detection2DArray], type[Detection3DArray]] | None:
    """What the two functions below return; None where vision_msgs is not installed, or too old."""
    package = installed_ros.module("vision_msgs")
    return None if package is None else (package.msg.Detection2DArray, package.msg.Detection3DArray)


def detections_2d_message(array: ObjectPointArray) -> Detection2DArray:
    """Every point as a box of size 0 around its pixel [px], 0 at the image's left and top edges.

    Molmo points and does not outline, so the box has a place and no size. `class_id` is the label. `score` is the
    point's score; where it has none it is 0: a threshold drops what nothing is known about, rather than trusts it.
    `id` is the track's, empty where nothing is tracked.

    Raises:
        ModuleNotFoundError: vision_msgs is not installed.
    """
    from vision_msgs.msg import Detection2D, Detection2DArray

    message = Detection2DArray(header=array.header)
    for point in array.points:
        detection = Detection2D(header=array.header, id=_track(point), results=[_hypothesis(point, Pose())])
        detection.bbox.center.position.x = point.pixel.x
        detection.bbox.center.position.y = point.pixel.y
        message.detections.append(detection)
    return message


def detections_3d_message(array: ObjectPointArray) -> Detection3DArray:
    """Every point that has a place as a box of size 0 there [m], in the frame of the positions.

    Label, score and id as in `detections_2d_message`. The z axis of the pose is the surface's outward normal, where
    one is known; its covariance is not given (zeros).

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
            detection.bbox.center = pose
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
