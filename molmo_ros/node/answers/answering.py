# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A batch of requests about one camera: one frame is taken and encoded, and all of them are answered about it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from molmo_ros.molmo.answer import Answer
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.errors import GenerationError, MolmoError
from molmo_ros.molmo.pointing.moved_points import Move
from molmo_ros.molmo.status import Status
from molmo_ros.node.answers.asked_request import AskedRequest
from molmo_ros.node.answers.fatal_error import FatalModelError, gpu_is_lost
from molmo_ros.node.answers.feedback import Feedback
from molmo_ros.node.answers.inference import graphs_refused
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

MOST_TEXTS = 64
"""Texts that the model is asked together; requests beyond that wait until these are answered, and for a frame that is
fresh then."""


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
        moves: Where points of the last answer to what was written about a camera are seen now, for guesses.
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
        moves: Callable[[str, str], Sequence[Move]] = lambda _camera, _written: (),
    ) -> None:
        self._model, self._options = model, options
        self._cameras, self._settings, self._now = cameras, settings, now
        self._transforms, self._log, self._moves = transforms, log, moves
        self._noted: tuple[int, float] | None = None
        self._frame: Frame | None = None
        self._epoch, self._forgotten = 0, ""
        self._kept: Sight | None = None

    def answer(
        self,
        batch: list[Request],
        begin: Callable[[Request], bool],
        deliver: Callable[[Outcome, Sight | None], None],
    ) -> list[Request]:
        """Answer requests about one camera: together, and each is delivered as soon as it is answered.

        A frame that continuous queries had to leave for a more urgent request is kept: while it is fresh, those that
        are left go on with it.

        Args:
            batch: At least one request, the most urgent first.
            begin: Called before each; False where it was cancelled since.
            deliver: Called with each outcome and the frame it is about, in this thread.

        Returns:
            Requests that are to be asked again, about another frame: this one is too old for them.

        Raises:
            FatalModelError: The model has failed for good; the request that noticed it has its outcome.
        """
        self._frame = None
        sight, interrupted, left = self._resumed(batch[0]), False, list(batch)

        def settle(asked: AskedRequest, outcome: Outcome) -> None:
            nonlocal interrupted
            asked.settled = True
            interrupted |= outcome.made_way
            timing = outcome.timing_ms | {"total": asked.took_ms}
            deliver(replace(outcome, timing_ms=timing), sight)

        while left:
            together: list[AskedRequest] = []
            while left and (not together or _texts(together) + len(left[0].query.texts) <= MOST_TEXTS):
                if sight is not None and self._refusal(sight, left[0]):
                    break
                request = left.pop(0)
                if not begin(request):
                    continue
                asked = AskedRequest(request)
                try:
                    outcome, sight = self._before(asked, sight)
                except Exception as error:
                    self._fail(asked, error, settle)
                    continue
                if outcome is not None:
                    settle(asked, outcome)
                else:
                    together.append(asked)
            if not together:
                break
            assert sight is not None
            self._ask(together, sight, settle)
        if batch[0].continuous:
            self._kept = sight if interrupted else None
        return left

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

    def _before(self, asked: AskedRequest, sight: Sight | None) -> tuple[Outcome | None, Sight | None]:
        """What there is to say before the model is asked, mostly nothing; and the frame it is asked about."""
        request = asked.request
        if request.cancel.is_set():
            return Outcome(request, Status.CANCELLED), sight
        if sight is not None:
            asked.start_age = (self._now() - sight.frame.stamp) * 1e-9
            return None, sight
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
        asked.start_age = (self._now() - frame.stamp) * 1e-9
        if reason := self._too_old(frame, request):
            outcome = Outcome(
                request,
                Status.STALE,
                header=frame.message.header,
                camera=camera.name if camera else "",
                reason=reason,
                start_age=asked.start_age,
            )
            return outcome, None
        self._frame = frame
        return None, self._look(camera, frame, epoch)

    def _ask(
        self,
        together: Sequence[AskedRequest],
        sight: Sight,
        settle: Callable[[AskedRequest, Outcome], None],
    ) -> None:
        """Asks the model about all of them, until each is settled."""
        settings = self._settings()
        queries: list[ImageQuery] = []
        owners: list[tuple[AskedRequest, int]] = []
        for asked in together:
            limits, locator = self._limits(asked.request), self._locator(asked.request, sight, settings)
            feedback = Feedback(asked.request, sight, locator, limits.min_confidence)
            followed = asked.request.continuous
            moves = self._moves(sight.name, asked.request.query.written) if followed else ()
            own = asked.queries(locator, feedback, limits, self._options, moves)
            queries += own
            owners += [(asked, number) for number in range(len(own))]
            if not own:
                self._conclude(asked, sight, settle)

        def on_answer(number: int, outcome: Answer | Exception) -> None:
            asked, text = owners[number]
            asked.take(text, outcome)
            if asked.complete and not asked.settled:
                self._conclude(asked, sight, settle)

        if not queries:
            return
        try:
            self._model.answers(sight.encoded, queries, on_answer)
        except FatalModelError:
            raise
        except Exception as error:  # of all of them, as where memory is too short for so many
            left = [asked for asked in together if not asked.settled]
            if len(left) > 1 and not gpu_is_lost():
                self._log.warning(f"{len(left)} queries are asked one after the other: {error}")
                for asked in left:
                    self._ask([asked], sight, settle)
            elif left:
                self._fail(left[0], error, settle)

    def _conclude(
        self, asked: AskedRequest, sight: Sight, settle: Callable[[AskedRequest, Outcome], None]
    ) -> None:
        """Settles a request whose texts are all answered."""
        try:
            outcome = self._about(asked, sight)
        except Exception as error:
            self._fail(asked, error, settle)
        else:
            settle(asked, outcome)

    def _fail(
        self, asked: AskedRequest, error: Exception, settle: Callable[[AskedRequest, Outcome], None]
    ) -> None:
        """Settles a request that an error has ended.

        Raises:
            FatalModelError: The error has ended the model, too.
        """
        reason = str(error)
        if not isinstance(error, (MolmoError, GenerationError, ImageMessageError)):
            # What nobody foresaw, and out of memory.
            self._log.error("".join(traceback.format_exception(error)))
            reason = f"{type(error).__name__}: {error}"
        outcome = self._failed(asked.request, reason)
        settle(asked, outcome)
        if gpu_is_lost():
            raise FatalModelError(outcome.reason)

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

    def _about(self, asked: AskedRequest, sight: Sight) -> Outcome:
        """What the model's answer to a request comes to."""
        answered = time.perf_counter()
        request, locator, answer = asked.request, asked.locator, asked.answer()
        assert locator is not None
        header = sight.frame.message.header
        if sight.camera is not None and sight.epoch != self._epoch:
            late = {"header": header, "camera": sight.name, "start_age": asked.start_age}
            return Outcome(request, Status.STALE, reason=self._forgotten, **late)
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
            "model": asked.answered_ms,
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
            start_age=asked.start_age,
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


def _texts(together: Sequence[AskedRequest]) -> int:
    return sum(len(asked.request.query.texts) for asked in together)
