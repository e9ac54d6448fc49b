"""The ROS 2 node: camera topics and queries in, answers and points out.

A managed node (https://design.ros2.org/articles/node_lifecycle.html): configure loads the model, activate listens and
answers, deactivate stops, cleanup frees the model. Nothing here thinks: callbacks store frames and queue requests;
the worker's thread answers them and publishes.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial, wraps
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

from molmo_ros.molmo.status import Status
from molmo_ros.node import installed_ros
from molmo_ros.node.answers.answering import Answerer, FatalModelError, Sight
from molmo_ros.node.answers.camera_tracker import CameraTracker
from molmo_ros.node.answers.inference import load_model
from molmo_ros.node.answers.tracking_thread import TrackingThread
from molmo_ros.node.answers.transforms import Transforms
from molmo_ros.node.cameras.camera_input import CameraInput, Transport, camera_inputs
from molmo_ros.node.cameras.camera_qos import warn_of_unknown_overrides
from molmo_ros.node.delivery.delivery import Delivery
from molmo_ros.node.entrances.intake import Intake
from molmo_ros.node.entrances.query_action import QueryActionServer
from molmo_ros.node.entrances.query_topic import QueryTopic
from molmo_ros.node.entrances.services import Services
from molmo_ros.node.health.callback_errors import CallbackErrors
from molmo_ros.node.health.clock_jumps import ClockJumps
from molmo_ros.node.health.diagnostics import Diagnostics
from molmo_ros.node.health.loading import LoadingLog
from molmo_ros.node.health.memory import free_caches
from molmo_ros.node.lifecycle.bond import start_bond
from molmo_ros.node.lifecycle.guarded_service import guarded
from molmo_ros.node.parameters.declaration import declare_parameters
from molmo_ros.node.queue.continuous import ContinuousQueries
from molmo_ros.node.queue.request_queue import RequestQueue
from molmo_ros.node.queue.worker import QueryWorker
from molmo_ros.node.records.frame import Frame
from molmo_ros.node.records.model_choice import ModelChoice, ModelFactory
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.query import Query
from molmo_ros.node.records.request import Request

DEACTIVATE_TIMEOUT = 10.0
"""How long a stage of the model that cannot be interrupted may take when the node is deactivated [s]."""
DIAGNOSTICS_INTERVAL = 1.0
"""[s]"""
SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


def _logged(transition: Callable[[Any, LifecycleState], TransitionCallbackReturn]) -> Any:
    """Logs what a transition raises, which rclpy takes for ERROR without a word."""

    @wraps(transition)
    def logged(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:
            node.get_logger().error(traceback.format_exc())
            return ERROR

    return logged


class MolmoNode(LifecycleNodeMixin, Node):
    """Points at things in camera images.

    Args:
        model_factory: Loads the model when the node is configured.
        **node_options: For `rclpy.node.Node`.

    Attributes:
        state: Of the life cycle.
        callback_errors: Takes what callbacks raise.
        failure: Why the model could not be loaded, or cannot be used any more; None while all is well.

    Raises:
        rclpy.exceptions.InvalidParameterValueException: A parameter's first value is refused.
    """

    def __init__(self, model_factory: ModelFactory = load_model, **node_options: Any) -> None:
        Node.__init__(self, "molmo_node", **node_options)
        declare_parameters(self)
        # A group of its own: loading blocks it, and parameters and diagnostics must not wait for that.
        LifecycleNodeMixin.__init__(self, callback_group=MutuallyExclusiveCallbackGroup())
        self.failure: Exception | None = None
        self._model_factory = model_factory
        self._queue = RequestQueue()
        self._queue.close()
        self.state, self._transition = "unconfigured", threading.Lock()
        self._stop_reason = ""
        self._cameras: dict[str, CameraInput] = camera_inputs(self.value("cameras"), self._on_frame)
        self._answerer: Answerer | None = None
        self._transforms: Transforms | None = None
        self._continuous: ContinuousQueries | None = None
        self._worker: QueryWorker | None = None
        self._query_topic: QueryTopic | None = None
        self._named: tuple[Query, ...] = ()
        self._bond: Any = None
        self._diagnostics = Diagnostics(
            self.get_fully_qualified_name().lstrip("/"), list(self._cameras), self._choice()
        )
        self.callback_errors = CallbackErrors(self.get_logger(), self._diagnostics)
        self._delivery = Delivery(self, self._cameras, self._diagnostics)
        self._diagnostics_out = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # On a clock of its own, or a paused /clock would silence it.
        self.create_timer(
            DIAGNOSTICS_INTERVAL,
            self._publish_diagnostics,
            callback_group=MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._intake = Intake(self, self._cameras, self._queue, self._delivery, self._diagnostics)
        Services(self, self._intake)
        self._action = QueryActionServer(self, self._intake)
        self._clock_jumps = ClockJumps(self)
        # rclpy keeps no reference to the handle's owner: without the attribute the callback would vanish.
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=self._on_clock_jump,
        )

    def create_service(self, srv_type: Any, srv_name: str, callback: Any, **options: Any) -> Any:
        """A service that answers also where its callback raises. rclpy's own, about parameters, come here too."""
        on_error = partial(self._on_service_error, srv_name)
        return super().create_service(srv_type, srv_name, guarded(srv_type, callback, on_error), **options)

    def _on_service_error(self, name: str, error: Exception) -> str:
        return self.callback_errors.record(f"service {name}", error)

    # Life cycle.

    @_logged
    def on_configure(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model, in a thread of the executor's that only this blocks."""
        choice, started = self._choice(), time.monotonic()
        self._enter("configuring")
        self.get_logger().info(installed_ros.summary())
        try:
            with LoadingLog(self.get_logger(), str(choice)):
                model, options = self._model_factory(choice)
        except Exception as error:
            self._diagnostics.record_error(f"the model could not be loaded: {error}", fatal=True)
            self.get_logger().fatal(f"the model could not be loaded: {error}")
            self._enter("unconfigured")
            self.failure = error  # last: it may end the process
            return FAILURE
        self.failure = None
        runtime = getattr(model, "runtime", None)
        self._diagnostics.model_loaded(getattr(runtime, "name", choice.engine), time.monotonic() - started)
        self._transforms = Transforms(self, callback_group=MutuallyExclusiveCallbackGroup())
        self._answerer = Answerer(
            model,
            options,
            cameras=self._cameras,
            value=self.value,
            now=self._now,
            transforms=self._transforms,
            log=self.get_logger(),
        )
        self._continuous = ContinuousQueries(self._cameras, self.value, self._answerer.refusal)
        self._enter("inactive")
        return SUCCESS

    @_logged
    def on_activate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Listen, and answer."""
        assert self._answerer is not None and self._continuous is not None
        transport = Transport(
            self.value("image_transport"), self.value("depth_transport") if self.value("use_depth") else ""
        )
        self._delivery.trackers = {camera.name: self._tracker(camera) for camera in self._cameras.values()}
        self._answerer.forget("the image is from before the node was deactivated")
        self._delivery.current.clear()
        self._queue.open()
        self._worker = QueryWorker(self._queue, self._run, self._due)
        self._worker.start()
        self._enter("active")  # before the first query can come
        for camera in self._cameras.values():
            camera.subscribe(self, transport)
        warn_of_unknown_overrides(self)
        self._query_topic = QueryTopic(self, self._intake.on_message)
        self._bond = start_bond(self)
        return SUCCESS

    @_logged
    def on_deactivate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Cancel what runs and what waits, listen no more, and free what the next activation makes again."""
        if not self._stop(DEACTIVATE_TIMEOUT, "the node was deactivated"):
            reason = f"the model did not stop within {DEACTIVATE_TIMEOUT:g} s"
            self.get_logger().fatal(reason)
            self.failure = TimeoutError(reason)
        if self.failure is not None:
            return ERROR
        self._enter("inactive")
        return SUCCESS

    @_logged
    def on_cleanup(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        self._free()
        self._enter("unconfigured")
        return SUCCESS

    @_logged
    def on_shutdown(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """End for good, from any state."""
        self._stop(DEACTIVATE_TIMEOUT, "the node is shutting down")
        self._free()
        self._enter("finalized")
        return SUCCESS

    @_logged
    def on_error(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """After a fault of the GPU nothing works in this process any more: finalized, to be started anew."""
        self._free()
        self._enter("finalized")
        return FAILURE

    def _LifecycleNodeMixin__change_state(self, transition_id: int) -> TransitionCallbackReturn:
        """One transition at a time, and none that the state does not allow: rclpy would raise and end the process.

        rclpy has no public place for this; all transitions come through this method of its.
        """
        with self._transition:
            allowed = {number: label for number, label, *_ in self._state_machine.available_transitions}
            if transition_id not in allowed:
                possible = ", ".join(f"{number} ({label})" for number, label in allowed.items()) or "none"
                self.get_logger().warning(
                    f"the node is {self.state}, where transition {transition_id} is not possible; "
                    f"possible: {possible}"
                )
                return FAILURE
            return super()._LifecycleNodeMixin__change_state(transition_id)  # type: ignore[misc]

    def close(self, timeout: float) -> bool:
        """Answer what runs and what waits with CANCELLED, before the process ends.

        Returns:
            False where the model did not stop within `timeout` [s].
        """
        stopped = self._stop(timeout, "the node is shutting down")
        if self.context.ok():
            self._delivery.outputs.flush()
        return stopped

    def destroy_node(self) -> None:
        """End all of the node. rclpy leaves the life cycle and the action: others would see them, and the middleware
        would stay, with its shared memory."""
        self._action.close()
        self._state_machine.destroy_when_not_in_use()
        super().destroy_node()

    def _stop(self, timeout: float, reason: str) -> bool:
        self._stop_reason = reason
        if self._bond is not None:
            self._bond.close()
        for camera in self._cameras.values():
            camera.unsubscribe(self)
        for tracker in self._delivery.trackers.values():
            tracker.stop()
        if self._query_topic is not None:
            self._query_topic.close()
        self._bond = self._query_topic = None
        self._queue.close()
        stopped = self._worker.stop(timeout) if self._worker else True
        self._worker = None if stopped else self._worker
        # What did not stop ends with the process, and would stay without an outcome.
        self._delivery.abandoned = [] if stopped else self._queue.taken
        for request in self._queue.drain():
            self._delivery.deliver_last(Outcome(request, Status.CANCELLED, reason=reason))
        free_caches()
        return stopped

    def _free(self) -> None:
        if self._transforms is not None:
            self._transforms.close()
        self._answerer = self._continuous = self._transforms = None
        self._delivery.trackers = {}
        free_caches()

    def _enter(self, state: str) -> None:
        self.state = state
        self._diagnostics.set_state(state)

    # Callbacks: each stores something and returns.

    def _on_frame(self, camera: CameraInput, frame: Frame) -> None:
        self._diagnostics.record_frame(camera.name, frame.stamp, camera.frames.dropped)
        tracker = self._delivery.trackers.get(camera.name)
        if tracker is not None and self.value("tracking"):
            tracker.on_frame(frame)
        self._queue.wake()

    def _on_clock_jump(self, jump: Any) -> None:
        """The clock went back or was replaced: what was received belongs to another time."""
        for camera in self._cameras.values():
            camera.jumped(-jump.delta.nanoseconds)
        for tracker in self._delivery.trackers.values():
            tracker.clear()
        if self._transforms is not None:
            self._transforms.clear(-jump.delta.nanoseconds)
        if self._answerer is not None:
            self._answerer.forget("the clock jumped: the image belongs to another time")
        self._clock_jumps.tell(jump)

    def _publish_diagnostics(self) -> None:
        if not self.context.ok():
            return
        for camera in self._cameras.values():
            self._diagnostics.record_problem(camera.name, camera.problem, camera.assumed)
            self._diagnostics.record_losses(camera.name, camera.image_gaps, camera.depth_gaps)
        asked = any(written.strip() for written in self.value("queries"))
        self._diagnostics_out.publish(
            self._diagnostics.message(
                self.get_clock().now(),
                waiting=self._queue.waiting,
                period=1.0 / self.value("rate") if asked else None,
                max_frame_age=self.value("max_frame_age"),
            )
        )

    # The worker's thread.

    def _run(self, batch: list[Request]) -> None:
        """Answers a batch and publishes; the thread must outlive whatever goes wrong."""
        assert self._answerer is not None and self._continuous is not None
        again, reason, unanswered = [], "", list(batch)
        camera = batch[0].query.camera if batch[0].continuous else None
        if camera is not None:
            self._continuous.asked(camera)

        def deliver(outcome: Outcome, sight: Sight | None) -> None:
            if not outcome.made_way and outcome.request in unanswered:
                unanswered.remove(outcome.request)
            self._deliver_about(outcome, sight)

        try:
            again = self._answerer.answer(batch, self._queue.begin, deliver)
        except FatalModelError as error:
            reason = str(error)
            self._fail(error)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            self.get_logger().error(traceback.format_exc())
        self._queue.put_back([request for request in again if not request.continuous])
        if reason:  # nobody waits for ever
            for request in self._queue.taken:
                deliver(Outcome(request, Status.ERROR, reason=reason), None)
        if camera is not None:
            self._continuous.put_back(camera, unanswered)
            if not self._answerer.resumes:
                self._delivery.end_round(camera)

    def _due(self) -> tuple[list[Request], float]:
        """The continuous queries that are due, whose topics are there before their answers."""
        queries = self._delivery.queries()
        if queries != self._named:
            self._named = queries
            names = self._delivery.name_queries()
            self._diagnostics.record_queries(names)
            for written, name in names.items():
                self.get_logger().info(
                    f"the points of {written!r} alone are on ~/{name}/point and ~/{name}/points"
                )
        assert self._continuous is not None
        return self._continuous.due()

    def _fail(self, error: FatalModelError) -> None:
        """Leaves the active state through error processing, from a thread that deactivating may wait for."""
        self._diagnostics.record_error(str(error), fatal=True)
        self.get_logger().fatal(f"the model cannot be used any more in this process: {error}")
        self.failure = error
        self._queue.close()  # what waits is cancelled, not asked of such a model
        threading.Thread(target=self.trigger_deactivate, daemon=True).start()

    def _deliver_about(self, outcome: Outcome, sight: Sight | None) -> None:
        self._queue.finished(outcome.request)
        if outcome.status is Status.CANCELLED and self._stop_reason:
            outcome = replace(outcome, reason=self._stop_reason)
        self._delivery.deliver(outcome, sight)

    def _tracker(self, camera: CameraInput) -> TrackingThread:
        assert self._continuous is not None
        tracker = CameraTracker(
            camera,
            value=self.value,
            transforms=self._transforms,
            publish=self._delivery.deliver_tracked,
            on_lost=partial(self._continuous.hurry, camera.name),
        )
        return TrackingThread(tracker, self.get_logger())

    def _choice(self) -> ModelChoice:
        return ModelChoice(**{field.name: self.value(field.name) for field in fields(ModelChoice)})

    def value(self, name: str) -> Any:
        """A parameter's value."""
        return self.get_parameter(name).value

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds
