"""Hands outcomes on: to the topics, to whoever asked, to the camera's tracker and to diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from molmo_msgs.msg import ObjectPointArray

from molmo_ros.molmo.answer import Status
from molmo_ros.node.answers.answering import Sight
from molmo_ros.node.answers.outcome import Outcome
from molmo_ros.node.answers.tracking_thread import TrackingThread
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.health.diagnostics import Diagnostics
from molmo_ros.node.messages.object_points import object_points
from molmo_ros.node.messages.outputs import Outputs
from molmo_ros.node.queries.request import Request


class Delivery:
    """One outcome for every request, and the current points of every camera. Thread-safe.

    Args:
        node: The node.
        cameras: The cameras by name.
        diagnostics: Counts the outcomes.

    Attributes:
        outputs: The publishers.
        trackers: Of the cameras, by name; none while the node is not active.
        abandoned: Requests that have their outcome although the model still works on them.
    """

    def __init__(self, node: Any, cameras: Mapping[str, CameraInput], diagnostics: Diagnostics) -> None:
        self._node, self._cameras, self._diagnostics = node, cameras, diagnostics
        self.outputs = Outputs(node)
        self.trackers: dict[str, TrackingThread] = {}
        self.abandoned: list[Request] = []

    def deliver(self, outcome: Outcome, sight: Sight | None = None) -> None:
        """Publishes an outcome and tells whoever asked; nothing about continuous queries that made way."""
        request = outcome.request
        if request in self.abandoned:
            return
        if request.preempted and outcome.status is Status.CANCELLED:
            self._diagnostics.record_preemption()
            return
        array = self.deliver_last(outcome)
        if array is None or sight is None or outcome.answer is None or outcome.status is Status.CANCELLED:
            return  # points that nobody wants any more are no current points
        tracker = self.trackers.get(outcome.camera)
        if tracker is not None and request.continuous and self._node.value("tracking"):
            tracker.on_answer(outcome, sight.picture)
        else:
            self.outputs.publish_objects(array, lambda: sight.picture, outcome.viewpoint)

    def deliver_last(self, outcome: Outcome) -> ObjectPointArray | None:
        """Publishes an outcome and tells whoever asked, also one who was given up.

        Returns:
            What was published; None where ROS has ended.
        """
        if not self._node.context.ok():
            return None
        array = self._record(outcome)
        self._diagnostics.record_outcome(array)
        self.outputs.publish_result(array)
        if outcome.request.on_outcome is not None:
            outcome.request.on_outcome(outcome, array)
        return array

    def deliver_tracked(self, outcome: Outcome, picture: Callable[[], np.ndarray], tracked: bool) -> None:
        """The current points of a camera, from its tracker; see `CameraTracker`."""
        if self._node.context.ok():
            array = self._record(outcome)
            array.tracked = tracked
            self.outputs.publish_objects(array, picture, outcome.viewpoint)

    def _record(self, outcome: Outcome) -> ObjectPointArray:
        camera = self._cameras.get(outcome.camera)
        now = self._node.get_clock().now().nanoseconds
        return object_points(outcome, now=now, dropped_frames=camera.frames.dropped if camera else 0)
