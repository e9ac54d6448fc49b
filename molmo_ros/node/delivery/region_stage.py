# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The thread in which objects are looked for at the points of answers, so that neither answers nor frames wait for it.

Of a camera's current points only the newest are looked at: what is replaced before its turn is dropped. Whoever asked,
with a service, a goal or on the topic, has a place in a short queue.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

from molmo_msgs.msg import ObjectPointArray

from molmo_ros.node.answers.object_finder import ObjectFinder, not_found
from molmo_ros.node.delivery.failing_alone import FAILURES_LOGGED, failing_alone
from molmo_ros.node.health.diagnostics import Diagnostics
from molmo_ros.node.messages.object_outputs import ObjectOutputs
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.found_objects import FoundObjects
from molmo_ros.node.records.view import View
from molmo_ros.node.seams.node_clock import NodeClock
from molmo_ros.node.seams.node_log import NodeLog

MOST_ASKED = 32
"""So many answers may wait for their objects; the next one is told at once that there is no room."""
SWEEP_INTERVAL = 0.1
"""How often objects that were not seen for long are looked for, while any are known [s]."""
STOP_TIMEOUT = 0.2
"""How long what is being looked for may take when the node is deactivated [s]."""
NOT_RUNNING = "the node is not active any more"


class _Job:
    """Points whose objects are wanted; whoever takes it tells what came of it.

    Args:
        array: The points.
        view: The picture that they are about.
        tell: Called once, with the objects; None where they go to the topics.
        grasps: Whether ways to take hold of them are wanted, beside by those who listen.
        cancelled: Whether nobody waits any more.
    """

    def __init__(
        self,
        array: ObjectPointArray,
        view: View,
        tell: Callable[[FoundObjects], None] | None = None,
        *,
        grasps: bool = False,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.array, self.view = array, view
        self.tell, self.grasps, self.cancelled = tell, grasps, cancelled
        self._lock, self._taken = threading.Lock(), False

    @property
    def topics_of(self) -> str | None:
        """The camera whose topics it goes to; None where it goes to who asked."""
        return None if self.tell else self.array.camera

    def take(self) -> bool:
        """Whether the caller is the one who tells."""
        with self._lock:
            taken, self._taken = self._taken, True
            return not taken


class RegionStage:
    """Looks for objects between `start` and `stop`. Thread-safe.

    Args:
        finder: Looks for them.
        outputs: The publishers of what is about current points.
        diagnostics: Is told how long it takes, and what fails.
        settings: Returns the parameters.
        clock: Tells the node's time.
        log: The node's logger.
    """

    def __init__(
        self,
        finder: ObjectFinder,
        outputs: ObjectOutputs,
        diagnostics: Diagnostics,
        *,
        settings: Callable[[], Settings],
        clock: NodeClock,
        log: NodeLog,
    ) -> None:
        self._finder, self._outputs, self._diagnostics = finder, outputs, diagnostics
        self._settings, self._clock, self._log = settings, clock, log
        self._changed, self._publishing = threading.Condition(), threading.Lock()
        self._newest: dict[str, _Job] = {}  # by camera
        self._asked: deque[_Job] = deque()
        self._running: _Job | None = None
        self._began: dict[str, float] = {}  # by camera, on the clock of `time.monotonic` [s]
        self._stopping: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look for objects from now on."""
        with self._changed:
            self._stopping = threading.Event()
            self._thread = threading.Thread(
                target=self._work, args=(self._stopping,), name="molmo_regions", daemon=True
            )
            self._thread.start()

    def stop(self, reason: str) -> None:
        """End: whoever waits is told without objects, and the planning scene is left without any.

        Args:
            reason: Why.
        """
        with self._changed:
            if self._stopping is None or self._thread is None:
                return
            self._stopping.set()
            thread, self._stopping, self._thread = self._thread, None, None
            waiting = list(self._asked)
            self._newest.clear()
            self._asked.clear()
            self._changed.notify_all()
        for job in waiting:
            self._tell_without(job, reason)
        thread.join(STOP_TIMEOUT)
        if (running := self._running) is not None:  # it hangs, and nobody is to wait for it
            self._tell_without(running, reason)
        with failing_alone(self._log), self._publishing:
            self._outputs.remove_all()

    def clear(self) -> None:
        """Forget the current points that wait: the clock jumped."""
        with self._changed:
            self._newest.clear()

    def show(self, array: ObjectPointArray, view: View) -> None:
        """Publish what shows the points of a frame: at once where there is nothing to look for.

        Those of continuous queries replace what waits of their camera.

        Args:
            array: The points; see `merged_points`.
            view: The image they are about.
        """
        if not self._outputs.heard:
            return
        job = _Job(array, view)
        looked_at = view.surroundings is not None and len(array.points) > 0
        with self._changed:
            if self._stopping is not None and (looked_at or self._is_busy_with(array.camera)):
                if array.source == ObjectPointArray.CONTINUOUS:
                    self._newest[array.camera] = job
                elif len(self._asked) < MOST_ASKED:
                    self._asked.append(job)
                self._changed.notify_all()
                return
        if looked_at:
            self._tell_without(job, NOT_RUNNING)
        else:
            self._tell(job, self._finder.find(array, view, grasps=False))

    def ask(
        self,
        array: ObjectPointArray,
        view: View,
        tell: Callable[[FoundObjects], None],
        *,
        grasps: bool = False,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Look for the objects of one answer, for whoever asked for it.

        Args:
            array: The answer's points.
            view: The image they are about.
            tell: Called once, in another thread or at once.
            grasps: Whether ways to take hold of the objects are wanted.
            cancelled: Whether nobody waits any more.
        """
        job = _Job(array, view, tell, grasps=grasps, cancelled=cancelled)
        reason = f"{MOST_ASKED} answers wait for their objects already"
        with self._changed:
            if self._stopping is None:
                reason = NOT_RUNNING
            elif len(self._asked) < MOST_ASKED:
                self._asked.append(job)
                self._changed.notify_all()
                return
        self._tell_without(job, reason)

    def _is_busy_with(self, camera: str) -> bool:
        """Whether something is still to come on the camera's topics, which the next is not to overtake."""
        waiting = [self._running, self._newest.get(camera), *self._asked]
        return any(job is not None and job.topics_of == camera for job in waiting)

    # The thread.

    def _work(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            job = self._next(stopping)
            if job is not None:
                self._look(job)
            with failing_alone(self._log), self._publishing:
                settings = self._settings()
                self._outputs.remove_gone(self._clock.now(), settings.collision_timeout, settings.queries)

    def _next(self, stopping: threading.Event) -> _Job | None:
        """What is to be done now, waited for; None where it is time to look for what is gone."""
        with self._changed:
            if stopping.is_set():
                return None
            if self._asked:
                self._running = self._asked.popleft()
                return self._running
            now, wait = time.monotonic(), SWEEP_INTERVAL if self._outputs.remembers else None
            rate = self._settings().region_rate
            period = 1.0 / rate if rate > 0 else 0.0
            due = {camera: self._began.get(camera, -period) + period for camera in self._newest}
            camera = min(due, key=lambda one: due[one], default=None)
            if camera is not None and due[camera] <= now:
                self._began[camera] = now
                self._running = self._newest.pop(camera)
                return self._running
            if camera is not None:
                left = due[camera] - now
                wait = left if wait is None else min(wait, left)
            self._changed.wait(wait)
            return None

    def _look(self, job: _Job) -> None:
        """Look for the objects of a job, and tell."""
        try:
            if job.cancelled():
                self._tell_without(job, "the query was cancelled")
                return
            found = self._finder.find(
                job.array, job.view, grasps=job.grasps or (job.tell is None and self._outputs.grasps_heard)
            )
            self._diagnostics.record_objects(found.timing_ms, found.error)
            self._tell(job, found)
        except Exception as error:  # nobody waits for ever, and the thread goes on
            self._log.error(traceback.format_exc(), throttle_duration_sec=FAILURES_LOGGED)
            self._tell_without(job, f"{type(error).__name__}: {error}")
        finally:
            with self._changed:
                if self._running is job:  # else a later thread's, after this one had hung
                    self._running = None

    def _tell_without(self, job: _Job, reason: str) -> None:
        self._tell(job, not_found(job.array, job.view, lambda _point: reason))

    def _tell(self, job: _Job, found: FoundObjects) -> None:
        """Tell once, whoever it is for; what fails fails alone."""
        if not job.take():
            return
        with failing_alone(self._log):
            if job.tell is not None:
                job.tell(found)
            else:
                with self._publishing:
                    self._outputs.publish(found, self._clock.now())
