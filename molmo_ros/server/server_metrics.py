# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the server counts and times, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120)
PACKS = (1, 2, 4, 8, 16, 32)


class ServerMetrics:
    """Names begin with `molmo_`; a registry of its own, so that nothing else of the process is shown."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "molmo_requests", "Requests, by status of HTTP.", ["path", "status"], registry=registry
        )
        self._answers = Counter("molmo_answers", "Answers, by their status.", ["status"], registry=registry)
        self._prompt = Counter("molmo_prompt_tokens", "Tokens of pictures and words.", registry=registry)
        self._generated = Counter("molmo_generated_tokens", "Tokens of answers.", registry=registry)
        self._asked = Counter(
            "molmo_images",
            "Pictures that questions were about: encoded, or kept from before.",
            ["from"],
            registry=registry,
        )
        self._kept = Gauge("molmo_kept_images", "Encoded pictures that are kept.", registry=registry)
        self._memory = Gauge("molmo_kept_image_bytes", "Memory that they hold.", registry=registry)
        self._waiting = Gauge("molmo_waiting", "Questions that wait.", registry=registry)
        self._uploads = Gauge("molmo_upload_bytes", "Bodies that are held.", registry=registry)
        self._first = Histogram(
            "molmo_first_text_seconds", "From arrival to the first text.", buckets=SECONDS, registry=registry
        )
        self._took = Histogram(
            "molmo_pack_seconds", "Time for what was answered together.", buckets=SECONDS, registry=registry
        )
        self._packs = Histogram(
            "molmo_pack_questions", "Questions that were answered together.", buckets=PACKS, registry=registry
        )
        self._pace = 1.0

    def watch(self, waiting: Callable[[], int], uploads: Callable[[], int]) -> None:
        """Where to look at what waits, and at the bytes of bodies that are held."""
        self._waiting.set_function(waiting)
        self._uploads.set_function(uploads)

    def request(self, path: str, status: int) -> None:
        self._requests.labels(path, str(status)).inc()

    def packed(self, questions: int) -> None:
        self._packs.observe(questions)

    def took(self, seconds: float) -> None:
        self._took.observe(seconds)
        self._pace += 0.1 * (seconds - self._pace)

    def first_text(self, seconds: float) -> None:
        self._first.observe(seconds)

    def answered(self, status: str, prompt_tokens: int, tokens: int) -> None:
        self._answers.labels(status).inc()
        self._prompt.inc(prompt_tokens)
        self._generated.inc(tokens)

    def image_asked(self, kept: bool) -> None:
        self._asked.labels("kept" if kept else "encoded").inc()

    def images(self, count: int, nbytes: int) -> None:
        self._kept.set(count)
        self._memory.set(nbytes)

    @property
    def pace(self) -> float:
        """What is answered together takes, on average lately [s]."""
        return self._pace

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)
