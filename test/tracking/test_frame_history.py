# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The ring of recent frames: its bounds, its clock, and threads."""

import threading

import numpy as np
import pytest

from molmo_ros.tracking import FrameHistory

SECOND = 10**9


def frame_of(value, shape=(48, 64)):
    return np.full(shape, value, np.uint8)


def filled(count, **bounds):
    history = FrameHistory(**bounds)
    for number in range(count):
        history.add(number * SECOND, frame_of(number))
    return history


@pytest.mark.parametrize("stamp", [1 * SECOND, 1 * SECOND + 1, 2 * SECOND - 1])
def test_those_after_a_stamp_begin_with_the_next_frame(stamp):
    """Whether or not there is a frame of the stamp itself."""
    frames = filled(5, span=10).after(stamp)
    assert [frame.stamp // SECOND for frame in frames] == [2, 3, 4]
    assert [int(frame.pixels[0, 0]) for frame in frames] == [2, 3, 4]


@pytest.mark.parametrize("stamp", [4 * SECOND, 4 * SECOND + 1, 9 * SECOND])
def test_nothing_is_after_the_newest(stamp):
    assert filled(5, span=10).after(stamp) == []


def test_frames_older_than_the_span_go():
    history = filled(10, span=3)
    assert len(history) == 4 and [frame.stamp // SECOND for frame in history.after(-1)] == [6, 7, 8, 9]


def test_bytes_are_bounded_and_the_newest_stays():
    one = 48 * 64
    history = filled(10, span=100, max_bytes=3 * one + 1)
    assert len(history) == 3 and history.nbytes == 3 * one
    history.add(11 * SECOND, frame_of(0, (480, 640)))
    assert len(history) == 1 and history.nbytes == 480 * 640


def test_a_clock_that_goes_back_begins_anew():
    history = filled(5, span=10)
    history.add(SECOND, frame_of(9))
    assert [frame.stamp for frame in history.after(-1)] == [SECOND]
    assert len(history) == 1 and history.nbytes == 48 * 64


def test_clear():
    history = filled(5, span=10)
    history.clear()
    assert len(history) == history.nbytes == 0 and history.after(-1) == []


def test_wide_frames_are_kept_small():
    history = FrameHistory(max_width=320)
    kept = history.add(0, np.zeros((720, 1280, 3), np.uint8))
    assert kept.pixels.shape == (180, 320) and history.nbytes == 180 * 320 + 2 * 90 * 160


@pytest.mark.parametrize("bounds", [{"span": 0}, {"max_bytes": -1}, {"max_width": 0}, {"span": float("nan")}])
def test_refuses_bounds_that_keep_nothing(bounds):
    with pytest.raises(ValueError, match="must be positive"):
        FrameHistory(**bounds)


def test_readers_see_whole_sequences_while_frames_are_added():
    history, broken, done = FrameHistory(span=0.05), [], threading.Event()

    def read():
        while not done.is_set():
            for start in range(0, 2000, 100):
                stamps = [frame.stamp for frame in history.after(start * 10**6 - 1)]
                if any(b - a != 10**6 for a, b in zip(stamps, stamps[1:], strict=False)):
                    broken.append(stamps)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(2000):
        history.add(number * 10**6, frame_of(0, (4, 4)))
    done.set()
    for reader in readers:
        reader.join()
    assert not broken and len(history) == 51 and history.nbytes == 51 * 16
