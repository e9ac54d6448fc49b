# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The services `~/point_at` and `~/ask`: one request, one answer."""

from __future__ import annotations

import threading
from typing import TypeVar

from molmo_msgs.msg import GraspArray, ObjectPointArray
from molmo_msgs.srv import Ask, Point
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import Image

from molmo_ros.node.entrances.intake import Intake
from molmo_ros.node.records.frame import seconds
from molmo_ros.node.records.query import Kind, QueryError, structured_query
from molmo_ros.node.records.request import QueryLimits, Request, Source

R = TypeVar("R", Ask.Response, Point.Response)
WAIT_INTERVAL = 0.5
"""How often a waiting call looks whether ROS still runs [s]."""


class Services:
    """Each call waits in a thread of the executor's, of which there are more than requests may wait.

    Args:
        node: The node.
        intake: Takes the requests.
    """

    def __init__(self, node: Node, intake: Intake) -> None:
        self._node, self._intake = node, intake
        group = ReentrantCallbackGroup()
        node.create_service(Point, "~/point_at", self._on_point, callback_group=group)
        node.create_service(Ask, "~/ask", self._on_ask, callback_group=group)

    def _on_point(self, request: Point.Request, response: Point.Response) -> Point.Response:
        kind = Kind.COUNT if request.count else Kind.PLACE if request.place else Kind.POINT
        limits = QueryLimits(max_points=request.max_points, time_limit=seconds(request.time_limit))
        return self._answer(response, kind, "", list(request.labels), request, limits, request.target_frame)

    def _on_ask(self, request: Ask.Request, response: Ask.Response) -> Ask.Response:
        limits = QueryLimits(time_limit=seconds(request.time_limit))
        return self._answer(response, Kind.ASK, request.question, [], request, limits)

    def _answer(
        self,
        response: R,
        kind: Kind,
        prompt: str,
        labels: list[str],
        call: Ask.Request | Point.Request,
        limits: QueryLimits,
        target_frame: str = "",
    ) -> R:
        done = threading.Event()

        def finish(array: ObjectPointArray) -> None:
            response.result = array
            done.set()

        def keep(grasps: GraspArray) -> None:
            response.grasps = grasps

        try:
            if kind is Kind.COUNT and isinstance(call, Point.Request) and call.place:
                raise QueryError("the query has count and place; it takes one of them")
            query = structured_query(kind.value, prompt, labels, call.camera)
        except QueryError as error:
            self._intake.refuse(Source.SERVICE, prompt or ", ".join(labels), str(error), finish)
        else:
            request = Request(
                query, Source.SERVICE, limits, target_frame, attached(call.image), on_outcome=finish
            )
            if isinstance(call, Point.Request):
                request.regions, request.grasps = call.regions, call.grasps
                request.on_grasps = keep if call.grasps else None
            self._intake.submit(request)
        while not done.wait(WAIT_INTERVAL) and self._node.context.ok():
            pass
        return response


def attached(image: Image) -> Image | None:
    """The sensor_msgs/Image of a request; None where its sender left it empty. One with a part missing is wrong."""
    return image if image.height or image.width or len(image.data) else None
