# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What fails alone: it is logged, and whoever did it goes on."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from molmo_ros.node.seams.node_log import NodeLog

FAILURES_LOGGED = 5.0
"""How often failures are logged [s]."""


@contextmanager
def failing_alone(log: NodeLog) -> Iterator[None]:
    """Whatever is raised inside takes nothing with it: results stand, others are answered, threads go on.

    Args:
        log: The node's logger.
    """
    try:
        yield
    except Exception:
        log.error(traceback.format_exc(), throttle_duration_sec=FAILURES_LOGGED)
