"""The ROS 2 node: camera topics and queries in, answers and points out.

Nothing here thinks: callbacks put messages into the mailbox, the depth buffer and the queue; the worker's
thread takes the newest frame, asks the model, and publishes.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import rclpy
from geometry_msgs.msg import PointStamped, PoseArray
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

from molmo_ros.geometry import CameraInfoError
from molmo_ros.molmo.answer import Answer, Status
from molmo_ros.molmo.errors import GenerationError, MolmoError
from molmo_ros.node.depth_sync import DepthSync
from molmo_ros.node.frame import Frame, refusal, stamp_ns
from molmo_ros.node.images import ImageMessageError, decode_picture
from molmo_ros.node.inference import ModelChoice, ModelFactory, ask_model, load_model
from molmo_ros.node.locate import LocatedPoint, camera_from_message, locate_points
from molmo_ros.node.mailbox import Mailbox
from molmo_ros.node.messages import (
    Outcome,
    best_point_message,
    pixels_message,
    points_message,
    result_message,
)
from molmo_ros.node.parameters import declare_parameters
from molmo_ros.node.query import Query, QueryError, parse_query
from molmo_ros.node.sure_points import sure_points
from molmo_ros.node.worker import Pace, QueryWorker

STALLED_INTERVAL = 1.0
"""How often a continuous query reports that there is no usable frame [s]."""
BURST = 1000
"""Queries that the middleware holds, and results, so that each of a burst is at least refused; as many as
`max_queued_queries` may allow."""
STOP_TIMEOUT = 0.4
"""How long a running inference may take to notice that the node ends [s]."""


class MolmoNode(Node):
    """Points at things in camera images.

    Args:
        model_factory: Loads the model; called in the worker's thread.
        **node_options: For `rclpy.node.Node`.

    Raises:
        rclpy.exceptions.InvalidParameterValueException: A parameter's first value is refused.
    """

    def __init__(self, model_factory: ModelFactory = load_model, **node_options: Any) -> None:
        super().__init__("molmo_node", **node_options)
        declare_parameters(self)
        self._model_factory = model_factory
        self._model: Any = None
        self._noted: tuple[Any, ...] = ()
        self._options: Any = None
        self._frames: Mailbox[Frame] = Mailbox()
        self._depths = DepthSync()
        self._camera_info: CameraInfo | None = None
        self._jumped = False
        self._abandoned: Query | None = None
        self._pace = Pace()
        self._worker = QueryWorker(self._load, self._run, self._next_continuous)
        self._answer_out = self.create_publisher(String, "~/answer", 10)
        self._result_out = self.create_publisher(String, "~/result", BURST)
        self._point_out = self.create_publisher(PointStamped, "~/point", 10)
        self._points_out = self.create_publisher(PoseArray, "~/points", 10)
        self._pixels_out = self.create_publisher(PoseArray, "~/pixels", 10)
        self._subscribe_camera(Image, "image", self._on_image)
        if self._value("use_depth"):
            self._subscribe_camera(Image, "depth", self._on_depth)
            self._subscribe_camera(CameraInfo, "camera_info", self._on_camera_info)
        self.create_subscription(String, "query", self._on_query, BURST)
        # rclpy keeps no reference to the handle's owner: without the attribute the callback would vanish.
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=self._on_clock_jump,
        )
        self._worker.start()

    @property
    def failure(self) -> Exception | None:
        """Why the model could not be loaded; None while all is well."""
        return self._worker.failure

    def close(self, timeout: float = STOP_TIMEOUT) -> bool:
        """Cancel the running query and answer the waiting ones, and one that does not stop, with CANCELLED.

        Returns:
            False where the model did not stop within `timeout` [s].
        """
        stopped = self._worker.stop(timeout)
        reason = (
            f"the model could not be loaded: {self.failure}" if self.failure else "the node is shutting down"
        )
        status = Status.ERROR if self.failure else Status.CANCELLED
        waiting = self._worker.drain()
        running = self._worker.running
        if not stopped and running is not None:  # it ends with the process, and would stay without a result
            self._abandoned = running
            waiting.insert(0, running)
        for query in waiting:
            self._publish(Outcome(query.written, query, Answer(status), reason=reason))
        if self.context.ok():
            # A process that ends at once takes messages with it that nobody has read yet.
            self._result_out.wait_for_all_acked(Duration(nanoseconds=100_000_000))
        return stopped

    def _subscribe_camera(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        """Best effort, as cameras publish; `qos_overrides` makes it reliable for pictures of many megabytes."""
        qos = qos_profile_sensor_data
        overridable = QoSOverridingOptions.with_default_policies()
        self.create_subscription(kind, topic, callback, qos, qos_overriding_options=overridable)

    # Callbacks: each stores something and returns.

    def _on_image(self, message: Image) -> None:
        self._frames.put(Frame(message))
        self._worker.wake()

    def _on_depth(self, message: Image) -> None:
        self._depths.put(stamp_ns(message.header), message)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _on_query(self, message: String) -> None:
        try:
            query = parse_query(message.data)
        except QueryError as error:
            self._refuse(message.data, None, str(error))
            return
        capacity = self._value("max_queued_queries")
        if not self._worker.submit(query, capacity):
            self._refuse(message.data, query, f"{capacity} queries are waiting already (max_queued_queries)")

    def _on_clock_jump(self, _jump: Any) -> None:
        """The clock went back or was replaced: what was received belongs to another time."""
        self._jumped = True
        self._frames.clear()
        self._depths.clear()
        self.get_logger().warning("the clock jumped: frames from before are forgotten")

    # The worker's thread.

    def _load(self) -> None:
        started = time.monotonic()
        choice = ModelChoice(**{field.name: self._value(field.name) for field in fields(ModelChoice)})
        self.get_logger().info(f"loading {choice}")
        self._model, self._options = self._model_factory(choice)
        self._limit_crops()
        self.get_logger().info(f"{choice.model} is ready after {time.monotonic() - started:.1f} s")

    def _next_continuous(self) -> tuple[Query | None, float]:
        written = self._value("query")
        if not written:
            return None, 0.1
        interval = 1.0 / self._value("rate")
        frame, unseen = self._frames.peek()
        if not unseen:
            # Without new frames: silence while the last is still fresh, then a report now and then.
            if frame is not None and not self._refusal(frame):
                return None, 0.1
            interval = max(interval, STALLED_INTERVAL)
        if wait := self._pace.wait(interval):
            return None, min(wait, 0.1)
        return parse_query(written, continuous=True), 0.0

    def _run(self, query: Query) -> None:
        """One query from the newest frame to its publication; whatever goes wrong becomes its result."""
        self._pace.mark()
        frame = None
        started = time.perf_counter()
        try:
            self._limit_crops()
            frame = self._frames.newest()
            outcome = self._outcome(query, frame)
        except (MolmoError, GenerationError, ImageMessageError) as error:
            outcome = self._failed(query, frame, str(error))
        except Exception as error:  # what nobody foresaw, and out of memory
            self.get_logger().error(traceback.format_exc())
            outcome = self._failed(query, frame, f"{type(error).__name__}: {error}")
        total = (time.perf_counter() - started) * 1e3
        outcome.timing_ms["node_total"] = total
        if query is self._abandoned:  # its result has been given
            return
        try:
            self._publish(outcome)
        except Exception:  # the thread must outlive it: later frames still want answers
            self.get_logger().error(traceback.format_exc())

    def _outcome(self, query: Query, frame: Frame | None) -> Outcome:
        if frame is None:
            since = " since the clock jumped" if self._jumped else ""
            reason = f"no image has arrived on {self.resolve_topic_name('image')}{since}"
            return Outcome(query.written, query, Answer(Status.NO_IMAGE), reason=reason)
        header = frame.message.header
        age_ms = self._age_ms(header)
        reason = self._refusal(frame)
        if reason:
            return Outcome(
                query.written, query, Answer(Status.STALE), header, reason=reason, frame_age_ms=age_ms
            )
        self._depths.want(frame.stamp)
        begin = time.perf_counter()
        picture = decode_picture(frame.message)
        decoded = time.perf_counter()
        time_limit = self._value("time_limit")
        answer = ask_model(
            self._model,
            query,
            picture,
            options=self._options(
                max_new_tokens=self._value("max_new_tokens"),
                time_limit=time_limit if time_limit > 0 else None,
            ),
            max_points=self._value("max_points"),
            cancel=self._worker.stopping,
        )
        answered = time.perf_counter()
        self._note_crops(answer)
        answer, dropped, unsure = sure_points(answer, self._value("min_confidence"))
        located, reason = self._locate(answer, picture.shape[1], picture.shape[0])
        timing = {
            "wait": (begin - frame.arrived) * 1e3,
            "decode_image": (decoded - begin) * 1e3,
            "model": (answered - decoded) * 1e3,
            "geometry": (time.perf_counter() - answered) * 1e3,
        }
        reason = "; ".join(filter(None, (answer.error or reason, unsure)))
        return Outcome(query.written, query, answer, header, located, reason, age_ms, timing, dropped)

    def _limit_crops(self) -> None:
        """Passes the parameters on. A first target is measured, which takes seconds: before a frame is taken."""
        self._model.limit_crops(self._value("max_crops") or None, self._value("latency_target") or None)

    def _note_crops(self, answer: Answer) -> None:
        """Logs, once for each setting, where images are not cut as was wished or trained."""
        setting = self._value("max_crops"), self._value("latency_target")
        if answer.crops and answer.crops.note and self._noted != setting:
            self._noted = setting
            self.get_logger().warning(answer.crops.note)

    def _locate(self, answer: Answer, width: int, height: int) -> tuple[list[LocatedPoint], str]:
        """The answer's points with their places, and why none has one."""
        if not answer.points:
            return [], ""
        try:
            if not self._value("use_depth"):
                raise ImageMessageError("use_depth is off")
            depth, reason = self._depths.collect(
                self._value("depth_sync_tolerance"), self._value("depth_patience")
            )
            if depth is None:
                raise ImageMessageError(reason)
            camera = camera_from_message(
                self._camera_info,
                rectified=self._value("image_is_rectified"),
                matrix=self._value("camera_matrix"),
                size=(width, height),
            )
            camera.require_size(width, height)
            located = locate_points(
                answer.points,
                depth,
                camera,
                window=self._value("depth_window"),
                minimum=self._value("min_depth"),
                maximum=self._value("max_depth"),
            )
        except (ImageMessageError, CameraInfoError) as error:
            reason = f"no points in metres: {error}"
            self.get_logger().warning(reason, throttle_duration_sec=5.0)
            return [LocatedPoint(point, reason=str(error)) for point in answer.points], reason
        missing = [point.reason for point in located if point.xyz is None]
        return (
            located,
            f"{len(missing)} of {len(located)} points have no metres: {missing[0]}" if missing else "",
        )

    def _publish(self, outcome: Outcome) -> None:
        if not self.context.ok():
            return
        header, answer = outcome.header, outcome.answer
        if header and answer.points:
            self._pixels_out.publish(pixels_message(header, answer.points))
            if best := best_point_message(header, outcome.points):
                self._points_out.publish(points_message(header, outcome.points))
                self._point_out.publish(best)
        if answer.text:
            self._answer_out.publish(String(data=answer.text))
        self._result_out.publish(
            result_message(outcome, age_ms=header and self._age_ms(header), dropped=self._frames.dropped)
        )

    def _refuse(self, written: str, query: Query | None, reason: str) -> None:
        self.get_logger().warning(f"query refused: {reason}")
        self._publish(Outcome(written, query, Answer(Status.ERROR), reason=reason))

    def _failed(self, query: Query, frame: Frame | None, reason: str) -> Outcome:
        self.get_logger().error(f"{query.written!r}: {reason}", throttle_duration_sec=1.0)
        header = frame.message.header if frame else None
        return Outcome(query.written, query, Answer(Status.ERROR), header, reason=reason)

    def _refusal(self, frame: Frame) -> str:
        return refusal(frame.stamp, self.get_clock().now().nanoseconds, self._value("max_frame_age"))

    def _age_ms(self, header: Any) -> float:
        return (self.get_clock().now().nanoseconds - stamp_ns(header)) * 1e-6

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value


def main(args: list[str] | None = None, model_factory: ModelFactory = load_model) -> int:
    """Run the node until SIGINT, SIGTERM or a shutdown of its context, and end the process.

    The exit code is 0 after a signal, 1 where the model cannot be loaded, and 2, returned, for a refused
    parameter or ROS argument.
    """
    stop = threading.Event()
    # rclpy's own handlers invalidate the context at once, and nothing could be published any more.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except (RuntimeError, ValueError) as error:  # rcl names the argument, and where in its source it noticed
        reason = re.sub(r", at \S+:\d+", "", str(error))
        print(f"molmo_node: ROS arguments or environment are wrong: {reason}", file=sys.stderr)
        return 2
    try:
        node = MolmoNode(model_factory)
    except (InvalidParameterValueException, InvalidParameterTypeException) as error:
        print(f"molmo_node: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stop.is_set() and node.failure is None:
            executor.spin_once(timeout_sec=0.1)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    failure = node.failure
    if failure is not None:
        node.get_logger().fatal(f"the model could not be loaded: {failure}")
    stopped = node.close()
    code = 0 if failure is None else 1
    executor.shutdown(timeout_sec=0.1)
    node.destroy_node()
    rclpy.try_shutdown()
    if not stopped:
        print(
            f"molmo_node: the model did not stop within {STOP_TIMEOUT} s, ending the process", file=sys.stderr
        )
    # All is published and closed. The interpreter's own way out takes seconds with torch loaded, and may hang
    # or crash while the worker is in native code: loading weights and a prefill cannot be interrupted.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
