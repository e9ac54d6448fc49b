# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which line is named for depth that has no picture's stamp, and for a K: by streams and lenses that are known."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from molmo_ros.check import cures  # noqa: E402
from molmo_ros.node.parameters.declaration import Settings  # noqa: E402

IMAGES = np.arange(1, 101, dtype=np.int64) * 50_000_000  # 20 Hz


def camera(depths, unstamped=0):
    return SimpleNamespace(
        records={
            "image": SimpleNamespace(stamps=IMAGES, frames={"optical": 1}),
            "depth": SimpleNamespace(stamps=np.asarray(depths), unstamped=unstamped),
        },
        names={"depth": "/d", "camera_info": "/i"},
        depth_gaps=SimpleNamespace(lost=0.0),
        publishers=lambda _: [("/driver", True)],
    )


@pytest.mark.parametrize(
    "depths, line",
    [
        (IMAGES + 24_000_000, "depth_sync_tolerance:=0.025"),
        (IMAGES + 29_000_000, "depth_sync_tolerance:=0.022"),  # the one before is nearer
        (IMAGES[::2], "one rate"),
        (
            IMAGES[np.random.default_rng(0).random(100) < 0.3],
            "qos_overrides./d.subscription.reliability:=reliable",
        ),
    ],
)
def test_depth_of_other_moments(depths, line):
    assert cures.apart(camera(depths), Settings()).startswith(line)


def test_depth_without_stamps():
    assert cures.apart(camera([0, 0], unstamped=2), Settings()) == cures.STAMP


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (1920, 1080)])
def test_the_default_of_sdf_is_replaced_by_the_lens(size):
    k = [277.0, 0.0, 160.0, 0.0, 277.0, 120.0, 0.0, 0.0, 1.0]
    info = SimpleNamespace(k=k, width=size[0], height=size[1], header=SimpleNamespace(frame_id="optical"))
    line = cures.calibration(info, size, "/i", camera(IMAGES))
    f = size[0] / 2 / np.tan(1.047 / 2)
    assert f"[{f:.2f}, {f:.2f}, {(size[0] - 1) / 2:g}, {(size[1] - 1) / 2:g}] for 1.047" in line


def test_k_of_another_resolution_is_scaled_about_the_pixels_edges():
    k = [1000.0, 0.0, 639.5, 0.0, 1000.0, 479.5, 0.0, 0.0, 1.0]
    info = SimpleNamespace(k=k, width=1280, height=960, header=SimpleNamespace(frame_id="optical"))
    line = cures.calibration(info, (640, 480), "/i", camera(IMAGES))
    assert "camera_matrix:=[500.00, 500.00, 319.50, 239.50]" in line
    info.header.frame_id = "other"
    assert "trust_camera_info:=true" in cures.calibration(info, (640, 480), "/i", camera(IMAGES))
    assert cures.calibration(info, (640, 480), "/beside", camera(IMAGES)) == "camera_info:=/beside"
