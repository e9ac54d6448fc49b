# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the node publishes about the objects at the points, and what shows them: boxes, pixels, surfaces, grasps."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache, partial

from molmo_msgs.msg import GraspArray, ObjectPointArray
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from molmo_ros.node.messages import (
    annotated_image,
    collision_objects,
    detections,
    grasp_messages,
    label_image,
    markers,
    object_cloud,
)
from molmo_ros.node.messages.heard_publisher import HeardPublisher
from molmo_ros.node.messages.merged_points import known_in_metres, known_in_pixels
from molmo_ros.node.records.found_objects import FoundObjects
from molmo_ros.node.seams.node_log import NodeLog
from molmo_ros.node.seams.publishing import Publishing


class ObjectOutputs:
    """The publishers of what comes once the objects were looked for. Each message is made only while someone listens.

    A message that cannot be made or sent is logged, and takes none of the others with it. For one thread at a time.

    Args:
        node: Creates the publishers.
        log: Where failures are logged.
        fatal: What means that nothing can be sent any more, and is raised.
        several: Whether there are several cameras.
    """

    def __init__(
        self,
        node: Publishing,
        log: NodeLog,
        fatal: tuple[type[Exception], ...] = (),
        *,
        several: bool = False,
    ) -> None:
        heard = partial(HeardPublisher, node, log=log, fatal=fatal)
        self._objects = heard(ObjectPointArray, "~/object_regions", 10)
        self._labels = heard(Image, "~/regions", 5)
        self._cloud = heard(PointCloud2, "~/clouds", 5)
        self._grasps = heard(GraspArray, "~/grasps", 10)
        self._markers = heard(MarkerArray, "~/markers", 10)
        self._image = heard(Image, "~/annotated", 1)
        self._compressed = heard(CompressedImage, "~/annotated/compressed", 1)
        self._all = [
            *(self._objects, self._labels, self._cloud, self._grasps),
            *(self._markers, self._image, self._compressed),
        ]
        self._detections: list[tuple[HeardPublisher, Callable[[ObjectPointArray], object]]] = []
        if types := detections.message_types():
            self._detections = [
                (heard(types[0], "~/detections_2d", 10), detections.detections_2d_message),
                (heard(types[1], "~/detections_3d", 10), detections.detections_3d_message),
            ]
            self._all += [publisher for publisher, _ in self._detections]
        self._scene = collision_objects.CollisionObjects(several)
        self._scene_out: HeardPublisher | None = None
        self._scene_listeners = 0
        if scene_type := collision_objects.message_type():
            self._scene_out = heard(scene_type, "~/collision_objects", 100)
            self._all.append(self._scene_out)

    @property
    def heard(self) -> bool:
        """Whether anybody listens to any of them."""
        return any(publisher.listeners for publisher in self._all)

    @property
    def grasps_heard(self) -> bool:
        """Whether anybody listens to grasps."""
        return self._grasps.listeners > 0

    @property
    def remembers(self) -> bool:
        """Whether there are objects that `remove_gone` may have to remove."""
        return len(self._scene) > 0

    def publish(self, found: FoundObjects, now: int) -> None:
        """The objects at the current points of a camera, or why they are not known.

        As with the points, what has no status comes only where all is known, and is empty where nothing is there.

        Args:
            found: The objects.
            now: The node's time [ns].
        """
        array, labels = found.array, cache(lambda: label_image.label_image(found))
        grasps = cache(lambda: grasp_messages.grasps_message(found))
        self._objects.tell(lambda: array)
        self._markers.tell(lambda: markers.markers_message(array, grasps() if found.grasps else None))
        if known_in_pixels(array):
            self._tell_detections(0, array)
        if known_in_metres(array):
            self._tell_detections(1, array)
            if found.scene is not None or not array.points:
                self._labels.tell(lambda: label_image.label_image_message(labels(), array))
                self._cloud.tell(lambda: object_cloud.object_cloud_message(found, labels()))
                self._grasps.tell(grasps)
        drawn = cache(
            lambda: annotated_image.annotated(
                found.view.picture(), array, None if found.scene is None else labels()
            )
        )  # once, and only if one of the two is wanted
        self._image.tell(lambda: annotated_image.image_message(drawn(), array.header))
        self._compressed.tell(lambda: annotated_image.compressed_message(drawn(), array.header))
        self._tell_scene(lambda: self._scene.seen(array, now))

    def remove_gone(self, now: int, patience: float, queries: Collection[str]) -> None:
        """Take objects out of the planning scene; see `CollisionObjects.gone`."""
        if self.remembers:
            self._tell_scene(lambda: self._scene.gone(now, patience, queries))

    def remove_all(self) -> None:
        """Take all objects out of the planning scene."""
        if self.remembers:
            self._tell_scene(self._scene.clear)

    def _tell_detections(self, which: int, array: ObjectPointArray) -> None:
        """In the picture (0) or in space (1), where vision_msgs is installed."""
        if self._detections:
            publisher, convert = self._detections[which]
            publisher.tell(lambda: convert(array))

    def _tell_scene(self, changes: Callable[[], list]) -> None:
        """Tell a planning scene, where moveit_msgs is installed; one that begins to listen is told everything."""
        if self._scene_out is None:
            return
        listeners = self._scene_out.listeners
        if listeners > self._scene_listeners or not listeners:
            self._scene.forget()
        self._scene_listeners = listeners
        if listeners:
            for change in changes():
                self._scene_out.tell(partial(_same, change))


def _same(message: object) -> object:
    return message
