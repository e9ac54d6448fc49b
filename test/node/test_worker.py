import threading

import pytest

from molmo_ros.node.query import parse_query
from molmo_ros.node.worker import QueryWorker

PATIENCE = 20.0


def query(text):
    return parse_query(text)


def test_queries_wait_for_loading_and_run_in_order():
    loaded, ran, finished = threading.Event(), [], threading.Event()

    def run(item):
        ran.append(item.text)
        if item.text == "last":
            finished.set()

    worker = QueryWorker(lambda: loaded.wait(PATIENCE), run, lambda: (None, 1.0))
    worker.start()
    for text in ("a", "b", "last"):
        assert worker.submit(query(text), 3)
    assert not worker.submit(query("too many"), 3)
    assert ran == []
    loaded.set()
    assert finished.wait(PATIENCE)
    assert ran == ["a", "b", "last"]
    assert worker.stop(PATIENCE)


def test_waiting_queries_go_before_the_continuous_one():
    ran, finished = [], threading.Event()

    def run(item):
        ran.append(item.text)
        if len(ran) == 1:
            worker.submit(query("first"), 9)
            worker.submit(query("second"), 9)
        if len(ran) == 4:
            finished.set()
            worker.stopping.wait(PATIENCE)

    worker = QueryWorker(lambda: None, run, lambda: (query("again"), 0.0))
    worker.start()
    assert finished.wait(PATIENCE)
    assert ran == ["again", "first", "second", "again"]
    assert worker.stop(PATIENCE)


def test_stop_cancels_what_runs_and_leaves_the_rest_to_drain():
    running = threading.Event()

    def run(_item):
        running.set()
        assert worker.stopping.wait(PATIENCE)

    worker = QueryWorker(lambda: None, run, lambda: (None, PATIENCE))
    worker.start()
    for text in ("running", "waiting", "waiting too"):
        worker.submit(query(text), 9)
    assert running.wait(PATIENCE)
    assert worker.stop(PATIENCE)
    assert [item.text for item in worker.drain()] == ["waiting", "waiting too"]
    assert worker.drain() == []


def test_stop_reports_what_cannot_be_stopped():
    release = threading.Event()
    worker = QueryWorker(lambda: release.wait(PATIENCE), lambda _: None, lambda: (None, 1.0))
    worker.start()
    assert not worker.stop(0.05)
    release.set()
    assert worker.stop(PATIENCE)


def test_failure_of_loading_is_kept():
    def load():
        raise ValueError("no such folder")

    worker = QueryWorker(load, lambda _: pytest.fail("nothing may run"), lambda: (query("x"), 0.0))
    worker.start()
    assert worker.stop(PATIENCE)
    assert str(worker.failure) == "no such folder"
