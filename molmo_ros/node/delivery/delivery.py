# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Hands outcomes on: to the topics, to whoever asked, to the camera's tracker and to diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from molmo_msgs.msg import ObjectPointArray

from molmo_ros.molmo.status import Status
from molmo_ros.node.answers.sight import Sight
from molmo_ros.node.answers.trackers import Trackers
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.delivery.current_points import CurrentPoints
from molmo_ros.node.delivery.failing_alone import failing_alone
from molmo_ros.node.delivery.region_stage import RegionStage
from molmo_ros.node.health.diagnostics import Diagnostics
from molmo_ros.node.messages.grasp_messages import grasps_message
from molmo_ros.node.messages.object_points import object_points
from molmo_ros.node.messages.outputs import Outputs
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.found_objects import FoundObjects
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.query import Query
from molmo_ros.node.records.query_names import query_names
from molmo_ros.node.records.request import Request, Source
from molmo_ros.node.records.view import View
from molmo_ros.node.seams.node_clock import NodeClock
from molmo_ros.node.seams.node_log import NodeLog


class Delivery:
    """One outcome for every request, and the current points of every camera. Thread-safe.

    Args:
        outputs: The publishers.
        cameras: The cameras by name.
        trackers: Follow the points of continuous queries.
        stage: Looks for the objects at the points.
        diagnostics: Counts the outcomes.
        settings: Returns the parameters.
        clock: Tells the node's time, and whether there is still someone to tell.
        log: The node's logger.

    Attributes:
        outputs: The publishers.
        current: The current points, of continuous queries.
    """

    def __init__(
        self,
        outputs: Outputs,
        cameras: Mapping[str, CameraInput],
        trackers: Trackers,
        stage: RegionStage,
        diagnostics: Diagnostics,
        *,
        settings: Callable[[], Settings],
        clock: NodeClock,
        log: NodeLog,
    ) -> None:
        self.outputs = outputs
        self.current = CurrentPoints(outputs, stage.show, self.queries, list(cameras))
        self._cameras, self._trackers, self._stage = cameras, trackers, stage
        self._diagnostics = diagnostics
        self._settings, self._clock, self._log = settings, clock, log
        self._abandoned: list[Request] = []

    def queries(self) -> tuple[Query, ...]:
        """The continuous queries."""
        return self._settings().continuous

    def name_queries(self) -> dict[str, str]:
        """Give each continuous query the topics that it has for itself; their names by what was written."""
        names = query_names(self.queries())
        with failing_alone(self._log):
            self.outputs.name_queries(names.values())
        return names

    def deliver(self, outcome: Outcome, sight: Sight | None = None) -> None:
        """Publishes an outcome and tells whoever asked; nothing about continuous queries that made way.

        The topics of the current points belong to the continuous queries. Where there are none, they follow what is
        asked on the topic `query`; services and goals never move them.
        """
        request = outcome.request
        if request in self._abandoned:
            return
        if outcome.made_way:
            self._diagnostics.record_preemption()
            return
        array = self.deliver_last(outcome, sight)
        if array is None or sight is None or outcome.answer is None or outcome.status is Status.CANCELLED:
            return  # points that nobody wants any more are no current points
        with failing_alone(self._log):
            self._deliver_current(outcome, array, sight)

    def abandon(self, requests: Sequence[Request]) -> None:
        """These have their outcome, although the model still works on them: nothing it says of them is delivered."""
        self._abandoned = list(requests)

    def end_round(self, camera: str) -> None:
        """Nothing more is coming about the camera's frame that continuous queries were asked about."""
        with failing_alone(self._log):
            self.current.end(camera)

    def _deliver_current(self, outcome: Outcome, array: ObjectPointArray, sight: Sight) -> None:
        source = outcome.request.source
        if source in (Source.TOPIC, Source.CONTINUOUS):
            self.outputs.publish_answer(array.text)
        if source is Source.TOPIC and not self.queries():
            self.current.publish_one(outcome, array, lambda: sight.picture)
        elif source is Source.CONTINUOUS and not self._trackers.on_answer(outcome, sight.picture):
            self.current.add(outcome, array, sight.frame, lambda: sight.picture)

    def deliver_last(self, outcome: Outcome, sight: Sight | None = None) -> ObjectPointArray | None:
        """Publishes an outcome and tells whoever asked, also one who was given up.

        Whoever asked for objects too is told once they were looked for.

        Returns:
            What was published; None where ROS has ended.
        """
        if not self._clock.ok():
            return None
        array = self._record(outcome)
        self._diagnostics.record_outcome(array)
        self.outputs.publish_result(array)
        if outcome.request.on_outcome is not None:
            self._tell_asker(outcome, array, sight)
        return array

    def _tell_asker(self, outcome: Outcome, array: ObjectPointArray, sight: Sight | None) -> None:
        request = outcome.request

        def tell(found: FoundObjects) -> None:
            assert request.on_outcome is not None
            if request.on_grasps is not None:
                request.on_grasps(grasps_message(found))
            request.on_outcome(found.array)

        if sight is None or not request.wants_objects or outcome.status is Status.CANCELLED:
            assert request.on_outcome is not None
            request.on_outcome(array)
            return
        view = View(lambda: sight.picture, outcome.message, outcome.surroundings)
        if array.points:
            cancelled = request.cancel.is_set
            self._stage.ask(array, view, tell, grasps=request.grasps, cancelled=cancelled)
        else:
            tell(FoundObjects(array, view))

    def deliver_tracked(self, outcomes: Sequence[Outcome], picture: Callable[[], np.ndarray]) -> None:
        """The current points of a camera, from its tracker; see `CameraTracker`."""
        if self._clock.ok():
            self.current.tracked([(outcome, self._record(outcome)) for outcome in outcomes], picture)

    def _record(self, outcome: Outcome) -> ObjectPointArray:
        camera = self._cameras.get(outcome.camera)
        now = self._clock.now()
        return object_points(outcome, now=now, dropped_frames=camera.frames.dropped if camera else 0)
