# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An answer about an old frame is brought to the newest one."""

import numpy as np
import pytest

from molmo_ros.tracking import FrameHistory, LossReason, TrackedPoint, catch_up

WIDTH, HEIGHT = 320, 240


@pytest.fixture
def history(wide_texture):
    """Ten frames, in each of which the camera is 3 px further to the right."""
    history = FrameHistory()
    for number in range(10):
        history.add(number, np.ascontiguousarray(wide_texture[:HEIGHT, 3 * number : 3 * number + WIDTH]))
    return history


@pytest.mark.parametrize("stride", [1, 2, 3, 100])
@pytest.mark.parametrize("since", [3, 4, 9])
def test_points_end_where_they_are_in_the_newest_frame(history, since, stride):
    points = [TrackedPoint(150, 100, "a"), TrackedPoint(200, 140, "b")]
    tracker, tracks = catch_up(history.after(since - 1), points, stride)
    moved = 3 * (9 - since)
    assert [(track.label, track.lost) for track in tracks] == [("a", None), ("b", None)]
    assert [track.x for track in tracks] == pytest.approx([150 - moved, 200 - moved], abs=0.2)
    assert [track.id for track in tracker.tracks] == [track.id for track in tracks]


def test_the_tracker_stands_at_the_newest_frame(history, wide_texture):
    tracker, [track] = catch_up(history.after(-1), [TrackedPoint(150, 100)], 2)
    later = history.add(10, np.ascontiguousarray(wide_texture[:HEIGHT, 30 : 30 + WIDTH]))
    assert tracker.step(later)[0].x == pytest.approx(track.x - 3, abs=0.1)


def test_a_point_lost_on_the_way_keeps_its_place_in_the_list(history):
    tracker, tracks = catch_up(history.after(-1), [TrackedPoint(10, 100), TrackedPoint(150, 100)])
    assert [track.lost for track in tracks] == [LossReason.OUT_OF_IMAGE, None]
    assert [track.id for track in tracker.tracks] == [tracks[1].id]


def test_refuses_to_start_nowhere(history):
    with pytest.raises(ValueError, match="no frames"):
        catch_up(history.after(77), [TrackedPoint(1, 1)])
    with pytest.raises(ValueError, match="stride is 0"):
        catch_up(history.after(-1), [TrackedPoint(1, 1)], 0)
