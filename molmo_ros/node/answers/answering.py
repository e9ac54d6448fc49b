# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A batch of requests about one camera: one frame is taken and encoded, and all of them are answered about it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.errors import GenerationError, MolmoError
from molmo_ros.molmo.status import Status
from molmo_ros.node.answers.fatal_error import FatalModelError, gpu_is_lost
from molmo_ros.node.answers.feedback import Feedback
from molmo_ros.node.answers.inference import ask_model, graphs_refused
from molmo_ros.node.answers.joined_answer import joined
from molmo_ros.node.answers.locator import Locator
from molmo_ros.node.answers.sight import Sight
from molmo_ros.node.answers.sure_points import sure_points
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.cameras.images import ImageMessageError
from molmo_ros.node.cameras.picture_reader import PictureReader
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.parameters.limits import limits_in_force
from molmo_ros.node.records.frame import Frame, refusal
from molmo_ros.node.records.outcome import Outcome
from molmo_ros.node.records.request import QueryLimits, Request
from molmo_ros.node.seams.node_log import NodeLog
from molmo_ros.node.seams.pointing_model import OptionsMaker, PointingModel
from molmo_ros.node.seams.transform_source import TransformSource

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import DepthMessage


class Answerer:
    """Answers requests with one model. For one thread.

    Args:
        model: The model.
        options: Makes its options.
        cameras: The cameras by name, the first one first.
        settings: Returns the parameters.
        now: The node's time [ns].
        transforms: Looks up transforms.
        log: The node's logger.
    """

    def __init__(
        self,
        model: PointingModel,
        options: OptionsMaker,
        *,
        cameras: Mapping[str, CameraInput],
        settings: Callable[[], Settings],
        now: Callable[[], int],
        transforms: TransformSource,
        log: NodeLog,
    ) -> None:
        self._model, self._options = model, options
        self._cameras, self._settings, self._now = cameras, settings, now
        self._transforms, self._log = transforms, log
        self._noted: tuple[int, float] | None = None
        self._frame: Frame | None = None
        self._began = 0.0
        self._epoch, self._forgotten = 0, ""
        self._kept: Sight | None = None

    def answer(
        self,
        batch: list[Request],
        begin: Callable[[Request], bool],
        deliver: Callable[[Outcome, Sight | None], None],
    ) -> list[Request]:
        """Answer requests about one camera, in their order.

        A frame that continuous queries had to leave for a more urgent request is kept: while it is fresh, those that
        are left go on with it.

        Args:
            batch: At least one request.
            begin: Called before each; False where it was cancelled since.
            deliver: Called with each outcome and the frame it is about, in this thread.

        Returns:
            Requests that are to be asked again: their frame became too old while the others were answered.

        Raises:
            FatalModelError: The model has failed for good; the request that noticed it has its outcome.
        """
        self._frame = None
        sight, interrupted = self._resumed(batch[0]), False
        for index, request in enumerate(batch):
            if sight is not None and self._refusal(sight, request):
                return batch[index:]
            if not begin(request):
                continue
            started, self._began = time.perf_counter(), time.monotonic()
            failed = False
            try:
                outcome, sight = self._outcome(request, sight)
            except (MolmoError, GenerationError, ImageMessageError) as error:
                outcome, failed = self._failed(request, str(error)), True
            except Exception as error:  # what nobody foresaw, and out of memory
                self._log.error(traceback.format_exc())
                outcome, failed = self._failed(request, f"{type(error).__name__}: {error}"), True
            total = (time.perf_counter() - started) * 1e3
            outcome = replace(outcome, timing_ms=outcome.timing_ms | {"total": total})
            interrupted |= outcome.made_way
            deliver(outcome, sight)
            if failed and gpu_is_lost():
                raise FatalModelError(outcome.reason)
        if batch[0].continuous:
            self._kept = sight if interrupted else None
        return []

    @property
    def graphs_refused(self) -> str:
        """Why the model's tokens are started kernel by kernel on its GPU; empty where they are not."""
        return graphs_refused(self._model)

    @property
    def resumes(self) -> bool:
        """Whether continuous queries were interrupted, and go on with the frame that they were asked about."""
        return self._kept is not None

    def forget(self, reason: str) -> None:
        """No answer about a frame that was taken before, also the one that is being made just now, is of use any more.

        From any thread. The outcome of such a request is STALE, with this reason.
        """
        self._forgotten = reason
        self._epoch += 1

    def refusal(self, frame: Frame) -> str:
        """Why a frame is too old for the parameter `max_frame_age`; empty where it is not."""
        return refusal(frame.stamp, self._now(), self._settings().max_frame_age)

    def _refusal(self, sight: Sight, request: Request) -> str:
        """Why a frame that was looked at is not to be asked about again; empty where it may be."""
        if request.image is not None:
            return ""
        return self._forgotten if sight.epoch != self._epoch else self._too_old(sight.frame, request)

    def _too_old(self, frame: Frame, request: Request) -> str:
        if request.image is not None:
            return ""
        return refusal(frame.stamp, self._now(), self._limits(request).max_frame_age)

    def _resumed(self, request: Request) -> Sight | None:
        """The frame that continuous queries about this camera go on with; None where a new one is to be taken."""
        kept = self._kept
        if not request.continuous or kept is None:
            return None
        self._kept = None
        if kept.camera is not self._camera(request) or self._refusal(kept, request):
            return None
        assert kept.camera is not None
        kept.camera.depths.want(kept.frame.stamp)
        self._frame = kept.frame
        return kept

    def _outcome(self, request: Request, sight: Sight | None) -> tuple[Outcome, Sight | None]:
        """One request from the frame to its outcome, and the frame."""
        if request.cancel.is_set():
            return Outcome(request, Status.CANCELLED), sight
        if sight is None:
            self._limit_crops()  # measuring a first target takes seconds: before a frame is taken
            camera, epoch = self._camera(request), self._epoch
            if camera is None:
                frame = Frame(request.image)
            elif newest := camera.frames.newest():
                frame = newest
            else:
                since = f" since {camera.cleared}" if camera.cleared else ""
                known = camera.silence_now()
                reason = f"no image has arrived on {camera.topic}{since}" + (f": {known}" if known else "")
                return Outcome(request, Status.NO_IMAGE, camera=camera.name, reason=reason), None
            age = (self._now() - frame.stamp) * 1e-9
            if reason := self._too_old(frame, request):
                outcome = Outcome(
                    request,
                    Status.STALE,
                    header=frame.message.header,
                    camera=camera.name if camera else "",
                    reason=reason,
                    start_age=age,
                )
                return outcome, None
            self._frame = frame
            sight = self._look(camera, frame, epoch)
        else:
            age = (self._now() - sight.frame.stamp) * 1e-9
        return self._about(request, sight, age), sight

    def _camera(self, request: Request) -> CameraInput | None:
        """The camera of a request; None where it brought its image."""
        if request.image is not None:
            return None
        return self._cameras[request.query.camera or next(iter(self._cameras))]

    def _look(self, camera: CameraInput | None, frame: Frame, epoch: int) -> Sight:
        """Decode and encode a frame."""
        if camera is not None:
            camera.depths.want(frame.stamp)
        begin = time.perf_counter()
        reader = camera.reader if camera is not None else PictureReader()
        picture = reader.read(frame.message, self._settings().image_bits)
        if picture.news:
            self._log.warning(
                f"{camera.name if camera is not None else 'the image of a query'}: {picture.news}"
            )
        decoded = time.perf_counter()
        encoded = self._model.encode(picture.pixels, view="" if camera is None else camera.name)
        timing = {"wait": (begin - frame.arrived) * 1e3, "decode_image": (decoded - begin) * 1e3}
        timing |= getattr(encoded, "timing_ms", {})
        return Sight(camera, frame, picture.pixels, encoded, timing, epoch, note=picture.note)

    def _about(self, request: Request, sight: Sight, start_age: float) -> Outcome:
        """One request about a frame that has been encoded."""
        started = time.perf_counter()
        header = sight.frame.message.header
        locator = self._locator(request, sight, self._settings())
        answer = self._ask(request, sight, locator)
        if sight.camera is not None and sight.epoch != self._epoch:
            late = {"header": header, "camera": sight.name, "start_age": start_age}
            return Outcome(request, Status.STALE, reason=self._forgotten, **late)
        answered = time.perf_counter()
        self._note_crops(answer)
        answer, dropped, unsure = sure_points(answer, self._limits(request).min_confidence)
        points = tuple(locator.locate(answer.points))
        status, missing = answer.status, [point.reason for point in points if point.xyz is None]
        reason = f"{len(missing)} of {len(points)} points have no metres: {missing[0]}" if missing else ""
        placed = len(missing) < len(points)
        if points and not placed:
            reason = f"no points in metres: {missing[0]}"
            if status is Status.FOUND and locator.missing is not None:
                status = locator.missing
        timing = answer.timing_ms | sight.timing_ms
        timing |= {
            "model": (answered - started) * 1e3,
            "geometry": (time.perf_counter() - answered) * 1e3,
        }
        sight.timing_ms = {}  # the next request about this frame has not waited for it
        return Outcome(
            request,
            status,
            answer,
            header=header,
            camera=sight.name,
            size=sight.size,
            points=points,
            frame_id=locator.frame_id if placed else "",
            viewpoint=locator.viewpoint,
            # Where nothing was found, what was assumed about the picture may be why.
            reason="; ".join(filter(None, (answer.error, reason, unsure, "" if points else sight.note))),
            start_age=start_age,
            timing_ms=timing,
            dropped_points=dropped,
            surroundings=locator.surroundings,
            message=sight.frame.message,
        )

    def _locator(self, request: Request, sight: Sight, settings: Settings) -> Locator:
        def find_depth() -> tuple[DepthMessage | None, str]:
            assert sight.camera is not None
            reason = ""
            if sight.depth is None:  # others may have been asked about another frame meanwhile
                sight.depth, reason = sight.camera.depths.collect(
                    settings.depth_sync_tolerance, settings.depth_patience
                )
            if sight.depth is not None:
                return sight.depth, ""
            gaps = sight.camera.depth_gaps
            if missing := gaps.missing(sight.frame.stamp, sight.camera.depths.what):
                return None, missing
            return None, "; ".join(filter(None, (reason, gaps.told(f"{sight.camera.depths.what}s"))))

        return Locator(
            sight.camera,
            sight.frame.message.header,
            sight.size,
            request.target_frame,
            settings=settings,
            transforms=self._transforms,
            find_depth=find_depth,
        )

    def _ask(self, request: Request, sight: Sight, locator: Locator) -> Answer:
        """What the model says to all texts of a request."""
        query, limits = request.query, self._limits(request)
        assert query.kind is not None  # those that were refused do not come here
        deadline = self._began + limits.time_limit if limits.time_limit > 0 else None
        feedback = Feedback(request, sight, locator, limits.min_confidence)
        answers: list[tuple[str, Answer]] = []
        for text in query.texts:
            label = text if query.points else ""
            left = None if deadline is None else deadline - time.monotonic()
            if request.cancel.is_set() or (left is not None and left <= 0):
                unasked = Answer(Status.CANCELLED)
                if not request.cancel.is_set():
                    error = "time_limit ended the answer before it began"
                    unasked = Answer(Status.TIMEOUT, limit="time_limit", error=error)
                answers.append((label, unasked))
                break
            feedback.label, limits = label, self._limits(request)  # a change holds from the next label on
            answer = ask_model(
                self._model,
                sight.encoded,
                query.kind,
                text,
                options=self._options(
                    max_new_tokens=limits.max_new_tokens or "auto",
                    time_limit=left,
                ),
                max_points=limits.max_points,
                cancel=request.cancel,
                on_text=feedback.on_text,
                on_point=feedback.on_point,
            )
            answers.append((label, answer))
        return joined(answers)

    def _limits(self, request: Request) -> QueryLimits:
        return limits_in_force(request.limits, self._settings())

    def _limit_crops(self) -> None:
        settings = self._settings()
        self._model.limit_crops(settings.max_crops or None, settings.latency_target or None)

    def _note_crops(self, answer: Answer) -> None:
        """Logs, once for each setting, where images are not cut as was wished or trained."""
        settings = self._settings()
        setting = settings.max_crops, settings.latency_target
        if answer.crops and answer.crops.note and self._noted != setting:
            self._noted = setting
            self._log.warning(answer.crops.note)

    def _failed(self, request: Request, reason: str) -> Outcome:
        self._log.error(f"{request.query.written!r:.200}: {reason}", throttle_duration_sec=1.0)
        camera = self._camera(request)
        header = self._frame.message.header if self._frame else None
        return Outcome(
            request, Status.ERROR, header=header, camera=camera.name if camera else "", reason=reason
        )
