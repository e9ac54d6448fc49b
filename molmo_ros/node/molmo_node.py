# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The ROS 2 node: camera topics and queries in, answers and points out.

Configure loads the model, activate listens and answers, deactivate stops, cleanup frees the model. Nothing here thinks:
callbacks store frames and queue requests; the worker's thread answers them and publishes.
"""

from __future__ import annotations

import time
from dataclasses import fields
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType

from molmo_ros.node import installed_ros
from molmo_ros.node.active import Parts
from molmo_ros.node.answers.inference import graphs_refused, load_model, warm_up
from molmo_ros.node.answers.object_finder import ObjectFinder
from molmo_ros.node.answers.trackers import Trackers
from molmo_ros.node.answers.transforms import Transforms
from molmo_ros.node.cameras.camera_input import CameraInput, camera_inputs
from molmo_ros.node.delivery.delivery import Delivery
from molmo_ros.node.delivery.region_stage import RegionStage
from molmo_ros.node.entrances.intake import Intake
from molmo_ros.node.entrances.query_action import QueryActionServer
from molmo_ros.node.entrances.services import Services
from molmo_ros.node.health.diagnostics import Diagnostics
from molmo_ros.node.health.loading import LoadingLog
from molmo_ros.node.health.memory import free_caches
from molmo_ros.node.lifecycle.clock_jumps import ClockJumps
from molmo_ros.node.lifecycle.clock_state import ClockState
from molmo_ros.node.lifecycle.managed_node import ConfigureError, ManagedNode
from molmo_ros.node.loaded import LoadedNode
from molmo_ros.node.messages.object_outputs import ObjectOutputs
from molmo_ros.node.messages.outputs import Outputs
from molmo_ros.node.parameters.node_parameters import NodeParameters
from molmo_ros.node.records.frame import Frame
from molmo_ros.node.records.model_choice import ModelChoice
from molmo_ros.node.scheduling.request_queue import RequestQueue
from molmo_ros.node.seams.pointing_model import ModelFactory

DIAGNOSTICS_INTERVAL = 1.0
"""[s]"""


class MolmoNode(ManagedNode):
    """Points at things in camera images.

    Args:
        model_factory: Loads the model when the node is configured.
        **node_options: For `rclpy.node.Node`.

    Attributes:
        settings: Returns the parameters.

    Raises:
        rclpy.exceptions.InvalidParameterValueException: A parameter's first value is refused.
    """

    work = "the model"

    def __init__(self, model_factory: ModelFactory = load_model, **node_options: Any) -> None:
        super().__init__("molmo_node", **node_options)
        self._model_factory = model_factory
        cameras = camera_inputs(self.settings().cameras, self._on_frame)
        self._diagnostics = Diagnostics(
            self.get_fully_qualified_name().lstrip("/"), list(cameras), self._choice()
        )
        log, queue, trackers = self.get_logger(), RequestQueue(), Trackers(self.settings)
        queue.close()
        self._outputs = Outputs(self, log)
        stage = RegionStage(
            ObjectFinder(self.settings, log),
            ObjectOutputs(self, log, several=len(cameras) > 1),
            self._diagnostics,
            settings=self.settings,
            clock=self,
            log=log,
        )
        delivery = Delivery(
            self._outputs,
            cameras,
            trackers,
            stage,
            self._diagnostics,
            settings=self.settings,
            clock=self,
            log=log,
        )
        self._diagnostics_out = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # On a clock of its own, or a paused /clock would silence it.
        self.create_timer(
            DIAGNOSTICS_INTERVAL,
            self._publish_diagnostics,
            callback_group=MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        intake = Intake(
            cameras,
            queue,
            delivery,
            self._diagnostics,
            settings=self.settings,
            state=lambda: self.state,
            log=log,
        )
        self._parts = Parts(
            self, self.settings, cameras, queue, trackers, stage, self._diagnostics, delivery, intake
        )
        Services(self, intake)
        self.when_destroyed(QueryActionServer(self, intake).close)
        self._clock_state = ClockState(self)
        for camera in cameras.values():
            camera.clock = self._clock_state.standing
        self._clock_jumps = ClockJumps(self)
        self._clock_jumps.listeners.append(self._on_clock_jump)

    def declare(self) -> None:
        self.settings = NodeParameters(self)

    def configure(self) -> LoadedNode:
        """Load the model."""
        choice, started = self._choice(), time.monotonic()
        self.get_logger().info(installed_ros.summary())
        try:
            with LoadingLog(self.get_logger(), str(choice)) as loading:
                loaded = self._model_factory(choice)
                warm_up(loaded[0], loading.progress)
        except Exception as error:
            self._diagnostics.record_error(f"the model could not be loaded: {error}", fatal=True)
            self.get_logger().fatal(f"the model could not be loaded: {error}")
            raise ConfigureError(str(error)) from error
        runtime = getattr(loaded[0], "runtime", None)
        self._diagnostics.model_loaded(getattr(runtime, "name", choice.engine), time.monotonic() - started)
        self._diagnostics.record_graphs_refused(graphs_refused(loaded[0]))
        self._diagnostics.follow_server(getattr(loaded[0], "state", None) if choice.is_remote else None)
        transforms = Transforms(self, callback_group=MutuallyExclusiveCallbackGroup())
        return LoadedNode(self._parts, loaded, self, self._clock_jumps, transforms)

    def entered(self, state: str) -> None:
        try:
            if state in ("unconfigured", "finalized"):  # the model is gone
                free_caches()
        finally:
            self._diagnostics.set_state(state)

    def count_callback_error(self, text: str) -> int:
        return self._diagnostics.record_callback_error(text)

    def close(self, timeout: float) -> bool:
        """Answer what runs and what waits with CANCELLED, before the process ends.

        Returns:
            False where the model did not stop within `timeout` [s].
        """
        try:
            return super().close(timeout)
        finally:
            if self.ok():
                self._outputs.flush()

    def now(self) -> int:
        """The node's time [ns]."""
        return int(self.get_clock().now().nanoseconds)

    def ok(self) -> bool:
        """Whether ROS still runs."""
        return bool(self.context.ok())

    # Callbacks: each stores something and returns.

    def _on_frame(self, camera: CameraInput, frame: Frame) -> None:
        self._diagnostics.record_frame(camera.name, frame.stamp, camera.frames.dropped)
        self._parts.trackers.on_frame(camera.name, frame)
        self._parts.queue.wake()

    def _on_clock_jump(self, by: int) -> None:
        """What was received belongs to another time."""
        for camera in self._parts.cameras.values():
            camera.jumped(by)
        self._parts.trackers.clear()
        self._parts.stage.clear()

    def _publish_diagnostics(self) -> None:
        if not self.ok():
            return
        settings, diagnostics = self.settings(), self._diagnostics
        for camera in self._parts.cameras.values():
            diagnostics.record_problem(camera.name, camera.problem, camera.assumed)
            diagnostics.record_losses(camera.name, camera.image_gaps, camera.depth_gaps)
            if self.state == "active" and camera.frames.peek()[0] is None:
                diagnostics.record_silence(camera.name, camera.cleared, camera.silence_now())
        self._clock_state.look()
        diagnostics.record_clock(self._clock_state.standing(), self._clock_state.rivals())
        for text in diagnostics.untold():
            self.get_logger().warning(text)
        self._diagnostics_out.publish(
            diagnostics.message(
                self.get_clock().now(),
                waiting=self._parts.queue.waiting,
                period=1.0 / settings.rate if settings.continuous else None,
                max_frame_age=settings.max_frame_age,
            )
        )

    def _choice(self) -> ModelChoice:
        settings = self.settings()
        return ModelChoice(**{field.name: getattr(settings, field.name) for field in fields(ModelChoice)})
