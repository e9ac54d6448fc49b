# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which object is which across answers."""

import itertools
import threading

import numpy as np

from molmo_ros.tracking import LossReason, Track, new_id, same_objects
from molmo_ros.tracking.track_ids import GATE

WIDTH = 1000
FAR = GATE * WIDTH


def test_the_nearest_of_the_same_label():
    old = [Track(1, 100, 100, "cup"), Track(2, 120, 100, "cup")]
    new = [Track(3, 119, 100, "cup"), Track(4, 101, 100, "cup")]
    assert same_objects(new, old, WIDTH) == {3: 2, 4: 1}


def test_another_label_never_matches():
    assert same_objects([Track(2, 5, 5, "red cup")], [Track(1, 5, 5, "cup")], WIDTH) == {}


def test_the_gate_grows_with_the_image():
    old, new = [Track(1, 100, 100, "")], [Track(2, 100 + FAR + 1, 100, "")]
    assert same_objects(new, old, WIDTH) == {}
    assert same_objects(new, old, 2 * WIDTH) == {2: 1}


def test_one_to_one_and_the_nearest_first():
    old = [Track(1, 100, 100, "")]
    new = [Track(2, 110, 100, ""), Track(3, 101, 100, "")]
    assert same_objects(new, old, WIDTH) == {3: 1}


def test_lost_tracks_never_match():
    lost = Track(1, 5, 5, "", LossReason.COVERED)
    assert same_objects([Track(2, 5, 5, "")], [lost], WIDTH) == {}
    assert same_objects([lost], [Track(2, 5, 5, "")], WIDTH) == {}


def test_nothing_with_nothing():
    assert same_objects([], [], WIDTH) == same_objects([Track(1, 0, 0, "")], [], WIDTH) == {}


def test_no_pair_of_two_matches_is_further_than_a_free_one():
    """Against all pairs in order of distance, tried one after the other."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        old = [Track(n, *rng.uniform(0, 150, 2), "") for n in range(8)]
        new = [Track(100 + n, *rng.uniform(0, 150, 2), "") for n in range(8)]
        expected, taken = {}, set()
        for one, two in sorted(
            itertools.product(new, old),
            key=lambda pair: np.hypot(pair[0].x - pair[1].x, pair[0].y - pair[1].y),
        ):
            near = np.hypot(one.x - two.x, one.y - two.y) <= FAR
            if near and one.id not in expected and two.id not in taken:
                expected[one.id] = two.id
                taken.add(two.id)
        assert same_objects(new, old, WIDTH) == expected


def test_ids_are_unique_across_threads():
    ids = []
    threads = [threading.Thread(target=lambda: ids.extend(new_id() for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 2000 and min(ids) >= 1
