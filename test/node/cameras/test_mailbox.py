# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import threading

from molmo_ros.node.cameras.mailbox import Mailbox


def test_newest_wins_and_unseen_ones_count_as_dropped():
    box = Mailbox()
    assert (box.newest(), box.peek()) == (None, (None, False))
    for item in range(5):
        box.put(item)
    assert box.peek() == (4, True)
    assert box.newest() == 4
    assert box.peek() == (4, False)
    assert box.newest() == 4
    box.put(5)
    assert (box.received, box.dropped) == (6, 4)


def test_clear_forgets_the_item_and_keeps_the_counts():
    box = Mailbox()
    box.put(1)
    box.put(2)
    box.clear()
    assert box.newest() is None
    assert (box.received, box.dropped) == (2, 1)


def test_two_threads_lose_no_count():
    """Every item is either seen as new or dropped, and items never go back in time."""
    box, seen, done = Mailbox(), [], threading.Event()

    def write():
        for item in range(20_000):
            box.put(item)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set() or box.peek()[1]:
        if box.peek()[1]:
            seen.append(box.newest())
    writer.join()
    assert seen == sorted(set(seen)) and seen[-1] == 19_999
    assert len(seen) + box.dropped == box.received == 20_000
