# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What `/diagnostics` says about the node: its model, its queries and each of its cameras.

The node's threads report what happens; a timer asks for the message. Keys and their formats are stable, and the
memory that this takes does not grow.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from molmo_msgs.msg import ObjectPointArray
from rclpy.time import Time

from molmo_ros.molmo.status import Status
from molmo_ros.node.health.memory import MemoryByState, MemoryUse
from molmo_ros.node.health.node_record import CameraRecord, ModelRecord, QueryRecord
from molmo_ros.node.health.running_statistics import LatencyWindow, RateWindow
from molmo_ros.node.health.server_status import server_level, server_message, server_values
from molmo_ros.node.health.stamp_gaps import StampGaps
from molmo_ros.node.records.frame import refusal, seconds
from molmo_ros.node.records.model_choice import ModelChoice
from molmo_ros.remote.server_state import ServerState

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)
STATES = ("unconfigured", "inactive", "active")
STAGES = ("total", "model", "wait")
"""The stages of ObjectPointArray.timings that are followed."""
OBJECT_STAGES = ("regions", "grasps")
"""The stages of looking for the objects at points that are followed."""
ANSWER_SPAN = 60.0
"""Over how long answers are counted and timed [s]."""
MOST_TOLD = 100
"""So many sentences of the log are remembered."""
LONGEST_TEXT = 500
"""Longer texts are cut [characters]."""


class Diagnostics:
    """Collects reports from any thread, and makes of them the message for `/diagnostics`.

    Args:
        node_name: Begins the statuses' names, such as `molmo_node` or `robot1/molmo_node`.
        cameras: The cameras' names.
        choice: The model that the node is to load.
        clock: A monotonic time [s].
    """

    def __init__(
        self,
        node_name: str,
        cameras: Sequence[str],
        choice: ModelChoice,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node_name, self._choice, self._clock = node_name, choice, clock
        self._lock = threading.Lock()
        self._memory = MemoryByState()
        self._memory.enter("unconfigured")
        self._model = ModelRecord(choice.engine)
        self._clock_stands = self._clock_rivals = ""
        self._told: list[str] = []
        self._cameras = {name: CameraRecord(RateWindow(clock=clock)) for name in cameras}
        self._queries = QueryRecord(
            answers=RateWindow(ANSWER_SPAN, clock=clock),
            latencies={stage: LatencyWindow(ANSWER_SPAN, clock=clock) for stage in (*STAGES, *OBJECT_STAGES)},
            continuous=LatencyWindow(ANSWER_SPAN, clock=clock),
            ages=LatencyWindow(ANSWER_SPAN, clock=clock),
        )

    # Reports.

    def set_state(self, name: str) -> None:
        """The node has entered a state of its life cycle, such as `active`."""
        self._memory.enter(name)
        with self._lock:
            self._model.state = name

    def model_loaded(self, engine: str, load_time: float) -> None:
        """The model is ready; a fatal error from before is over.

        Args:
            engine: What really runs it, such as `torch` where `auto` was asked for.
            load_time: How long loading took [s].
        """
        with self._lock:
            self._model.engine, self._model.load_time, self._model.fatal = engine, load_time, ""

    def follow_server(self, state: Callable[[], ServerState] | None) -> None:
        """What is to be asked about the server of the model; None where there is none."""
        with self._lock:
            self._model.server = state

    def record_graphs_refused(self, reason: str) -> None:
        """Why the model's tokens are started kernel by kernel on its GPU; "" where they are not."""
        self._model.graphs_refused = reason[:LONGEST_TEXT]

    def record_error(self, text: str, fatal: bool = False) -> None:
        """Something went wrong.

        Args:
            text: What.
            fatal: The node can give no answers until its model is loaded again.
        """
        with self._lock:
            self._model.last_error = (text[:LONGEST_TEXT], self._clock())
            if fatal:
                self._model.fatal = text[:LONGEST_TEXT]

    def record_callback_error(self, text: str) -> int:
        """A message, a request or a goal made its callback raise; returns how often that has been so."""
        self.record_error(text)
        with self._lock:
            self._model.callback_errors += 1
            return self._model.callback_errors

    def record_frame(self, camera: str, stamp: int, dropped: int = 0) -> None:
        """A frame has arrived.

        Args:
            camera: Which camera's.
            stamp: Of the frame [ns].
            dropped: How many frames of this camera have been replaced unseen so far.
        """
        record = self._cameras[camera]
        record.frames.add()
        with self._lock:
            record.stamp, record.dropped = stamp, dropped

    def record_problem(self, camera: str, text: str, assumed: str = "") -> None:
        """A camera's problem, such as a calibration that contradicts the images, and what was taken for granted; ""
        when it is gone."""
        with self._lock:
            self._cameras[camera].problem = text[:LONGEST_TEXT]
            self._cameras[camera].assumed = assumed[:LONGEST_TEXT]

    def record_silence(self, camera: str, since: str, why: str) -> None:
        """No picture of a camera is there: since when, and why; both may be empty."""
        with self._lock:
            record = self._cameras[camera]
            record.stamp = None
            record.silence = (f" since {since}" if since else "") + (f": {why}" if why else "")

    def record_clock(self, standing: str, rivals: str) -> None:
        """Why the node's time stands, and who else sets it; "" where neither is so."""
        with self._lock:
            self._clock_stands, self._clock_rivals = standing, rivals

    def untold(self) -> list[str]:
        """What is wrong with the cameras and the clock, and was not returned before, for the log."""
        with self._lock:
            found = [self._clock_rivals] + [
                f"camera {name}: {text}"
                for name, record in self._cameras.items()
                for text in (record.problem, record.losses)
                if text
            ]
            # The same sentence with other numbers is no news.
            news = {re.sub(r"[\d.]+", "#", text): text for text in found if text}
            new = [text for key, text in news.items() if key not in self._told]
            self._told = [*self._told, *news][-MOST_TOLD:] if new else self._told
            return new

    def record_queries(self, names: Mapping[str, str]) -> None:
        """These are the continuous queries that ask for points: what was written, and their names in topic names."""
        with self._lock:
            self._queries.names = dict(names)
            self._queries.failing.clear()

    def record_losses(self, camera: str, images: StampGaps, depths: StampGaps) -> None:
        """What of a camera's pictures and depth images is lost on the way."""
        with self._lock:
            record = self._cameras[camera]
            record.images_lost, record.depths_lost = images.lost, depths.lost
            record.losses = images.told("images") or depths.told("depth images")

    def record_drop(self, reason: str) -> None:
        """A query was turned away; `reason` is a key such as `queue_full`."""
        self._queries.drops.add(reason)

    def record_preemption(self) -> None:
        """A query made way for a more urgent one."""
        with self._lock:
            self._queries.preempted += 1

    def record_objects(self, timing_ms: Mapping[str, float], error: str = "") -> None:
        """The objects at an answer's points were looked for.

        Args:
            timing_ms: How long that took, by stage [ms].
            error: Why it failed; "" where it did not.
        """
        for stage in OBJECT_STAGES:
            if stage in timing_ms:
                self._queries.latencies[stage].add(timing_ms[stage] * 1e-3)
        if error:
            with self._lock:
                self._queries.regions_failed += 1
            self.record_error(error)

    def record_outcome(self, array: ObjectPointArray) -> None:
        """A query has ended. Tracked points are no outcome of a query, and are not counted."""
        if array.tracked:
            return
        self._queries.statuses.add(array.status)
        if _has_answer(array):
            self._record_latencies(array)
        status = Status(array.status)
        with self._lock:
            self._queries.last = (array.status, array.reason[:LONGEST_TEXT])
            if array.source != ObjectPointArray.CONTINUOUS:
                self._queries.asked = self._queries.last
            elif _is_no_failure(status):
                self._queries.failing.pop((array.camera, array.query), None)
            else:
                self._queries.failing[array.camera, array.query] = self._queries.last
            if record := self._cameras.get(array.camera):
                record.stale += status is Status.STALE
                record.depth_missing += status is Status.NO_DEPTH
                if status.camera_failure:
                    record.failure = array.reason[:LONGEST_TEXT] or array.status
                elif status.success:
                    record.failure = ""
        if status is Status.ERROR:
            self.record_error(array.reason)

    def _record_latencies(self, array: ObjectPointArray) -> None:
        queries = self._queries
        queries.answers.add()
        queries.ages.add(seconds(array.frame_age))
        durations = {timing.stage: seconds(timing.duration) for timing in array.timings}
        for stage in STAGES:
            if stage in durations:
                queries.latencies[stage].add(durations[stage])
        if array.source == ObjectPointArray.CONTINUOUS and "total" in durations:
            queries.continuous.add(durations["total"])

    # The message.

    def message(
        self, now: Time, *, waiting: int = 0, period: float | None = None, max_frame_age: float = 0.0
    ) -> DiagnosticArray:
        """All that is known.

        Args:
            now: The node's time, an rclpy Time.
            waiting: Queries that wait.
            period: Of the continuous queries [s]; None where there are none.
            max_frame_age: Older frames than this are stale [s]; 0 accepts any.
        """
        array = DiagnosticArray()
        array.header.stamp = now.to_msg()
        memory = self._memory.measure()
        with self._lock:
            array.status.append(self._model_status(memory))
            if self._model.server is not None:
                array.status.append(self._server_status(self._model.server()))
            array.status.append(self._queries_status(waiting, period))
            array.status += [
                self._camera_status(name, record, now.nanoseconds, max_frame_age)
                for name, record in self._cameras.items()
            ]
        return array

    def _model_status(self, memory: MemoryUse) -> DiagnosticStatus:
        model, choice = self._model, self._choice
        text, recorded = model.last_error
        values = {
            "state": model.state,
            "model": model.server().model if model.server is not None else choice.model,
            "engine": model.engine,
            "device": choice.device,
            "dtype": choice.dtype,
            "load_time_s": _fixed(model.load_time),
            "cuda_graphs_refused": model.graphs_refused,
            "last_error": text,
            "last_error_age_s": _fixed(None if recorded is None else self._clock() - recorded, 1),
            "callback_errors": str(model.callback_errors),
        }
        values |= _memory_values("memory", memory)
        records = self._memory.records()
        for state in STATES:
            values |= _memory_values(f"memory_{state}", records.get(state))
        if model.fatal:
            return self._status("model", ERROR, model.fatal, values)
        return self._status("model", OK if self._active else STALE, model.state, values)

    def _server_status(self, state: ServerState) -> DiagnosticStatus:
        return self._status(
            "server", server_level(state), server_message(state)[:LONGEST_TEXT], server_values(state)
        )

    def _queries_status(self, waiting: int, period: float | None) -> DiagnosticStatus:
        queries = self._queries
        values = {"answer_rate_hz": _fixed(queries.answers.rate)}
        for stage, window in [*queries.latencies.items(), ("frame_age", queries.ages)]:
            values[f"{stage}_median_s"] = _fixed(window.median)
            values[f"{stage}_p95_s"] = _fixed(window.p95)
        values |= {"waiting": str(waiting), "preempted": str(queries.preempted)}
        values["regions_failed"] = str(queries.regions_failed)
        counts = queries.statuses.counts()
        values |= {f"status_{status.value.lower()}": str(counts.get(status.value, 0)) for status in Status}
        values |= {f"dropped_{reason}": str(count) for reason, count in queries.drops.counts().items()}
        values |= dict(zip(("last_status", "last_reason"), queries.last, strict=True))
        values |= {f"topic_{name}": written[:LONGEST_TEXT] for written, name in queries.names.items()}
        slowest = queries.continuous.p95
        if not self._active:
            return self._status("queries", STALE, self._model.state, values)
        if failing := _worst(queries):
            return self._status("queries", WARN, failing, values)
        if period is not None and slowest > period:
            late = f"continuous queries take {slowest:.2f} s (p95), and are due every {period:.2f} s"
            return self._status("queries", WARN, late, values)
        return self._status("queries", OK, "answering" if counts else "no query yet", values)

    def _camera_status(
        self, name: str, record: CameraRecord, now: int, max_frame_age: float
    ) -> DiagnosticStatus:
        rate = record.frames.rate
        age = None if record.stamp is None else (now - record.stamp) * 1e-9
        problem = record.problem or record.failure or record.losses
        values = {
            "frame_rate_hz": _fixed(rate),
            "frame_age_s": _fixed(age),
            "dropped_unseen": str(record.dropped),
            "refused_stale": str(record.stale),
            "depth_missing": str(record.depth_missing),
            "images_lost_share": _fixed(record.images_lost, 2),
            "depth_lost_share": _fixed(record.depths_lost, 2),
            "problem": problem,
            "assumed": record.assumed,
        }
        part = f"camera {name}"
        if not self._active:
            return self._status(part, STALE, self._model.state, values)
        if age is None:
            return self._status(part, WARN, f"no image has arrived{record.silence}", values)
        if self._clock_rivals:
            return self._status(part, WARN, self._clock_rivals, values)
        assert record.stamp is not None
        if stale := refusal(record.stamp, now, max_frame_age):
            return self._status(part, WARN, stale, values)
        if self._clock_stands and problem == record.losses:  # those are of the time before
            return self._status(part, WARN, f"no new image: {self._clock_stands}", values)
        if problem:
            return self._status(part, WARN, problem, values)
        return self._status(part, OK, f"{rate:.1f} Hz", values)

    @property
    def _active(self) -> bool:
        return self._model.state == "active"

    def _status(self, part: str, level: bytes, message: str, values: dict[str, str]) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=level,
            name=f"{self._node_name}: {part}",
            message=message,
            hardware_id=self._choice.device,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )


def _has_answer(array: ObjectPointArray) -> bool:
    """Whether the model was asked and came to an end: the latencies of others say nothing about it."""
    return any(timing.stage == "model" for timing in array.timings) and array.status not in (
        Status.CANCELLED,
        Status.ERROR,
    )


def _is_no_failure(status: Status) -> bool:
    """Whether a query that ended so is nothing to warn of: what was cancelled was not wanted any more."""
    return status.success or status is Status.CANCELLED


def _worst(queries: QueryRecord) -> str:
    """Of the continuous queries and the last one that was asked, how the one ended that ended worst; empty where none
    ended badly."""
    failing = [
        (Status(status), f"{query[:LONGEST_TEXT]!r} about {camera} ended with {status}: {reason}")
        for (camera, query), (status, reason) in queries.failing.items()
    ]
    status, reason = queries.asked
    if status and not _is_no_failure(Status(status)):
        failing.append((Status(status), f"the last query ended with {status}: {reason}"))
    if not failing:
        return ""
    _, worst = max(failing, key=lambda one: one[0].severity)
    return worst + (f" (and {len(failing) - 1} more)" if len(failing) > 1 else "")


def _fixed(value: float | None, digits: int = 3) -> str:
    """A number as text; `nan` where there is none."""
    return f"{float('nan') if value is None else value:.{digits}f}"


def _memory_values(prefix: str, use: MemoryUse | None) -> dict[str, str]:
    """In MiB, `nan` where it is unknown."""

    def mib(part: str) -> str:
        size = getattr(use, part, None)
        return _fixed(None if size is None else size / 2**20, 1)

    return {f"{prefix}_{part}_mib": mib(part) for part in ("resident", "gpu_allocated", "gpu_reserved")}
