"""The action `~/query`: an answer that streams, and that can be cancelled."""

from __future__ import annotations

import threading
import time
from typing import Any

from molmo_msgs.action import Query as QueryAction
from molmo_msgs.msg import ObjectPointArray
from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup

from molmo_ros.molmo.answer import Status
from molmo_ros.node.answers.answering import Progress
from molmo_ros.node.answers.outcome import Outcome
from molmo_ros.node.messages.object_points import feedback
from molmo_ros.node.queries.intake import Intake
from molmo_ros.node.queries.query import QueryError, structured_query
from molmo_ros.node.queries.request import QueryLimits, Request, Source
from molmo_ros.node.queries.services import WAIT_INTERVAL, seconds

RESULTS_KEPT = 60
"""How long the result of a goal may be asked for [s]."""
CANCELING_INTERVAL = 0.001
"""How often a goal is looked at until rclpy has made it CANCELING, right after it was told to [s]."""
UNSUCCESSFUL = (
    Status.ERROR,
    Status.BUSY,
    Status.NO_IMAGE,
    Status.STALE,
    Status.NO_DEPTH,
    Status.NO_TRANSFORM,
    Status.TIMEOUT,
    Status.UNPARSEABLE,
)
"""Outcomes that abort a goal. FOUND, ANSWERED and NOT_FOUND, which is an answer, let it succeed."""


class QueryActionServer:
    """Goals are all accepted and queued; where no room is left, the goal is aborted with BUSY.

    Arguments as of `Services`.
    """

    def __init__(self, node: Any, intake: Intake) -> None:
        self._node, self._intake = node, intake
        self._requests: dict[bytes, Request] = {}
        ActionServer(
            node,
            QueryAction,
            "~/query",
            self._execute,
            cancel_callback=self._on_cancel,
            callback_group=ReentrantCallbackGroup(),
            result_timeout=RESULTS_KEPT,
        )

    def _on_cancel(self, goal: Any) -> CancelResponse:
        threading.Thread(target=self._cancel_request, args=(goal,), daemon=True).start()
        return CancelResponse.ACCEPT

    def _cancel_request(self, goal: Any) -> None:
        """Cancels the goal's request once rclpy has made it CANCELING: an earlier outcome would abort the goal."""
        while goal.is_active and not goal.is_cancel_requested:
            time.sleep(CANCELING_INTERVAL)
        # A goal without a request yet is cancelled by `_execute`, which asks for it.
        if request := self._requests.get(bytes(goal.goal_id.uuid)):
            self._intake.cancel(request)

    def _execute(self, goal: Any) -> Any:
        """Waits in a thread of the executor's until the goal has its outcome."""
        done, result, key = threading.Event(), QueryAction.Result(), bytes(goal.goal_id.uuid)
        statuses: list[Status] = []

        def finish(outcome: Outcome, array: ObjectPointArray) -> None:
            statuses.append(outcome.status)
            result.result = array
            done.set()

        def progress(piece: Progress) -> None:
            if goal.is_active:
                goal.publish_feedback(feedback(piece))

        wanted = goal.request
        try:
            query = structured_query(wanted.kind, wanted.prompt, list(wanted.labels), wanted.camera)
        except QueryError as error:
            self._intake.refuse(Source.ACTION, wanted.prompt or ", ".join(wanted.labels), str(error), finish)
        else:
            request = Request(
                query,
                Source.ACTION,
                QueryLimits(
                    max_points=wanted.max_points,
                    max_new_tokens=wanted.max_new_tokens,
                    min_confidence=wanted.min_confidence,
                    time_limit=seconds(wanted.time_limit),
                    max_frame_age=seconds(wanted.max_frame_age),
                ),
                wanted.target_frame,
                wanted.image if wanted.image.height else None,
                on_progress=progress,
                on_outcome=finish,
                id=key.hex(),
            )
            self._requests[key] = request
            self._intake.submit(request)
            if goal.is_cancel_requested:
                self._intake.cancel(request)
        while not done.wait(WAIT_INTERVAL) and self._node.context.ok():
            pass
        self._requests.pop(key, None)
        if statuses:
            self._end(goal, statuses[0])
        return result

    @staticmethod
    def _end(goal: Any, status: Status) -> None:
        """CANCELED only where the client asked for it: a goal that the node itself ended was aborted."""
        if goal.is_cancel_requested:
            goal.canceled()
        elif status in UNSUCCESSFUL or status is Status.CANCELLED:
            goal.abort()
        else:
            goal.succeed()
