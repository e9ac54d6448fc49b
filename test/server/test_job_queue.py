# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Questions that wait: their order, what is taken together, and the bound."""

import threading
import time

import pytest

from molmo_ros.pictures.coded_picture import CodedPicture
from molmo_ros.server.asking import Asking
from molmo_ros.server.job_queue import JobQueue
from molmo_ros.server.model_job import ModelJob
from molmo_ros.server.request_error import RequestError
from molmo_ros.server.sent_picture import SentPicture

CODED = CodedPicture("PNG", 4, 4, 3, 1, b"")


def job(picture, told=None, **asking):
    sent = SentPicture(picture.encode(), CODED)
    deliver = (lambda event: None) if told is None else told.append
    return ModelJob((sent,), Asking(words="cup", **asking), time.monotonic() + 60, deliver)


def test_the_oldest_is_taken_with_those_about_the_same_picture():
    queue = JobQueue(10, 3)
    jobs = {name: job(name[0]) for name in ("a1", "b1", "a2", "b2", "a3", "a4")}
    for one in jobs.values():
        queue.put(one)
    assert queue.take() == [jobs["a1"], jobs["a2"], jobs["a3"]]
    assert queue.take() == [jobs["b1"], jobs["b2"]]
    assert queue.take() == [jobs["a4"]] and len(queue) == 0


def test_the_same_picture_in_other_tiles_is_another():
    queue = JobQueue(10, 3)
    fine, coarse = job("a"), job("a", max_crops=1)
    queue.put(fine)
    queue.put(coarse)
    assert queue.take() == [fine] and queue.take() == [coarse]


def test_too_many_are_told_when_to_come_again():
    queue = JobQueue(2, 1, pace=lambda: 8.0)
    queue.put(job("a"))
    queue.put(job("b"))
    with pytest.raises(RequestError, match="2 questions wait, which is the limit") as caught:
        queue.put(job("c"))
    assert caught.value.status == 429 and caught.value.headers == {"Retry-After": "8"}
    queue.take()
    queue.put(job("c"))


def test_who_has_gone_is_not_taken():
    queue = JobQueue(10, 3)
    gone, withdrawn, there = job("a"), job("a"), job("b")
    for one in (gone, withdrawn, there):
        queue.put(one)
    gone.cancel.set()
    assert queue.withdraw(withdrawn) and not queue.withdraw(withdrawn)
    assert queue.take() == [there]


def test_a_closed_queue_refuses_what_waits_and_what_comes():
    queue, told, taken = JobQueue(10, 3), [], []
    thread = threading.Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    queue.close("the server ends")
    thread.join(60)
    assert taken == [[]]
    queue = JobQueue(10, 3)
    queue.put(job("a", told))
    queue.close("the server ends")
    queue.close("and again")
    assert [(error.status, error.message) for error in told] == [(503, "the server ends")]
    with pytest.raises(RequestError, match="the server ends"):
        queue.put(job("b"))
