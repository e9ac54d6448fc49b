# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What stands for a model in the node's tests: `point`, `count` and `ask` are enough."""

from collections.abc import Callable

from molmo_ros.molmo.answer import Answer, Asked
from molmo_ros.molmo.status import Status


class OneAfterAnother:
    """Answers the queries about an image in their order; an error is that of its query."""

    def answers(self, image, queries, on_answer):
        for number, query in enumerate(queries):
            try:
                outcome = self._answer(image, query)
            except Exception as error:
                outcome = error
            on_answer(number, outcome)

    point: Callable[..., Answer]
    count: Callable[..., Answer]
    ask: Callable[..., Answer]

    def _answer(self, image, query):
        if query.cancel.is_set():
            return Answer(Status.CANCELLED)
        limits = {"options": query.options, "cancel": query.cancel}
        hearers = {"on_text": query.on_text, "on_point": query.on_point}
        if query.asked is Asked.POINTS:
            return self.point(image, query.label, max_points=query.max_points, **limits, **hearers)
        if query.asked is Asked.COUNT:
            return self.count(image, query.label, **limits, **hearers)
        return self.ask(image, query.text, **limits, **hearers)
