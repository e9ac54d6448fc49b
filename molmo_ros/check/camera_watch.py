# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Listens to cameras as the node does, for some seconds, and judges what came."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from molmo_ros.bag.camera_topics import CameraTopics
from molmo_ros.check import cures, graph_topics
from molmo_ros.check.clock_findings import BRIDGE, ONE_CLOCK, PLAY, clock_findings
from molmo_ros.check.clock_record import ClockRecord
from molmo_ros.check.finding import Finding, Grade, Looks, told_once
from molmo_ros.check.picture_judgement import PictureJudgement
from molmo_ros.check.stream_findings import RATE, SLOW, stream_findings
from molmo_ros.check.watched_camera import WatchedCamera
from molmo_ros.node.answers.transforms import Transforms
from molmo_ros.node.cameras.camera_input import Transport
from molmo_ros.node.lifecycle.clock_jumps import ClockJumps
from molmo_ros.node.lifecycle.clock_state import CLOCK_TOPIC, ClockState
from molmo_ros.node.lifecycle.executor import NodeExecutor
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.frame import refusal

LOOK_EVERY = 0.2
"""How often the newest pictures are judged [s]."""
BUSY = 0.02
"""A machine on which sleeps take so much longer on average is busy [s]."""
WARM_UP = 1.0
"""Before, calibrations and transforms may still be on their way [s]."""
FAR_APART = 1e6
"""Times that differ by more are of different clocks [s]."""


@dataclass
class Watched:
    """What a watch has seen.

    Attributes:
        cameras: What each sent.
        clock: What came on `/clock`.
        findings: What is wrong, worst first.
        looks, refused: How often each camera's newest picture was looked at, and would have been refused.
        last: The last judgement of each camera that sent pictures, by its name.
        seconds: How long it took [s].
    """

    cameras: Sequence[WatchedCamera]
    clock: ClockRecord
    findings: list[Finding] = field(default_factory=list)
    last: dict[str, PictureJudgement] = field(default_factory=dict)
    looks: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class CameraWatch:
    """One watch.

    Args:
        node: With the node's parameters; its callbacks run in a thread of the watch.
        probe: Another node, in no executor, for what is only looked at.
        settings: The parameters.
    """

    def __init__(self, node: Node, probe: Node, settings: Settings) -> None:
        self._node, self._settings = node, settings
        names = settings.cameras
        self._cameras = [WatchedCamera(name, f"{name}/" if len(names) > 1 else "") for name in names]
        for camera in self._cameras:
            camera.others = [other for other in self._cameras if other is not camera]
        self._clock = ClockRecord(probe)
        self._executor = NodeExecutor(4, lambda purpose, error: self._failed.add(f"{purpose}: {error}"))
        self._failed: set[str] = set()
        self._transforms = Transforms(node)
        self._jumps, self._clock_state = ClockJumps(node), ClockState(node)
        self._jumps.listeners.append(self._on_jump)
        self._tally, self._stop = Looks(), threading.Event()
        self._overslept: list[float] = []

    def watch(self, seconds: float) -> Watched:
        """Listen for so long [s], and say what is wrong."""
        for camera in self._cameras:
            camera.subscribe(self._node, Transport.of(self._settings))
        self._executor.add_node(self._node)
        thread = threading.Thread(target=self._spin, daemon=True)
        thread.start()
        seen, began = Watched(self._cameras, self._clock), time.monotonic()
        try:
            while (left := began + seconds - time.monotonic()) > 0:
                asleep, wanted = time.monotonic(), min(LOOK_EVERY, left)
                time.sleep(wanted)
                self._overslept.append(time.monotonic() - asleep - wanted)
                self._clock.take()
                self._clock_state.look()
                if time.monotonic() - began > WARM_UP:
                    for camera in self._cameras:
                        self._look(camera, seen)
            seen.seconds = time.monotonic() - began
            seen.findings = self._findings(seen)
        finally:
            self._stop.set()
            thread.join(1.0)
            self._executor.shutdown(timeout_sec=0.1)
        return seen

    def _spin(self) -> None:
        while not self._stop.is_set():
            try:
                self._executor.spin_once(timeout_sec=0.1)
            except InvalidHandle:
                continue
            except ExternalShutdownException:
                return

    def _on_jump(self, by: int) -> None:
        for camera in self._cameras:
            camera.jumped(by)
        self._transforms.clear(by)

    def _look(self, camera: WatchedCamera, seen: Watched) -> None:
        frame, unseen = camera.frames.peek()
        if frame is None:
            return
        camera.frames.newest()
        stale = refusal(frame.stamp, camera.now(), self._settings.max_frame_age)
        self._tally.add(f"{camera.name} age", [self._stale(camera, stale, frame.stamp)] if stale else [])
        seen.looks[camera.name] += 1
        seen.refused[camera.name] += bool(stale)
        if unseen:
            judgement = PictureJudgement(
                camera, frame, self._settings, self._transforms, self._found(camera)
            ).judge()
            self._tally.add(camera.name, judgement.findings)
            seen.last[camera.name] = judgement

    def _stale(self, camera: WatchedCamera, text: str, stamp: int) -> Finding:
        """A picture that the node would refuse, and whose time is wrong."""
        now, simulated = camera.now(), self._simulated
        apart = (now - stamp) * 1e-9
        if simulated and now == 0:
            change = PLAY if self._clock.publishers else f"{BRIDGE}; or use_sim_time:=false"
        elif stamp <= 0:
            change = cures.STAMP
        elif simulated and len(self._clock.publishers) > 1:
            change = ONE_CLOCK
        elif abs(apart) > FAR_APART:
            wrong = "use_sim_time:=false" if simulated else "use_sim_time:=true"
            also = "" if simulated or self._clock.count else f" (and {CLOCK_TOPIC} must be published)"
            change = f"{wrong}: pictures are stamped in another clock's time{also}"
        elif apart < 0:
            change = "one time on both machines (chrony), or one use_sim_time for all nodes"
        else:
            change = (
                f"max_frame_age:={round(1.5 * apart + 0.1, 1):g}, or a camera and a network that are faster"
            )
            rate = camera.records["image"].rate
            if rate and rate < SLOW:
                change = RATE
            elif self._clock_state.standing() or apart * rate > 3:
                change = (
                    "pictures that come at once: a nearer machine, compressed pictures, the driver's queue"
                )
        return Finding(Grade.WRONG, "stamps", f"{text}", change, camera.name)

    def _findings(self, seen: Watched) -> list[Finding]:
        topics = graph_topics.pictures(graph_topics.published(self._node))
        factor = self._clock.factor if self._simulated else 0.0
        standing = self._clock_state.standing()
        findings = clock_findings(self._clock, standing, self._simulated)
        for camera in self._cameras:
            findings += stream_findings(
                camera, self._found(camera), topics, self._settings, factor, bool(standing)
            )
        findings += [*self._tally.findings(), *self._busy()]
        findings += [
            Finding(Grade.WARNING, "topic", f"a callback failed: {one}", "the publisher of that topic")
            for one in self._failed
        ]
        return told_once(findings)

    def _busy(self) -> list[Finding]:
        """A machine that has no time for this process has none for the node's either, and pictures are lost by it."""
        late = sum(self._overslept) / max(1, len(self._overslept))
        if late < BUSY:
            return []
        text = f"a sleep of {LOOK_EVERY:g} s takes {late:.2f} s longer: pictures may be lost and late by that"
        return [
            Finding(Grade.WARNING, "machine", text, "fewer programs on this machine; threads:=1 for the node")
        ]

    def _found(self, camera: WatchedCamera) -> CameraTopics:
        used = camera.names["image"]
        name = camera.name if len(self._cameras) > 1 else ""
        return graph_topics.camera_topics(graph_topics.published(self._node), used, name)

    @property
    def _simulated(self) -> bool:
        return bool(self._node.get_parameter("use_sim_time").value)
