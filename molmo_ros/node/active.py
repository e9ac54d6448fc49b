# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node while it is active: cameras and the topic are heard, and a thread answers."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from molmo_ros.molmo.status import Status
from molmo_ros.node.answers.answering import Answerer
from molmo_ros.node.answers.fatal_error import FatalModelError
from molmo_ros.node.answers.sight import Sight
from molmo_ros.node.answers.trackers import Trackers
from molmo_ros.node.cameras.camera_input import CameraInput, Transport
from molmo_ros.node.cameras.camera_qos import warn_of_unknown_overrides
from molmo_ros.node.delivery.delivery import Delivery
from molmo_ros.node.delivery.region_stage import RegionStage
from molmo_ros.node.entrances.intake import Intake
from molmo_ros.node.entrances.query_topic import QueryTopic
from molmo_ros.node.health.diagnostics import Diagnostics
from molmo_ros.node.health.memory import free_caches
from molmo_ros.node.lifecycle.managed_node import ManagedNode
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.query import Query
from molmo_ros.node.records.request import Request
from molmo_ros.node.scheduling.continuous import ContinuousQueries
from molmo_ros.node.scheduling.request_queue import RequestQueue
from molmo_ros.node.scheduling.worker import QueryWorker


@dataclass(frozen=True)
class Parts:
    """What the node has in every state.

    Attributes:
        node: Its topics, and its life cycle.
        settings: Returns the parameters.
        cameras: By name, the first one first.
        queue: Requests that wait.
        trackers: Follow points between answers.
        stage: Looks for the objects at points.
        diagnostics: What people see of it.
        delivery: Where outcomes go.
        intake: Where requests come in.
    """

    node: ManagedNode
    settings: Callable[[], Settings]
    cameras: Mapping[str, CameraInput]
    queue: RequestQueue
    trackers: Trackers
    stage: RegionStage
    diagnostics: Diagnostics
    delivery: Delivery
    intake: Intake


class ActiveNode:
    """Answers from the moment it is made, and hears once it listens.

    Args:
        parts: The node's.
        answerer: Answers, with the model.
        continuous: Which continuous queries are due.
    """

    def __init__(self, parts: Parts, answerer: Answerer, continuous: ContinuousQueries) -> None:
        self._parts, self._answerer, self._continuous = parts, answerer, continuous
        self._log = parts.node.get_logger()
        self._named: tuple[Query, ...] = ()
        self._stop_reason = ""
        self._end_topics: list[Callable[[], None]] = []
        self._worker = QueryWorker(parts.queue, self._run, self._due)
        parts.delivery.current.clear()
        parts.stage.start()
        parts.queue.open()
        self._worker.start()

    def listen(self) -> None:
        """Subscribe to the cameras and to the topic `query`."""
        node, settings = self._parts.node, self._parts.settings()
        for camera in self._parts.cameras.values():
            camera.subscribe(node, Transport.of(settings))
        warn_of_unknown_overrides(node)
        self._end_topics.append(QueryTopic(node, self._parts.intake.on_message).close)

    def stop(self, timeout: float, reason: str) -> bool:
        """Cancel what runs and what waits, with this reason, and listen no more.

        Returns:
            False where the model did not stop within `timeout` [s].
        """
        parts, self._stop_reason = self._parts, reason
        for camera in parts.cameras.values():
            camera.unsubscribe(parts.node)
        parts.trackers.stop()
        while self._end_topics:
            self._end_topics.pop()()
        parts.queue.close()
        stopped = self._worker.stop(timeout)
        # What did not stop ends with the process, and would stay without an outcome.
        parts.delivery.abandon([] if stopped else parts.queue.taken)
        for request in parts.queue.drain():
            parts.delivery.deliver_last(Outcome(request, Status.CANCELLED, reason=reason))
        parts.stage.stop(reason)
        free_caches()
        return stopped

    # The worker's thread.

    def _run(self, batch: list[Request]) -> None:
        """Answers a batch and publishes; the thread must outlive whatever goes wrong."""
        again, reason, unanswered = [], "", list(batch)
        camera = batch[0].query.camera if batch[0].continuous else None
        if camera is not None:
            self._continuous.asked(camera)

        def deliver(outcome: Outcome, sight: Sight | None) -> None:
            if not outcome.made_way and outcome.request in unanswered:
                unanswered.remove(outcome.request)
            self._deliver(outcome, sight)

        queue = self._parts.queue
        try:
            again = self._answerer.answer(batch, queue.begin, deliver)
        except FatalModelError as error:
            reason = str(error)
            self._fail(error)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            self._log.error(traceback.format_exc())
        self._parts.diagnostics.record_graphs_refused(self._answerer.graphs_refused)
        queue.put_back([request for request in again if not request.continuous])
        if reason:  # nobody waits for ever
            for request in queue.taken:
                deliver(Outcome(request, Status.ERROR, reason=reason), None)
        if camera is not None:
            self._continuous.put_back(camera, unanswered)
            if not self._answerer.resumes:
                self._parts.delivery.end_round(camera)

    def _due(self) -> tuple[list[Request], float]:
        """The continuous queries that are due, whose topics are there before their answers."""
        queries = self._parts.settings().continuous
        if queries != self._named:
            self._named = queries
            names = self._parts.delivery.name_queries()
            self._parts.diagnostics.record_queries(names)
            for written, name in names.items():
                self._log.info(f"the points of {written!r} alone are on ~/{name}/point and ~/{name}/points")
        return self._continuous.due()

    def _fail(self, error: FatalModelError) -> None:
        """Leaves the active state, for good."""
        self._parts.diagnostics.record_error(str(error), fatal=True)
        self._log.fatal(f"the model cannot be used any more in this process: {error}")
        self._parts.queue.close()  # what waits is cancelled, not asked of such a model
        self._parts.node.fail(error)

    def _deliver(self, outcome: Outcome, sight: Sight | None) -> None:
        self._parts.queue.finished(outcome.request)
        if outcome.status is Status.CANCELLED and self._stop_reason:
            outcome = replace(outcome, reason=self._stop_reason)
        self._parts.delivery.deliver(outcome, sight)
