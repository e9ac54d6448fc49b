# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Frames at exact times, held against pictures that each carry their number."""

import numpy as np
import pytest

from benchmarks.made_recordings import write_video
from molmo_ros.labelling.labelling_error import LabellingError
from molmo_ros.labelling.video_frames import video_frames

COUNT = 60


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A frame for each number, as grey of four times that."""
    frames = np.stack([np.full((64, 96, 3), 4 * number, np.uint8) for number in range(COUNT)])
    path = tmp_path_factory.mktemp("video") / "ä video.mp4"
    write_video(path, frames, 10)
    return path


def seen(path, times, **options):
    return [
        None if one.pixels is None else round(float(one.pixels.mean()) / 4)
        for one in video_frames(path, times, 1e-4, **options)
    ]


@pytest.mark.parametrize("numbers", [range(COUNT), [0], [59], [3, 4, 30, 31, 59], range(1, 60, 7)])
def test_each_frame_is_the_one_of_its_time(numbers, video):
    times = [np.float64(np.float32(number / 10)) for number in numbers]
    assert seen(video, times) == list(numbers)
    assert seen(video, times, threads=2) == list(numbers)


def test_a_time_between_frames_has_none(video):
    assert seen(video, [0.1, 0.15, 0.2, 7.0]) == [1, None, 2, None]
    (one,) = video_frames(video, [0.15], 1e-4)
    assert one.reason == "the video has no frame at 0.1500 s"


def test_a_damaged_video_gives_what_can_be_decoded(video, tmp_path):
    data = bytearray(video.read_bytes())
    begin, middle = data.index(b"mdat"), len(data) // 2
    assert begin < middle
    data[middle : middle + 400] = b"\xff" * 400
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    found = seen(path, [number / 10 for number in range(COUNT)])
    whole = [number for number in range(COUNT) if found[number] is not None]
    assert 10 < len(whole) < COUNT and all(found[number] == number for number in whole)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "there is no video"), (b"", "cannot be opened"), (b"text", "cannot be opened")],
)
def test_what_is_no_video(content, said, tmp_path):
    path = tmp_path / "none.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LabellingError, match=said):
        next(video_frames(path, [0.0], 1e-4))
