# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node's process for the benchmarks: molmo_node with a stopwatch and a model that needs no weights.

    python -m benchmarks.node_process MODEL [--answer-time 2] --ros-args -p tracking:=true ...

MODEL is `instant`: points at the image's centre without looking; `patch`: finds the moving patch, and takes
`--answer-time` [s] over it; or `real`: whatever the parameter `model` names.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from std_msgs.msg import Float64MultiArray

from benchmarks.moving_patch import find_patch
from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.status import Status
from molmo_ros.node import loaded, process, serving
from molmo_ros.node.active import ActiveNode
from molmo_ros.node.answers.inference import load_model
from molmo_ros.node.answers.sight import Sight
from molmo_ros.node.molmo_node import MolmoNode
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.request import Request


class InstantModel:
    """Points at the image's centre without looking."""

    def limit_crops(self, *_limits: Any) -> None:
        pass

    def encode(self, picture: Any, view: str = "") -> Any:
        return picture

    def answers(self, picture: Any, queries: Sequence[ImageQuery], on_answer: Callable[..., None]) -> None:
        for number, query in enumerate(queries):
            on_answer(number, self._answer(picture, query))

    def _answer(self, picture: Any, query: ImageQuery) -> Answer:
        height, width = picture.shape[:2]
        return Answer(Status.FOUND, "here", (Point(width / 2, height / 2, query.label),))


class PatchModel(InstantModel):
    """Points at the moving patch, after some time in which it can be cancelled."""

    def __init__(self, answer_time: float) -> None:
        self._answer_time = answer_time

    def _answer(self, picture: Any, query: ImageQuery) -> Answer:
        assert query.cancel is not None and query.on_text is not None and query.on_point is not None
        query.on_text("it is ")
        if query.cancel.wait(self._answer_time):
            return Answer(Status.CANCELLED)
        place = find_patch(picture)
        if place is None:
            return Answer(Status.NOT_FOUND, "nowhere")
        query.on_text("there")
        query.on_point(Point(*place, query.label))
        return Answer(Status.FOUND, "it is there", (Point(*place, query.label),))


class TimedNode(MolmoNode):
    """Says on `~/spent` how long each answer took in this process, and how much of the processor's time [ms].

    From the arrival of picture and query, whichever came last, until everything about the answer was published; the
    processor's time is that of the worker's thread alone, which other processes do not lengthen.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked: dict[str, float] = {}
        self.spent_out = self.create_publisher(Float64MultiArray, "~/spent", 100)
        intake = self._parts.intake
        self._take_in, intake.submit = intake.submit, self._submit  # type: ignore[method-assign]

    def _submit(self, request: Request) -> None:
        self.asked[request.id] = time.perf_counter()
        self._take_in(request)


class TimedWork(ActiveNode):
    """The part of it that is watched."""

    def _run(self, batch: list[Request]) -> None:
        self._cpu = time.thread_time()
        super()._run(batch)

    def _deliver(self, outcome: Outcome, sight: Sight | None) -> None:
        super()._deliver(outcome, sight)
        node = self._parts.node
        asked = node.asked.pop(outcome.request.id, 0.0)
        if sight is not None and node.spent_out.get_subscription_count():
            wall = time.perf_counter() - max(asked, sight.frame.arrived)
            cpu = time.thread_time() - self._cpu
            node.spent_out.publish(Float64MultiArray(data=[wall * 1e3, cpu * 1e3]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=("instant", "patch", "real"))
    parser.add_argument("--answer-time", type=float, default=0.0, help="of the patch model [s]")
    arguments, _ros_arguments = parser.parse_known_args()
    factories: dict[str, Callable[[Any], Any]] = {
        "instant": lambda _choice: (InstantModel(), dict),
        "patch": lambda _choice: (PatchModel(arguments.answer_time), dict),
        "real": load_model,
    }
    loaded.ActiveNode = TimedWork
    serving.MolmoNode = TimedNode  # the process as it is, signals and executor included
    return process.main(model_factory=factories[arguments.model])


if __name__ == "__main__":
    sys.exit(main())
