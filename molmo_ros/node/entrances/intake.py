"""Where requests come in, from the topic, the services and the action: into the queue, or back with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from molmo_ros.molmo.status import Status
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.delivery.delivery import Delivery
from molmo_ros.node.entrances.limits import limits_error
from molmo_ros.node.health.diagnostics import Diagnostics
from molmo_ros.node.queue.request_queue import RequestQueue
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.query import Query, QueryError, parse_query
from molmo_ros.node.records.request import Request, Source


class Intake:
    """Gives every request an outcome at once that does not get into the queue. Thread-safe.

    Args:
        node: The node.
        cameras: The cameras by name.
        queue: Where requests go.
        delivery: Where outcomes go.
        diagnostics: Counts what was turned away, by reason.
    """

    def __init__(
        self,
        node: Any,
        cameras: Mapping[str, CameraInput],
        queue: RequestQueue,
        delivery: Delivery,
        diagnostics: Diagnostics,
    ) -> None:
        self._node, self._cameras, self._queue = node, cameras, queue
        self._delivery, self._diagnostics = delivery, diagnostics

    def on_message(self, message: Any) -> None:
        """A std_msgs/String on the `query` topic."""
        try:
            self.submit(Request(parse_query(message.data), Source.TOPIC))
        except QueryError as error:
            self.refuse(Source.TOPIC, message.data, str(error))

    def submit(self, request: Request) -> None:
        """Queue a request."""
        camera, capacity = request.query.camera, self._node.value("max_queued_queries")
        if camera and camera not in self._cameras:
            known = ", ".join(self._cameras)
            reason = f"there is no camera {camera[:40]!r}; cameras: {known}"
            self._turn_away(request, Status.ERROR, "unknown_camera", reason)
        elif reason := limits_error(request.limits):
            self._turn_away(request, Status.ERROR, "limit_out_of_range", reason)
        elif self._node.state != "active":
            reason = f"the node is {self._node.state}: activate it first"
            self._turn_away(request, Status.ERROR, "not_active", reason)
        elif not self._queue.submit(request, capacity):
            if self._queue.closed:  # since a moment ago
                reason = "the node is being deactivated"
                self._turn_away(request, Status.ERROR, "not_active", reason)
                return
            reason = f"{capacity} queries are waiting already (max_queued_queries)"
            self._turn_away(request, Status.BUSY, "queue_full", reason)

    def refuse(
        self, source: Source, written: str, reason: str, on_outcome: Callable[..., None] | None = None
    ) -> None:
        """Give what cannot be asked its outcome.

        Args:
            source: Who asked.
            written: What was written.
            reason: Why it cannot be asked.
            on_outcome: See `Request`.
        """
        self._node.get_logger().warning(f"query refused: {reason}")
        request = Request(Query(None, (), written), source, on_outcome=on_outcome)
        self._turn_away(request, Status.ERROR, "not_a_query", reason)

    def cancel(self, request: Request) -> None:
        """Cancel a request, wherever it is."""
        if self._queue.cancel(request):
            self._turn_away(request, Status.CANCELLED, "cancelled_waiting", "cancelled while it was waiting")

    def _turn_away(self, request: Request, status: Status, drop: str, reason: str) -> None:
        self._diagnostics.record_drop(drop)
        self._delivery.deliver(Outcome(request, status, reason=reason))
