# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import itertools
import math
import threading
import time

import numpy as np
import pytest

from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError
from molmo_ros.geometry.transform_buffer import (
    HISTORY_NS,
    LIFETIME,
    MAX_FRAMES,
    ExtrapolationError,
    LoopError,
    NotConnectedError,
    StrayStampError,
    TransformBuffer,
    UnknownFrameError,
)

MS = 1_000_000
S = 1000 * MS
POINTS = np.random.default_rng(2).normal(size=(8, 3))


def along_x(metres):
    return RigidTransform((metres, 0.0, 0.0))


def turned(angle, translation=(0.0, 0.0, 0.0)):
    return RigidTransform(translation, (0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2)))


def assert_same(transform, expected):
    np.testing.assert_allclose(transform.apply(POINTS), expected.apply(POINTS), atol=1e-12)


@pytest.fixture
def arm():
    """map > base (static) > wrist (moves 1 m/s along x, at 10 Hz from 0 s to 1 s) > camera (static)."""
    buffer = TransformBuffer()
    buffer.set("map", "base", 0, turned(0.5, (1.0, 2.0, 0.0)), static=True)
    for tenth in range(11):
        buffer.set("base", "wrist", tenth * 100 * MS, along_x(tenth / 10))
    buffer.set("wrist", "camera", 0, turned(-0.3, (0.0, 0.0, 0.1)), static=True)
    return buffer


def test_chain_is_the_product_at_the_stamp(arm):
    expected = turned(0.5, (1.0, 2.0, 0.0)) @ along_x(0.25) @ turned(-0.3, (0.0, 0.0, 0.1))
    assert_same(arm.lookup("map", "camera", 250 * MS), expected)
    assert_same(arm.lookup("camera", "map", 250 * MS), expected.inverse())


def test_lookups_form_a_group(arm):
    """Through whichever frame the way goes, and back again."""
    arm.set("wrist", "finger", 0, turned(1.1, (0.05, 0.0, 0.02)), static=True)
    frames = ("map", "base", "wrist", "camera", "finger")
    for a, b, c in itertools.product(frames, repeat=3):
        a_from_b, b_from_c = arm.lookup(a, b, 250 * MS), arm.lookup(b, c, 250 * MS)
        assert_same(a_from_b @ b_from_c, arm.lookup(a, c, 250 * MS))
        assert_same(a_from_b.inverse(), arm.lookup(b, a, 250 * MS))


def test_siblings_meet_at_their_common_ancestor(arm):
    """The moving frame above both does not enter: its time may be unknown."""
    arm.set("wrist", "finger", 0, along_x(0.05), static=True)
    there = arm.lookup("finger", "camera", 99 * S)
    assert_same(there, along_x(-0.05) @ turned(-0.3, (0.0, 0.0, 0.1)))


def test_order_of_arrival_does_not_matter():
    buffer = TransformBuffer()
    for stamp in (3, 1, 2, 0):
        buffer.set("base", "wrist", stamp * S, along_x(stamp**2))
    assert buffer.lookup("base", "wrist", 2500 * MS).translation[0] == pytest.approx(6.5)


def test_repeated_stamp_replaces(arm):
    arm.set("base", "wrist", 500 * MS, along_x(7.0))
    assert arm.lookup("base", "wrist", 500 * MS).translation[0] == 7.0


def test_frame_in_itself_is_the_identity_even_if_unknown():
    assert TransformBuffer().lookup("camera", "camera", 5) == RigidTransform()


def test_unknown_frame_lists_the_known(arm):
    with pytest.raises(UnknownFrameError, match="'bass' is unknown; known: base, camera, map, wrist"):
        arm.lookup("bass", "camera", 0)
    with pytest.raises(UnknownFrameError, match="known: none yet"):
        TransformBuffer().lookup("base", "camera", 0)


def test_two_trees_are_not_connected(arm):
    arm.set("dock", "marker", 0, along_x(1.0), static=True)
    with pytest.raises(NotConnectedError, match="'camera' is below 'map', 'marker' below 'dock'"):
        arm.lookup("marker", "camera", 0)


@pytest.mark.parametrize(
    ("stamp", "by", "said"),
    [
        (
            1050 * MS,
            0.05,
            "1.050 s is 0.050 s after the newest .* 'wrist' in 'base' .from 0.000 s to 1.000 s",
        ),
        (-2 * S, -2.0, "-2.000 s is 2.000 s before the oldest"),
    ],
)
def test_extrapolation_says_by_how_much(arm, stamp, by, said):
    with pytest.raises(ExtrapolationError, match=said) as caught:
        arm.lookup("map", "camera", stamp)
    assert caught.value.by == pytest.approx(by)


def test_history_is_bounded_and_older_ones_are_dropped():
    buffer = TransformBuffer()
    for second in range(31):
        buffer.set("base", "wrist", second * S, along_x(second))
    assert buffer.lookup("base", "wrist", 30 * S - HISTORY_NS).translation[0] == 20.0
    with pytest.raises(StrayStampError, match="25.000 s before the newest"):
        buffer.set("base", "wrist", 5 * S, along_x(5))
    for stamp in (5 * S, 19 * S):
        with pytest.raises(ExtrapolationError, match="from 20.000 s to 30.000 s"):
            buffer.lookup("base", "wrist", stamp)


@pytest.mark.parametrize(("parent", "child"), [("camera", "base"), ("camera", "map"), ("wrist", "wrist")])
def test_loops_are_refused_and_leave_the_tree_as_it_was(arm, parent, child):
    before = arm.lookup("map", "camera", 0)
    with pytest.raises(LoopError, match=f"'{child}' cannot be in '{parent}'"):
        arm.set(parent, child, 0, along_x(1.0))
    assert arm.lookup("map", "camera", 0) == before


def test_another_parent_replaces(arm):
    arm.set("map", "camera", 0, along_x(3.0), static=True)
    assert_same(arm.lookup("map", "camera", 99 * S), along_x(3.0))
    arm.set("map", "camera", 5 * S, along_x(4.0))
    with pytest.raises(ExtrapolationError):
        arm.lookup("map", "camera", 0)


def test_frames_need_names():
    with pytest.raises(TransformError, match="needs two frames, got '' and 'camera'"):
        TransformBuffer().set("", "camera", 0, RigidTransform())


def test_clear_forgets_what_moves_only(arm):
    arm.clear()
    assert_same(arm.lookup("map", "base", 0), turned(0.5, (1.0, 2.0, 0.0)))
    with pytest.raises(NotConnectedError):
        arm.lookup("base", "camera", 0)


def test_wait_returns_as_soon_as_the_transform_comes(arm):
    feeder = threading.Timer(0.1, arm.set, ("base", "wrist", 1100 * MS, along_x(1.1)))
    feeder.start()
    started = time.monotonic()
    assert arm.wait("base", "wrist", 1050 * MS, 5.0).translation[0] == pytest.approx(1.05)
    assert 0.05 < time.monotonic() - started < 2.0
    feeder.join()


def test_wait_raises_the_last_error_after_the_timeout():
    buffer = TransformBuffer()
    feeder = threading.Timer(0.05, buffer.set, ("base", "camera", S, along_x(1.0)))
    feeder.start()
    with pytest.raises(ExtrapolationError, match="1.000 s after the newest"):
        buffer.wait("base", "camera", 2 * S, 0.3)
    feeder.join()


def test_wait_does_not_wait_for_the_past(arm):
    started = time.monotonic()
    with pytest.raises(ExtrapolationError, match="before the oldest"):
        arm.wait("base", "wrist", -S, 5.0)
    assert time.monotonic() - started < 1.0


def test_lookups_while_another_thread_writes_and_clears():
    buffer, written = TransformBuffer(), [0]

    def write():
        for count in range(6000):
            if count % 1000 == 0:
                buffer.clear()
            buffer.set("base", "wrist", count * 10 * MS, along_x(count / 100))
            written[0] = count * 10 * MS

    writer = threading.Thread(target=write)
    writer.start()
    found = 0
    while writer.is_alive():
        stamp = written[0] - 5 * MS
        try:
            assert buffer.lookup("base", "wrist", stamp).translation[0] == pytest.approx(stamp / S)
            found += 1
        except TransformError:
            pass  # cleared in between, or outrun
    writer.join()
    assert found > 0


def test_one_transform_of_the_year_2038_changes_nothing_and_is_told(arm):
    with pytest.raises(StrayStampError, match="2147483647.000 s is .* after the newest"):
        arm.set("base", "wrist", (2**31 - 1) * S, along_x(99.0))
    arm.set("base", "wrist", 1100 * MS, along_x(1.1))
    assert arm.lookup("base", "wrist", 1050 * MS).translation[0] == pytest.approx(1.05)
    with pytest.raises(StrayStampError, match="before the newest"):
        arm.set("base", "wrist", -20 * S, along_x(99.0))
    assert arm.lookup("base", "wrist", 1050 * MS).translation[0] == pytest.approx(1.05)


def test_where_the_year_2038_comes_first_the_right_time_takes_over():
    buffer = TransformBuffer()
    buffer.set("base", "wrist", (2**31 - 1) * S, along_x(99.0))
    with pytest.raises(StrayStampError):
        buffer.set("base", "wrist", 100 * MS, along_x(0.1))
    buffer.set("base", "wrist", 200 * MS, along_x(0.2))
    assert buffer.lookup("base", "wrist", 150 * MS).translation[0] == pytest.approx(0.15)
    with pytest.raises(ExtrapolationError):
        buffer.lookup("base", "wrist", 1000 * S)


def test_a_transform_that_comes_with_each_rare_picture_holds_at_its_stamp(arm):
    for second in (30, 60, 90):
        with pytest.raises(StrayStampError):
            arm.set("base", "wrist", second * S, along_x(second))
        assert arm.lookup("base", "wrist", second * S).translation[0] == second


def test_moving_frames_that_are_not_heard_of_any_more_are_forgotten():
    now = [0.0]
    buffer = TransformBuffer(clock=lambda: now[0])
    buffer.set("map", "base", 0, RigidTransform(), static=True)
    for number in range(50):
        buffer.set("map", f"person{number}", number * S, RigidTransform())
        now[0] += LIFETIME / 10
    assert set(buffer.parents()) == {"base"} | {f"person{number}" for number in range(39, 50)}


def test_frames_are_bounded_in_number():
    buffer = TransformBuffer()
    for number in range(MAX_FRAMES):
        buffer.set("map", f"f{number}", 0, RigidTransform())
    with pytest.raises(TransformError, match=f"{MAX_FRAMES} are known"):
        buffer.set("map", "one more", 0, RigidTransform())
    buffer.set("map", "f7", S, RigidTransform())
    with pytest.raises(UnknownFrameError, match="more$") as error:
        buffer.lookup("map", "x" * 1_000_000, 0)
    assert len(str(error.value)) < 2000
