# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The thread that owns the model: it loads it, and answers what waits, packed by picture."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from molmo_ros.molmo.errors import MolmoError
from molmo_ros.node.answers.fatal_error import gpu_is_lost
from molmo_ros.pictures.coded_picture import PictureError
from molmo_ros.server.asking import AskingKind
from molmo_ros.server.job_queue import JobQueue
from molmo_ros.server.model_job import ModelJob
from molmo_ros.server.request_error import RequestError, bad_request, unavailable
from molmo_ros.server.server_metrics import ServerMetrics

if TYPE_CHECKING:  # they import torch
    from molmo_ros.molmo.pipeline import Molmo
    from molmo_ros.server.encoded_images import KeptImage

LOG = logging.getLogger(__name__)
GRACE = 60.0
"""How long a stage may run over the time limit of what is answered before the model counts as stuck [s]."""


class ModelWorker:
    """Loads the model and answers until it is stopped.

    Args:
        load: Makes the model; it takes seconds or minutes.
        queue: What waits.
        metrics: Is told.
        pixels: Most pixels of a picture [px].
        image_memory: What encoded pictures may hold [bytes].
        on_ready: Called in the thread once the model is there.
        on_end: Called in the thread where the model cannot answer (any more), with the reason.

    Attributes:
        state: "loading", "ok" or "failed".
        card: What the model is and takes, for /v1/models; empty until it is loaded.
    """

    def __init__(
        self,
        load: Callable[[], Molmo],
        queue: JobQueue,
        metrics: ServerMetrics,
        *,
        pixels: int,
        image_memory: int,
        on_ready: Callable[[], None] = lambda: None,
        on_end: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._load, self._queue, self._metrics = load, queue, metrics
        self._pixels, self._image_memory = pixels, image_memory
        self._on_ready, self._on_end = on_ready, on_end
        self._running: Sequence[ModelJob] = ()
        self.state = "loading"
        self.card: dict[str, object] = {}
        # A daemon: a model that cannot be interrupted must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="molmo_worker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Cancel what runs, and end; False where the thread still runs after `timeout` [s]."""
        self._queue.close("the server ends")
        self.cancel_running()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def cancel_running(self) -> None:
        """Ends what is being answered, between two tokens."""
        for job in self._running:
            job.cancel.set()

    @property
    def health(self) -> str:
        """ "ok", or why nothing is answered: "loading", "stuck" in a stage that does not end, or "failed"."""
        running = self._running
        if self.state == "ok" and running and time.monotonic() > max(job.deadline for job in running) + GRACE:
            return "stuck"
        return self.state

    def _work(self) -> None:
        """In the thread: whatever ends it is told, or clients would wait for nobody."""
        try:
            self._serve()
        except Exception as error:
            self._fail(error)

    def _serve(self) -> None:
        from molmo_ros.server.encoded_images import EncodedImages
        from molmo_ros.server.packed_jobs import PackedJobs

        self._packed = PackedJobs
        self._model = self._load()
        self._images = EncodedImages(self._image_memory)
        self.card = _card(self._model)
        self.state = "ok"
        self._on_ready()
        while jobs := self._queue.take():
            self._running = jobs
            try:
                self._answer(jobs)
            except Exception as error:
                self._failed(jobs, error)
                if self.state != "ok":
                    return
            finally:
                self._running = ()

    def _fail(self, error: Exception) -> None:
        self.state = "failed"
        self._queue.close("the model cannot answer any more; this server ends")
        self._on_end(error)

    def _failed(self, jobs: Sequence[ModelJob], error: Exception) -> None:
        """Nobody waits in vain for what the model failed on; where the GPU is lost that is the end."""
        LOG.error("answering failed: %s: %.300s", type(error).__name__, error, exc_info=error)
        lost = gpu_is_lost()
        reason = "the GPU is lost; this server ends" if lost else f"the model failed: {str(error):.300}"
        for job in jobs:
            job.deliver(
                unavailable(reason, "gpu_lost") if lost else RequestError(500, reason, code="model_failed")
            )
        # What an error has left in caches is nobody's answer; and it may have been memory that was missing.
        self._images.clear()
        if lost:
            self._fail(error)

    def _answer(self, jobs: Sequence[ModelJob]) -> None:
        """Questions about the same pictures."""
        taken = time.monotonic()
        late = [job for job in jobs if job.deadline <= taken]
        for job in late:
            job.deliver(waited_too_long(job))
        jobs = [job for job in jobs if job not in late]
        if not jobs:
            return
        try:
            image, known = self._image(jobs[0])
        except (PictureError, MolmoError) as error:
            for job in jobs:
                job.deliver(bad_request(f"the image cannot be answered about: {error}", "messages"))
            return
        self._packed(self._model, image, known, jobs, self._metrics).answer()
        self._images.trim()
        self._metrics.images(len(self._images), self._images.nbytes)

    def _image(self, job: ModelJob) -> tuple[KeptImage, bool]:
        """A job's pictures, encoded, and whether they had been before."""
        from molmo_ros.server.encoded_images import KeptImage

        kept = self._images.get(job.image_key)
        self._metrics.image_asked(kept is not None)
        if kept is not None:
            return kept, True
        decoded = [picture.pixels(self._pixels) for picture in job.pictures]
        encoded = self._model.encode([pixels for pixels, _ in decoded], max_crops=job.asking.max_crops)
        # Guesses come from the last answer about the same view: what clients see is as good as one view.
        encoded.view = "served"
        kept = KeptImage(encoded, tuple(note for _, note in decoded if note))
        self._images.keep(job.image_key, kept)
        return kept, False


def waited_too_long(job: ModelJob) -> RequestError:
    """The model was busy with others for the whole time limit."""
    return unavailable(
        f"the question has waited for {time.monotonic() - job.arrived:.1f} s, which is its time limit; the model was "
        "busy with others",
        "queue_timeout",
        1.0,
    )


def _card(model: Molmo) -> dict[str, object]:
    """What clients may want to know before they ask."""
    return {
        "kinds": [kind.value for kind in AskingKind],
        "family": model.family.name,
        "engine": model.runtime.name,
        "many_images": model.family.prompt.many_images,
        "max_context": model.runtime.max_context,
        "calibrated": model.calibration is not None,
    }
