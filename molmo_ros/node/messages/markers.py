# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points as a visualization_msgs/MarkerArray for RViz and Foxglove: a ball, its label, an arrow along the normal; the
box around the object, and a gripper where one is to take hold of it."""

from __future__ import annotations

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from molmo_msgs.msg import Grasp, GraspArray, ObjectPoint, ObjectPointArray, QueryState
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from molmo_ros.molmo.status import Status
from molmo_ros.node.messages.object_regions import has_box_3d
from molmo_ros.node.messages.point_messages import position_header

# Sizes for things on a table [m].
BALL_DIAMETER = 0.02
LABEL_HEIGHT = 0.025
LABEL_RISE = 0.03
ARROW_LENGTH = 0.08
ARROW_SHAFT, ARROW_HEAD, ARROW_HEAD_LENGTH = 0.006, 0.014, 0.02

LIFETIME_S = 10
"""Markers fade this long after the last message, so a dead node leaves none behind [s]."""

PINK = ColorRGBA(r=0.94, g=0.32, b=0.61, a=0.9)
WHITE = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
GREEN = ColorRGBA(r=0.2, g=0.85, b=0.35, a=0.9)
BLUE = ColorRGBA(r=0.0, g=0.75, b=1.0, a=0.35)
ORANGE = ColorRGBA(r=1.0, g=0.6, b=0.1, a=1.0)
PARTS = "points", "labels", "normals", "boxes", "grasps"
FINGER_LENGTH, WRIST_LENGTH, LINE_WIDTH = 0.045, 0.05, 0.004


def markers_message(array: ObjectPointArray, grasps: GraspArray | None = None) -> MarkerArray:
    """Replaces the markers of each query by those of its points in the image; what is not found, it removes.

    Every camera has its own namespaces (`CAMERA/points`, `labels`, `normals`, `boxes`, `grasps`), and in it each
    continuous query (`CAMERA/red_cube/points`, ...): cameras and queries that share the topic leave each other's
    markers alone, since viewers take DELETEALL with a namespace for that namespace only. Of a query whose points have
    no place, or of which nothing is known (STALE, ...), markers stay until they fade. Where points are tracked, the
    marker's id is the track's.

    Args:
        array: The points.
        grasps: Of each object the best is drawn; None where they are not known.
    """
    names = {state.query: state.topic for state in array.queries}

    def name_of(point: ObjectPoint) -> str:
        return names.get(point.query or array.query, "")

    known = [state.topic for state in array.queries if _has_markers(state)] if array.queries else [""]
    markers = [_removal(array, name, part) for name in known for part in PARTS]
    for number, point in enumerate(array.points, start=1):
        if point.has_position:
            name, identity = name_of(point), _marker_id(point, number)
            markers += [_ball(array, name, point, identity), _label(array, name, point, identity)]
            if point.has_normal:
                markers.append(_arrow(array, name, point, identity))
        if has_box_3d(point):
            markers.append(_box(array, name_of(point), point, _marker_id(point, number)))
    for one in grasps.objects if grasps else ():
        if one.grasps:
            point = array.points[one.number - 1]
            markers.append(_gripper(array, name_of(point), one.grasps[0], _marker_id(point, one.number)))
    return MarkerArray(markers=markers)


def _has_markers(state: QueryState) -> bool:
    """Whether it is known where the query's things are now, or that there are none."""
    status = Status(state.status)
    return state.kind != ObjectPointArray.ASK and status.success and status.points_known


def _marker_id(point: ObjectPoint, number: int) -> int:
    """The track's id, cut to the bits that a marker's has, or below zero the place in the array."""
    return point.track_id % 2**31 if point.track_id else -number


def _marker(array: ObjectPointArray, name: str, part: str, **fields) -> Marker:
    return Marker(
        header=position_header(array),
        ns="/".join(filter(None, (array.camera or "image", name, part))),
        lifetime=Duration(sec=LIFETIME_S),
        **fields,
    )


def _removal(array: ObjectPointArray, name: str, part: str) -> Marker:
    return _marker(array, name, part, action=Marker.DELETEALL)


def _ball(array: ObjectPointArray, name: str, point: ObjectPoint, identity: int) -> Marker:
    marker = _marker(array, name, "points", id=identity, type=Marker.SPHERE, color=PINK)
    marker.pose.position = point.position
    marker.scale = Vector3(x=BALL_DIAMETER, y=BALL_DIAMETER, z=BALL_DIAMETER)
    return marker


def _label(array: ObjectPointArray, name: str, point: ObjectPoint, identity: int) -> Marker:
    """The text floats beyond the arrow's tip, or without one above the ball."""
    marker = _marker(array, name, "labels", id=identity, type=Marker.TEXT_VIEW_FACING, color=WHITE)
    place = point.position
    if point.has_normal:
        marker.pose.position = _along(place, point.normal, ARROW_LENGTH + LABEL_RISE)
    else:
        # REP-103: y points down in an optical frame, z up in the frames of a robot.
        optical = position_header(array).frame_id == array.header.frame_id
        marker.pose.position = _along(place, Vector3(y=-1.0) if optical else Vector3(z=1.0), LABEL_RISE)
    marker.scale.z = LABEL_HEIGHT
    score = f" {point.score:.2f}" if point.has_score else ""
    marker.text = f"{point.label or 'object'}{score}\n{place.x:.3f} {place.y:.3f} {place.z:.3f} m"
    return marker


def _arrow(array: ObjectPointArray, name: str, point: ObjectPoint, identity: int) -> Marker:
    """From the point outward; with two points, scale is shaft diameter, head diameter, head length."""
    marker = _marker(array, name, "normals", id=identity, type=Marker.ARROW, color=GREEN)
    marker.points = [point.position, _along(point.position, point.normal, ARROW_LENGTH)]
    marker.scale = Vector3(x=ARROW_SHAFT, y=ARROW_HEAD, z=ARROW_HEAD_LENGTH)
    return marker


def _box(array: ObjectPointArray, name: str, point: ObjectPoint, identity: int) -> Marker:
    return _marker(
        array,
        name,
        "boxes",
        id=identity,
        type=Marker.CUBE,
        color=BLUE,
        pose=point.box_pose,
        scale=point.box_size,
    )


def _gripper(array: ObjectPointArray, name: str, grasp: Grasp, identity: int) -> Marker:
    """Two fingers, opened along y, the palm between their roots, and the wrist behind it; z is the approach."""
    half, root = grasp.opening / 2, -FINGER_LENGTH
    lines = [
        ((half, 0.0), (half, root)),
        ((-half, 0.0), (-half, root)),
        ((half, root), (-half, root)),
        ((0.0, root), (0.0, root - WRIST_LENGTH)),
    ]
    marker = _marker(array, name, "grasps", id=identity, type=Marker.LINE_LIST, color=ORANGE, pose=grasp.pose)
    marker.points = [Point(x=0.0, y=y, z=z) for line in lines for y, z in line]
    marker.scale.x = LINE_WIDTH
    return marker


def _along(start: Point, direction: Vector3, distance: float) -> Point:
    return Point(
        x=start.x + distance * direction.x,
        y=start.y + distance * direction.y,
        z=start.z + distance * direction.z,
    )
