# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""No point of inputs that do not belong together is placed wrongly: against where the renderer's rays meet surfaces."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from benchmarks.mismatched_inputs import measured

TOLERANCE = 0.005
"""[m]"""
RIGHT = {
    "all of one camera",
    "depth camera 15 mm beside, its calibration and TF known",
    "depth camera 50 mm beside, its calibration and TF known",
    "a body frame, optical_frame set",
    "one stamp for all, the last depth is right",
    "a late picture",
    "a picture that waited",
}
"""The kinds whose inputs do belong together."""


@pytest.fixture(scope="module")
def results():
    return measured(range(2))


def test_no_point_is_far_from_the_truth(results):
    for kind, one in results.items():
        assert all(error < TOLERANCE for error in one.placed), kind


def test_inputs_that_belong_together_have_metres(results):
    for kind in RIGHT:
        assert results[kind].placed and not results[kind].refused, kind


def test_the_others_would_be_wrong_and_are_refused(results):
    assert len(results.keys() - RIGHT) >= 9
    for kind in results.keys() - RIGHT:
        assert max(results[kind].unchecked) > TOLERANCE and results[kind].refused, kind


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "depth camera 15 mm beside",
            ["camera_depth_optical_frame", "camera_color_optical_frame", "depth_is_aligned"],
        ),
        (
            "calibration of the depth camera",
            ["camera_depth_optical_frame", "camera_color_optical_frame", "trust_camera_info"],
        ),
        ("a simulator's default K", ["424x240", "320x240", "camera_matrix"]),
        ("a body frame, in TF", ["optical_frame to 'camera/link/rgbd_optical_frame'", "roll"]),
        ("a body frame, its optical frame in TF", ["optical_frame to 'cam_optical'"]),
    ],
)
def test_a_refusal_names_both_sides_and_the_cure(results, kind, words):
    assert all(word in results[kind].refused[0] for word in words), results[kind].refused[0]
