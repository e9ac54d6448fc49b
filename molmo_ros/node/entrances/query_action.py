# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The action `~/query`: an answer that streams, and that can be cancelled."""

from __future__ import annotations

import threading
import time

from molmo_msgs.action import Query as QueryAction
from molmo_msgs.msg import GraspArray, ObjectPointArray
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from molmo_ros.molmo.status import Status
from molmo_ros.node.entrances.intake import Intake
from molmo_ros.node.entrances.services import WAIT_INTERVAL, attached
from molmo_ros.node.messages.object_points import feedback
from molmo_ros.node.records.frame import seconds
from molmo_ros.node.records.progress import Progress
from molmo_ros.node.records.query import Query, QueryError, structured_query
from molmo_ros.node.records.request import QueryLimits, Request, Source

RESULTS_KEPT = 60
"""How long the result of a goal may be asked for [s]."""
CANCELING_INTERVAL = 0.001
"""How often a goal is looked at until rclpy has made it CANCELING, right after it was told to [s]."""


class QueryActionServer:
    """Goals are all accepted and queued; where no room is left, the goal is aborted with BUSY.

    Arguments as of `Services`.
    """

    def __init__(self, node: Node, intake: Intake) -> None:
        self._node, self._intake = node, intake
        self._asked: dict[bytes, _Asked] = {}
        self._server = ActionServer(
            node,
            QueryAction,
            "~/query",
            self._execute,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
            # Goals are queued in the order they came, and none is cancelled before it is. Answers do not wait here:
            # rclpy runs `_execute` outside of the group.
            callback_group=MutuallyExclusiveCallbackGroup(),
            result_timeout=RESULTS_KEPT,
        )

    def close(self) -> None:
        """End the action. The node's own `destroy_node` leaves it."""
        self._server.destroy()

    def _on_accepted(self, goal: ServerGoalHandle) -> None:
        asked = self._asked[bytes(goal.goal_id.uuid)] = _Asked(goal)
        goal.execute()
        wanted = goal.request
        try:
            query = structured_query(wanted.kind, wanted.prompt, list(wanted.labels), wanted.camera)
        except QueryError as error:
            written = wanted.prompt or ", ".join(wanted.labels)
            self._intake.refuse(Source.ACTION, written, str(error), asked.on_outcome)
        else:
            asked.request = _request(query, goal, asked)
            self._intake.submit(asked.request)

    def _on_cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        threading.Thread(target=self._cancel_request, args=(goal,), daemon=True).start()
        return CancelResponse.ACCEPT

    def _cancel_request(self, goal: ServerGoalHandle) -> None:
        """Cancels the goal's request once rclpy has made it CANCELING: an earlier outcome would abort the goal."""
        while goal.is_active and not goal.is_cancel_requested:
            time.sleep(CANCELING_INTERVAL)
        asked = self._asked.get(bytes(goal.goal_id.uuid))
        if asked and asked.request:
            self._intake.cancel(asked.request)

    def _execute(self, goal: ServerGoalHandle) -> QueryAction.Result:
        """Waits in a thread of the executor's until the goal has its outcome."""
        asked = self._asked[bytes(goal.goal_id.uuid)]
        while not asked.done.wait(WAIT_INTERVAL) and self._node.context.ok():
            pass
        del self._asked[bytes(goal.goal_id.uuid)]
        if asked.status is not None:
            _end(goal, asked.status)
        return asked.result


class _Asked:
    """A goal, and what came of it.

    Attributes:
        request: What was queued; None where it could not be asked.
        done: Set when it has its outcome.
        status: Of the outcome.
        result: The goal's result.
    """

    def __init__(self, goal: ServerGoalHandle) -> None:
        self._goal = goal
        self.request: Request | None = None
        self.done = threading.Event()
        self.status: Status | None = None
        self.result = QueryAction.Result()

    def on_progress(self, piece: Progress) -> None:
        if self._goal.is_active:
            self._goal.publish_feedback(feedback(piece))

    def on_grasps(self, grasps: GraspArray) -> None:
        self.result.grasps = grasps

    def on_outcome(self, array: ObjectPointArray) -> None:
        self.status, self.result.result = Status(array.status), array
        self.done.set()


def _request(query: Query, goal: ServerGoalHandle, asked: _Asked) -> Request:
    wanted = goal.request
    return Request(
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
        attached(wanted.image),
        wanted.regions,
        wanted.grasps,
        on_progress=asked.on_progress,
        on_grasps=asked.on_grasps if wanted.grasps else None,
        on_outcome=asked.on_outcome,
        id=bytes(goal.goal_id.uuid).hex(),
    )


def _end(goal: ServerGoalHandle, status: Status) -> None:
    """CANCELED only where the client asked for it: a goal that the node itself ended was aborted."""
    if goal.is_cancel_requested:
        goal.canceled()
    elif status.success:
        goal.succeed()
    else:
        goal.abort()
