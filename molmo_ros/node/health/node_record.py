# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is known of the node, for diagnostics: of its cameras, its model and its queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from molmo_ros.node.health.running_statistics import LatencyWindow, RateWindow, Tally
from molmo_ros.remote.server_state import ServerState


@dataclass
class CameraRecord:
    """What is known of one camera.

    Attributes:
        stamp: Of the newest frame [ns]; None before the first.
        dropped: Frames that were replaced before anyone looked at them.
        stale: Queries that were refused because the newest frame was too old.
        depth_missing: Queries whose points found no depth or calibration.
        problem: As reported, until it is reported gone.
        assumed: What no header says and was taken for granted for the last points in metres.
        images_lost, depths_lost: Shares of those that never arrived, 0 to 1.
        silence: Since when no picture has come, and why, where there is none.
        losses: What is lost, and what cures it; "" where it is next to nothing.
        failure: Why the last query that looked through it got no points in space; "" where that was not so.
    """

    frames: RateWindow
    stamp: int | None = None
    dropped: int = 0
    stale: int = 0
    depth_missing: int = 0
    problem: str = ""
    assumed: str = ""
    failure: str = ""
    images_lost: float = 0.0
    depths_lost: float = 0.0
    losses: str = ""
    silence: str = ""


@dataclass
class ModelRecord:
    """What is known of the model and of the node as a whole.

    Attributes:
        engine: What runs the model: what was asked for, and once it is loaded what it is.
        load_time: [s]; None before it is loaded.
        fatal: Why the node can give no answers any more; "" while it can.
        last_error: The last text, and when it was recorded in the diagnostics' clock [s].
        callback_errors: How often a message, a request or a goal made its callback raise.
        server: Tells of the server that runs the model; None where none does.
        graphs_refused: Why tokens are started kernel by kernel on the GPU; "" where they are not.
    """

    engine: str
    state: str = "unconfigured"
    load_time: float | None = None
    fatal: str = ""
    last_error: tuple[str, float | None] = ("", None)
    callback_errors: int = 0
    graphs_refused: str = ""
    server: Callable[[], ServerState] | None = None


@dataclass
class QueryRecord:
    """What is known of the queries.

    Attributes:
        latencies: Of answers, by stage [s].
        continuous: The totals of continuous ones alone [s].
        ages: Of the image when the answer was published [s].
        regions_failed: How often looking for the objects at an answer's points failed.
        last: The newest outcome's status and reason.
        asked: The same of the newest that was no continuous query.
        names: Of the continuous queries in topic names, by what was written.
        failing: Status and reason of the last outcome of those continuous queries, by camera and what was written,
            that ended badly.
    """

    answers: RateWindow
    latencies: dict[str, LatencyWindow]
    continuous: LatencyWindow
    ages: LatencyWindow
    statuses: Tally = field(default_factory=Tally)
    drops: Tally = field(default_factory=Tally)
    preempted: int = 0
    regions_failed: int = 0
    last: tuple[str, str] = ("", "")
    asked: tuple[str, str] = ("", "")
    names: Mapping[str, str] = field(default_factory=dict)
    failing: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
