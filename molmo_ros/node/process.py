# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node's process, from its first moment on: signals."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molmo_ros.node.seams.pointing_model import ModelFactory


def main(args: list[str] | None = None, model_factory: ModelFactory | None = None) -> int:
    """Run the node until SIGINT, SIGTERM or a shutdown of its context, and end the process.

    The exit code is 0 after a signal, 1 where the model cannot be loaded or its GPU has failed, and 2, returned, for
    a refused parameter or ROS argument. A node without `autostart` goes on without a model: its manager decides.
    """
    stop = threading.Event()
    # Before the imports, which take seconds on a cold disk: a signal that comes meanwhile ends it as any other does.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    from molmo_ros.node.serving import serve

    return serve(stop, args, model_factory)


if __name__ == "__main__":
    sys.exit(main())
