# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The thread that runs batches, with the real queue."""

import threading

from molmo_ros.node.records.query import parse_query
from molmo_ros.node.records.request import Request, Source
from molmo_ros.node.scheduling.request_queue import RequestQueue
from molmo_ros.node.scheduling.worker import QueryWorker

PATIENCE = 20.0


def request(text, source=Source.TOPIC):
    return Request(parse_query(text), source)


def nothing():
    return [], 1.0


def test_runs_what_waits_and_what_comes_in_order():
    queue, ran, finished = RequestQueue(), [], threading.Event()

    def run(batch):
        for one in batch:
            ran.append(one.query.written)
            queue.finished(one)
        if "last" in ran:
            finished.set()

    queue.submit(request("@a first"), 9)
    worker = QueryWorker(queue, run, nothing)
    worker.start()
    queue.submit(request("@b second"), 9)
    queue.submit(request("last"), 9)
    assert finished.wait(PATIENCE)
    assert ran == ["@a first", "@b second", "last"]
    assert worker.stop(PATIENCE)


def test_waiting_requests_go_before_the_continuous_one():
    queue, ran, finished = RequestQueue(), [], threading.Event()
    wait = threading.Event()

    def run(batch):
        ran.append([one.query.written for one in batch])
        if len(ran) == 1:
            queue.submit(request("first"), 9)
            queue.submit(request("second"), 9)
        for one in batch:
            queue.finished(one)
        if len(ran) == 3:
            finished.set()
            wait.wait(PATIENCE)

    worker = QueryWorker(queue, run, lambda: ([request("again", Source.CONTINUOUS)], 0.0))
    worker.start()
    assert finished.wait(PATIENCE)
    wait.set()
    assert ran[:3] == [["again"], ["first", "second"], ["again"]]
    assert worker.stop(PATIENCE)


def test_stop_cancels_what_runs_and_leaves_the_rest_to_drain():
    queue, running = RequestQueue(), threading.Event()

    def run(batch):
        running.set()
        assert batch[0].cancel.wait(PATIENCE)
        queue.finished(batch[0])

    worker = QueryWorker(queue, run, nothing)
    worker.start()
    for text in ("@a running", "@b waiting", "@c waiting too"):
        queue.submit(request(text), 9)
    assert running.wait(PATIENCE)
    assert worker.stop(PATIENCE)
    assert [one.query.written for one in queue.drain()] == ["@b waiting", "@c waiting too"]


def test_stop_reports_what_cannot_be_stopped():
    queue, release, running = RequestQueue(), threading.Event(), threading.Event()

    def run(_batch):
        running.set()
        release.wait(PATIENCE)

    queue.submit(request("stubborn"), 9)
    worker = QueryWorker(queue, run, nothing)
    worker.start()
    assert running.wait(PATIENCE)
    assert not worker.stop(0.05)
    release.set()
    assert worker.stop(PATIENCE)
