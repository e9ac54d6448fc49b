# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where requests come in, from the topic, the services and the action: into the queue, or back with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from molmo_msgs.msg import ObjectPointArray
from std_msgs.msg import String

from molmo_ros.molmo.status import Status
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.delivery.delivery import Delivery
from molmo_ros.node.health.diagnostics import Diagnostics
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.parameters.limits import limits_error
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.query import Query, QueryError, parse_query
from molmo_ros.node.records.request import Request, Source
from molmo_ros.node.scheduling.request_queue import RequestQueue
from molmo_ros.node.seams.node_log import NodeLog


class Intake:
    """Gives every request an outcome at once that does not get into the queue. Thread-safe.

    Args:
        cameras: The cameras by name.
        queue: Where requests go.
        delivery: Where outcomes go.
        diagnostics: Counts what was turned away, by reason.
        settings: Returns the parameters.
        state: Returns the node's state: only an active one takes requests.
        log: The node's logger.
    """

    def __init__(
        self,
        cameras: Mapping[str, CameraInput],
        queue: RequestQueue,
        delivery: Delivery,
        diagnostics: Diagnostics,
        *,
        settings: Callable[[], Settings],
        state: Callable[[], str],
        log: NodeLog,
    ) -> None:
        self._cameras, self._queue = cameras, queue
        self._settings, self._state, self._log = settings, state, log
        self._delivery, self._diagnostics = delivery, diagnostics

    def on_message(self, message: String) -> None:
        """A std_msgs/String on the `query` topic."""
        try:
            self.submit(Request(parse_query(message.data), Source.TOPIC))
        except QueryError as error:
            self.refuse(Source.TOPIC, message.data, str(error))

    def submit(self, request: Request) -> None:
        """Queue a request."""
        camera, capacity = request.query.camera, self._settings().max_queued_queries
        if camera and camera not in self._cameras:
            known = ", ".join(self._cameras)
            reason = f"there is no camera {camera[:40]!r}; cameras: {known}"
            self._turn_away(request, Status.ERROR, "unknown_camera", reason)
        elif reason := limits_error(request.limits):
            self._turn_away(request, Status.ERROR, "limit_out_of_range", reason)
        elif (state := self._state()) != "active":
            reason = f"the node is {state}: activate it first"
            self._turn_away(request, Status.ERROR, "not_active", reason)
        elif not self._queue.submit(request, capacity):
            if self._queue.closed:  # since a moment ago
                reason = "the node is being deactivated"
                self._turn_away(request, Status.ERROR, "not_active", reason)
                return
            reason = f"{capacity} queries are waiting already (max_queued_queries)"
            self._turn_away(request, Status.BUSY, "queue_full", reason)

    def refuse(
        self,
        source: Source,
        written: str,
        reason: str,
        on_outcome: Callable[[ObjectPointArray], None] | None = None,
    ) -> None:
        """Give what cannot be asked its outcome.

        Args:
            source: Who asked.
            written: What was written.
            reason: Why it cannot be asked.
            on_outcome: See `Request`.
        """
        self._log.warning(f"query refused: {reason}")
        request = Request(Query(None, (), written), source, on_outcome=on_outcome)
        self._turn_away(request, Status.ERROR, "not_a_query", reason)

    def cancel(self, request: Request) -> None:
        """Cancel a request, wherever it is."""
        if self._queue.cancel(request):
            self._turn_away(request, Status.CANCELLED, "cancelled_waiting", "cancelled while it was waiting")

    def _turn_away(self, request: Request, status: Status, drop: str, reason: str) -> None:
        self._diagnostics.record_drop(drop)
        self._delivery.deliver(Outcome(request, status, reason=reason))
