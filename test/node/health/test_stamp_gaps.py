# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The share of lost pictures, of streams whose losses are known."""

import random

import pytest

from molmo_ros.node.fast_dds import installed_fast_dds
from molmo_ros.node.health.stamp_gaps import CURE, StampGaps

PERIOD = 33_333_333


def stream(lost, jitter=0.0, seed=0, count=200):
    """Stamps of a 30 Hz camera of which each picture was lost with a probability, and how many of the last came."""
    chance = random.Random(seed)
    gaps, came = StampGaps(), []
    for number in range(count):
        if chance.random() >= lost:
            stamp = 10**18 + number * PERIOD + int(chance.uniform(-jitter, jitter) * PERIOD)
            gaps.add(stamp)
            came.append(number)
    last = came[-61:]
    return gaps, 1 - (len(last) - 1) / (last[-1] - last[0])


@pytest.mark.parametrize("lost", [0.0, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("jitter", [0.0, 0.05])
def test_the_share_is_that_of_the_stream(lost, jitter):
    gaps, truth = stream(lost, jitter)
    assert gaps.lost == pytest.approx(truth, abs=0.02)


def test_every_other_one_cannot_be_told_from_half_the_rate():
    gaps = StampGaps()
    for number in range(100):
        gaps.add(number * 2 * PERIOD + 1)
    assert gaps.lost == 0


def test_a_camera_without_a_period_has_lost_nothing():
    chance, gaps, stamp = random.Random(1), StampGaps(), 10**18
    for _ in range(100):
        stamp += int(chance.uniform(0.02, 0.5) * 1e9)
        gaps.add(stamp)
    assert gaps.lost == 0


def test_few_stamps_say_nothing_and_a_clock_that_goes_back_begins_anew():
    gaps, _ = stream(0.4)
    assert gaps.lost > 0.3
    gaps.add(5)
    assert gaps.lost == 0
    for number in range(15):
        gaps.add(5 + number**2 * PERIOD)
    assert gaps.lost == 0


def test_what_people_are_told_names_the_share_and_the_cure():
    assert stream(0.0)[0].told("images") == ""
    gaps, truth = stream(0.5)
    assert gaps.told("depth images").startswith(f"{gaps.lost:.0%} of the depth images do not arrive")
    cure = CURE.format(topic="/TOPIC", variable=installed_fast_dds().profile_variable)
    assert cure in gaps.told("depth images") and truth > 0.3


def test_a_lost_one_is_told_from_one_that_was_never_due():
    gaps = StampGaps()
    gaps.topic = "/camera/depth"
    lost = [number for number in range(100) if number % 7 == 3]
    for number in range(100):
        if number not in lost:
            gaps.add(10**18 + number * PERIOD)
    for number in lost[10:]:
        said = gaps.missing(10**18 + number * PERIOD + 1000, "depth image")
        assert "never arrived" in said and "qos_overrides./camera/depth.subscription" in said
    assert "never arrived" in gaps.missing(10**18 + 100 * PERIOD, "depth image")  # its time is over
    for between in (90.5, 99.5, 100.4):
        assert gaps.missing(10**18 + round(between * PERIOD), "depth image") == ""
    assert gaps.missing(10**18 + 90 * PERIOD, "depth image") == ""  # it is there
    assert stream(0.0)[0].missing(10**18 + 200 * PERIOD, "depth image") == ""
