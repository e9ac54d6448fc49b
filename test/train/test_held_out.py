# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Held-out scenes: their truth fits their pictures, and recorded ones are read as they lie."""

from pathlib import Path

import numpy as np

from molmo_ros.train.held_out import narrow_scenes, recorded_scenes, typed_scenes, wide_scenes
from molmo_ros.train.scenes import FIRST_SEED

FRAMES = Path(__file__).parents[1] / "gazebo" / "frames"


def test_recorded_scenes_show_what_their_index_says():
    """Pure colours are told from the pixels under each mask."""
    seen = list(recorded_scenes(FRAMES, "user_"))
    assert len(seen) >= 8
    for scene in seen:
        assert scene.frame.segmentation.max() + 1 == len(scene.names) and scene.distance in (
            0.5,
            0.7,
            0.9,
            1.2,
        )
        for index, (color, _) in enumerate(scene.names):
            red, green, blue = np.median(scene.picture[scene.frame.segmentation == index], axis=0)
            strongest = {"red": red, "green": green, "blue": blue}
            if color in strongest:
                assert strongest[color] == max(strongest.values()) > 1.5 * sorted(strongest.values())[1]


def test_scenes_are_none_of_training_s_and_equal_each_time():
    for kind in (narrow_scenes, wide_scenes, typed_scenes):
        first, again = next(kind(1, 77)), next(kind(1, 77))
        np.testing.assert_array_equal(first.picture, again.picture)
        assert first.names == again.names and int(first.name) < FIRST_SEED
        assert first.picture.shape[:2] == first.frame.segmentation.shape
        assert 0.3 < first.distance < 1.7
