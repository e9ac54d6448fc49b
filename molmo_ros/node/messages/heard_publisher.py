# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A publisher of a message that is made only while someone listens."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from molmo_ros.node.seams.node_log import NodeLog
from molmo_ros.node.seams.publishing import Publisher, Publishing

FAILURES_LOGGED = 5.0
"""How often messages that cannot be made are logged [s]."""


class HeardPublisher:
    """Publishes what is derived from an answer. What cannot be made or sent is logged, and takes nothing with it.

    Args:
        node: Creates the publisher.
        kind: Type of the messages.
        name: Of the topic; `~` is the node's name.
        depth: Messages that the middleware holds.
        log: Where failures are logged.
        fatal: What means that nothing can be sent any more, and is raised.
    """

    def __init__(
        self,
        node: Publishing,
        kind: type,
        name: str,
        depth: int,
        *,
        log: NodeLog,
        fatal: tuple[type[Exception], ...] = (),
    ) -> None:
        self._node, self._log, self._fatal = node, log, fatal
        self._publisher: Publisher = node.create_publisher(kind, name, depth)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return self._publisher.get_subscription_count()

    def tell(self, message: Callable[[], object]) -> None:
        """Make a message and send it, if anybody listens, and unless it turns out to be None."""
        if not self.listeners:
            return
        try:
            if (made := message()) is not None:
                self._publisher.publish(made)
        except self._fatal:
            raise
        except Exception as error:
            self._log.error(
                f"{self._publisher.topic_name} is left out: {error}\n{traceback.format_exc()}",
                throttle_duration_sec=FAILURES_LOGGED,
            )

    def close(self) -> None:
        """End the publisher."""
        self._node.destroy_publisher(self._publisher)
