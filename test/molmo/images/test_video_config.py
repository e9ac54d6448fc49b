# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Video settings from a checkpoint's files, and which times frames may have."""

import json
import math

import numpy as np
import pytest

from molmo_ros.molmo.errors import CheckpointError, PromptError
from molmo_ros.molmo.images.crop_budget import image_cost
from molmo_ros.molmo.images.crop_plan import plan_crops
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.padded_style import PADDED
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.images.video_config import VideoConfig

IMAGES = ImageProcessorConfig.released(STRETCHED)
# As transformers' Molmo2VideoProcessor and the hub's files spell it.
HUB = {
    "video_processor_type": "Molmo2VideoProcessor", "size": {"height": 378, "width": 378}, "patch_size": 14,
    "pooling_size": [3, 3], "num_frames": 384, "max_fps": 2, "frame_sample_mode": "uniform_last_frame",
    "do_resize": True, "do_rescale": True, "do_normalize": True, "do_sample_frames": True, "resample": 2,
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 1 / 255,
}  # fmt: skip


def read(folder, video=None, processor=None):
    for name, content in {"video_preprocessor_config": video, "processor_config": processor}.items():
        if content is not None:
            (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return VideoConfig.from_folder(folder, IMAGES)


def test_without_files(tmp_path):
    config = read(tmp_path)
    assert config == VideoConfig.of_images(IMAGES)
    assert (config.frame.max_crops, config.frame.pool, config.frame.crop_size) == (0, (3, 3), 378)
    assert (config.max_frames, config.start, config.end, config.columns) == (
        None,
        "<frame_start>",
        "<frame_end>",
        False,
    )


def test_the_hubs_files(tmp_path):
    config = read(tmp_path, HUB, {"use_frame_special_tokens": False, "video_use_col_tokens": False})
    assert config.frame == VideoConfig.of_images(IMAGES).frame
    assert (config.max_frames, config.start, config.end) == (384, "<im_start>", "<im_end>")


def test_other_settings(tmp_path):
    changed = HUB | {
        "size": {"height": 96, "width": 96}, "patch_size": 8, "pooling_size": [2, 4], "num_frames": 7,
        "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6],
    }  # fmt: skip
    config = read(tmp_path, None, {"video_processor": changed, "video_use_col_tokens": True})
    frame = config.frame
    assert (frame.crop_size, frame.patch_size, frame.pool, config.max_frames) == (96, 8, (2, 4), 7)
    assert (frame.mean, frame.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (config.start, config.columns) == ("<frame_start>", True)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (HUB | {"size": {"height": 378, "width": 364}}, "square"),
        (HUB | {"pooling_size": 3}, "cannot be read"),
        (HUB | {"resample": 3}, "resample"),
        (HUB | {"do_normalize": False}, "do_normalize"),
        (HUB | {"num_frames": 0}, "num_frames is 0"),
        (HUB | {"num_frames": "many"}, "num_frames is 'many'"),
        (HUB | {"num_frames": math.inf}, "num_frames is inf; .* whole number"),
        (HUB | {"patch_size": math.inf}, "patch_size is inf; .* whole number"),
        (HUB | {"pooling_size": [1e9, 1e9]}, "from 1 to the 27 of a crop"),
        ("[1]", "holds a list"),
        ("{", "not valid JSON"),
    ],
)
def test_bad_files(tmp_path, video, message):
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path, video)


def test_a_frame_is_the_global_view_of_an_image_pooled_more_coarsely():
    frame = VideoConfig.of_images(IMAGES).frame
    picture = np.random.default_rng(0).integers(0, 256, (90, 200, 3), dtype=np.uint8)
    found, whole = ImageProcessor(frame)(picture), ImageProcessor(IMAGES)(picture)
    assert found.crops.shape == (1, 729, 588) and np.array_equal(found.crops[0], whole.crops[0])
    assert (found.low_res_grid, found.high_res_grid, found.single_view) == ((9, 9), (0, 0), False)
    assert found.mosaic.tolist() == np.arange(729).reshape(27, 27).tolist()
    expected = [
        [27 * (3 * row + i) + 3 * column + j for i in range(3) for j in range(3)]
        for row in range(9)
        for column in range(9)
    ]
    assert found.pooling.tolist() == expected
    assert image_cost(frame, (90, 200)) == ((0, 0), 1, 81 + 2)


@pytest.mark.parametrize("crop_size", [14 * 10, 14 * 11])
def test_windows_beyond_the_edge_of_a_frame(crop_size):
    """As transformers pads them: half of what is missing in front, the greater half behind."""
    frame = VideoConfig.of_images(ImageProcessorConfig.released(STRETCHED, crop_size=crop_size)).frame
    plan, side = plan_crops(frame, 60, 80), crop_size // 14
    assert plan.low_res_grid == (4, 4)
    front = (12 - side) // 2
    for token, window in enumerate(plan.tables.pooling.tolist()):
        rows = [3 * (token // 4) + i - front for i in range(3)]
        columns = [3 * (token % 4) + j - front for j in range(3)]
        inside = [[0 <= y < side and 0 <= x < side for x in columns] for y in rows]
        assert window == [
            y * side + x if inside[i][j] else -1 for i, y in enumerate(rows) for j, x in enumerate(columns)
        ]


def test_only_stretched_images_may_have_no_tiles():
    with pytest.raises(CheckpointError, match="max_crops is 0; it must be at least 1"):
        ImageProcessorConfig.released(PADDED, max_crops=0)


def test_times():
    config = VideoConfig.of_images(IMAGES)
    assert config.check_times(3, [0, 0.5, np.float32(2)]) == (0.0, 0.5, 2.0)
    assert config.check_times(1, np.array([7.25])) == (7.25,)
    late = [0.24, 0.26, 999_999.8, 999_999.9]  # written 0.2, 0.3 and so on
    assert config.check_times(4, late) == tuple(late)


@pytest.mark.parametrize(
    ("frames", "times", "message"),
    [
        (0, [], "at least one frame"),
        (4, [0, 1, 2, 3], "4 frames; this model takes at most 3"),
        (2, [0.0], "2 frames and 1 times"),
        (2, [-0.5, 1], r"times\[0\] is -0.5 s; times must be finite and not negative"),
        (2, [0, math.nan], r"times\[1\] is nan"),
        (2, [0, math.inf], r"times\[1\] is inf"),
        (3, [0, 1, 1], r"times\[2\] is 1.0 s after 1.0 s"),
        (3, [0, 2, 1], r"times\[2\] is 1.0 s after 2.0 s"),
        (3, [0, 0.01, 0.02], r"times\[0\] and times\[1\] are 0.0 s and 0.01 s, both 0.0 s.*different tenths"),
        (2, [0.26, 0.34], r"are 0.26 s and 0.34 s, both 0.3 s.*different tenths of a second"),
        (2, [1.7e9, 1.7e9 + 1], r"times\[0\] is 1700000000.0 s; times count from the start of the video"),
        (2, [0, 1e6], r"times\[1\] is 1000000.0 s; times count from the start"),
        (1, None, "times is None; it must be a number of seconds for each frame"),
        (1, "x", "times is 'x'; it must be"),
        (1, [None], r"times is \[None\]; it must be"),
        (2, np.zeros((2, 2)), r"times is array\(\[\[0"),
        (1, 0.5, "times is 0.5; it must be"),
    ],
)
def test_bad_times(frames, times, message):
    config = VideoConfig(VideoConfig.of_images(IMAGES).frame, max_frames=3)
    with pytest.raises(PromptError, match=message):
        config.check_times(frames, times)
