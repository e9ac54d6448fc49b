# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Order, bound, batches and cancelling of the queue."""

import threading
import time

from molmo_ros.node.records.query import Kind, Query
from molmo_ros.node.records.request import Request, Source
from molmo_ros.node.scheduling.request_queue import RequestQueue


def request(text="", source=Source.TOPIC, camera="", image=None):
    return Request(Query(Kind.POINT, (text,), text, camera), source, image=image)


def written(requests):
    return [one.query.written for one in requests]


def test_most_urgent_first_and_the_older_first_among_equals():
    queue = RequestQueue()
    sources = [Source.TOPIC, Source.SERVICE, Source.ACTION, Source.TOPIC, Source.ACTION]
    for index, source in enumerate(sources):
        assert queue.submit(request(str(index), source, camera=str(index)), 9)
    order = []
    while batch := queue.take():
        order += written(batch)
    assert order == ["2", "4", "1", "0", "3"]


def test_requests_about_one_camera_are_taken_together():
    queue = RequestQueue()
    for text, camera in (("a", "wrist"), ("b", "head"), ("c", "wrist"), ("d", "")):
        queue.submit(request(text, camera=camera), 9)
    assert written(queue.take()) == ["a", "c"]
    assert written(queue.take()) == ["b"]
    assert written(queue.take()) == ["d"]
    assert queue.take() == []


def test_request_with_its_own_image_comes_alone():
    queue = RequestQueue()
    queue.submit(request("a", image=object()), 9)
    queue.submit(request("b", image=object()), 9)
    queue.submit(request("c"), 9)
    assert [written(queue.take()) for _ in range(3)] == [["a"], ["b"], ["c"]]


def test_full_queue_refuses():
    queue = RequestQueue()
    assert queue.submit(request("a"), 1)
    assert not queue.submit(request("b", Source.ACTION), 1)
    assert written(queue.take()) == ["a"]
    assert queue.submit(request("c"), 1)  # what runs does not wait


def test_closed_queue_takes_and_hands_out_nothing():
    queue = RequestQueue()
    queue.submit(request("a"), 9)
    queue.close()
    assert not queue.submit(request("b"), 9)
    assert queue.take() == [] and not queue.run_continuous([request("c", Source.CONTINUOUS)])
    queue.open()
    assert written(queue.take()) == ["a"]


def test_what_is_put_back_goes_before_its_equals_and_after_the_more_urgent():
    queue = RequestQueue()
    queue.submit(request("a"), 9)
    queue.submit(request("b"), 9)
    a, b = queue.take()
    queue.finished(a)
    queue.submit(request("c", camera="head"), 9)
    queue.submit(request("d", Source.ACTION, camera="wrist"), 9)
    queue.put_back([b])
    assert queue.taken == []
    assert [written(queue.take()) for _ in range(3)] == [["d"], ["b"], ["c"]]


def test_cancelled_while_waiting_is_out_and_while_running_is_told():
    queue = RequestQueue()
    running, waiting = request("running"), request("waiting")
    queue.submit(running, 9)
    queue.take()
    assert queue.begin(running)
    queue.submit(waiting, 9)
    assert queue.cancel(waiting) and waiting.cancel.is_set()
    assert not queue.cancel(waiting)  # its outcome is given once
    assert queue.take() == []
    assert not queue.cancel(running) and running.cancel.is_set()


def test_cancelled_behind_the_running_one_of_its_batch_never_begins():
    queue = RequestQueue()
    for text in "abc":
        queue.submit(request(text), 9)
    a, b, c = queue.take()
    assert queue.begin(a)
    assert queue.cancel(b) and not queue.cancel(b)
    queue.finished(a)
    assert not queue.begin(b) and queue.begin(c)
    assert written(queue.taken) == ["c"]


def test_cancelled_behind_the_running_one_is_not_put_back():
    queue = RequestQueue()
    for text in "abc":
        queue.submit(request(text), 9)
    a, b, c = queue.take()
    queue.begin(a)
    queue.cancel(b)
    queue.finished(a)
    queue.put_back([b, c])
    assert written(queue.take()) == ["c"]


def test_running_continuous_query_makes_way_once_and_only_it_does():
    queue = RequestQueue()
    continuous = request("continuous", Source.CONTINUOUS)
    assert queue.run_continuous([continuous])
    topic, action = request("topic"), request("action", Source.ACTION)
    queue.submit(topic, 9)
    assert continuous.preempted and continuous.cancel.is_set()
    queue.submit(request("another"), 9)
    assert queue.preempted == 1
    assert not queue.run_continuous([request("again", Source.CONTINUOUS)])  # others wait
    queue.take()
    queue.submit(action, 9)
    assert not topic.preempted and not topic.cancel.is_set()


def test_drain_returns_all_without_an_outcome():
    queue = RequestQueue()
    for text, camera in (("a", ""), ("b", ""), ("c", "head")):
        queue.submit(request(text, camera=camera), 9)
    batch = queue.take()
    queue.finished(batch[0])
    assert written(queue.drain()) == ["b", "c"]
    assert queue.drain() == [] and queue.waiting == 0


def test_wait_ends_with_a_request_a_wake_and_a_close():
    for act in (lambda queue: queue.submit(request(), 9), RequestQueue.wake, RequestQueue.close):
        queue = RequestQueue()
        threading.Timer(0.1, act, [queue]).start()
        started = time.monotonic()
        queue.wait(20.0)
        assert time.monotonic() - started < 10


def test_no_request_is_lost_or_taken_twice_by_threads():
    queue, taken = RequestQueue(), []

    def submit(name):
        for index in range(200):
            assert queue.submit(request(f"{name} {index}", list(Source)[index % 3]), 1000)

    threads = [threading.Thread(target=submit, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or queue.waiting:
        for one in queue.take():
            taken.append(one.query.written)
            queue.finished(one)
    assert sorted(taken) == sorted(f"{name} {index}" for name in "abcd" for index in range(200))
