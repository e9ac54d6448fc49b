# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Finding the camera among topics as drivers name them."""

from dataclasses import replace

import pytest

from molmo_ros.bag.camera_topics import CLOUD, COMPRESSED, IMAGE, INFO, CameraTopics, find_camera
from molmo_ros.bag.recorded_bag import BagError

REALSENSE = {
    "/camera/color/image_raw": IMAGE,
    "/camera/color/image_raw/compressed": COMPRESSED,
    "/camera/color/camera_info": INFO,
    "/camera/depth/image_rect_raw": IMAGE,
    "/camera/depth/camera_info": INFO,
    "/camera/aligned_depth_to_color/image_raw": IMAGE,
    "/camera/aligned_depth_to_color/image_raw/compressedDepth": COMPRESSED,
    "/camera/aligned_depth_to_color/camera_info": INFO,
    "/camera/infra1/image_rect_raw": IMAGE,
    "/camera/infra1/camera_info": INFO,
    "/molmo_node/annotated/compressed": COMPRESSED,
    "/tf": "tf2_msgs/msg/TFMessage",
}
TWO = {
    f"/{name}/{topic}": kind
    for name in ("head", "wrist")
    for topic, kind in (
        ("image/compressed", COMPRESSED),
        ("depth/compressedDepth", COMPRESSED),
        ("camera_info", INFO),
    )
}


def test_the_nodes_own_names():
    topics = {"/image": IMAGE, "/depth": IMAGE, "/camera_info": INFO}
    assert find_camera(topics) == CameraTopics("/image", "/depth", "/camera_info")
    assert find_camera({"/image": IMAGE}) == CameraTopics("/image")


def test_colour_with_the_depth_that_is_aligned_to_it():
    assert find_camera(REALSENSE) == CameraTopics(
        "/camera/color/image_raw",
        "/camera/aligned_depth_to_color/image_raw",
        "/camera/color/camera_info",
        "/camera/aligned_depth_to_color/camera_info",
    )


def test_depth_that_is_not_aligned_comes_with_its_own_calibration():
    raw = {name: kind for name, kind in REALSENSE.items() if "aligned" not in name}
    expected = CameraTopics(
        "/camera/color/image_raw",
        "/camera/depth/image_rect_raw",
        "/camera/color/camera_info",
        "/camera/depth/camera_info",
    )
    assert find_camera(raw) == expected
    named = find_camera(raw, depth_info="/camera/infra1/camera_info")
    assert named == replace(expected, depth_info="/camera/infra1/camera_info")
    own = {"/image": IMAGE, "/camera_info": INFO, "/depth": IMAGE, "/depth/camera_info": INFO}
    assert find_camera(own) == CameraTopics("/image", "/depth", "/camera_info", "/depth/camera_info")


def test_a_cloud_is_depth_where_there_is_no_depth_image():
    cloud = {
        "/camera/color/image_raw": IMAGE,
        "/camera/color/camera_info": INFO,
        "/camera/depth/points": CLOUD,
    }
    found = CameraTopics("/camera/color/image_raw", "/camera/depth/points", "/camera/color/camera_info")
    assert find_camera(cloud | {"/lidar/points": CLOUD}) == found
    assert find_camera(cloud | {"/camera/other/points": CLOUD}).depth == "", "which one, nobody can know"
    assert find_camera(cloud | {"/camera/depth/image": IMAGE}).depth == "/camera/depth/image"
    named = find_camera(cloud | {"/camera/depth/image": IMAGE}, depth="/camera/depth/points")
    assert named.depth == "/camera/depth/points"


def test_an_oaks_stereo_is_its_depth_and_a_stereo_pair_is_pictures():
    oak = {
        "/oak/rgb/image_raw": IMAGE,
        "/oak/rgb/camera_info": INFO,
        "/oak/stereo/image_raw": IMAGE,
        "/oak/stereo/camera_info": INFO,
    }
    assert find_camera(oak) == CameraTopics(
        "/oak/rgb/image_raw", "/oak/stereo/image_raw", "/oak/rgb/camera_info", "/oak/stereo/camera_info"
    )
    compressed = {
        "/oak/rgb/image_raw/compressed": COMPRESSED,
        "/oak/stereo/image_raw/compressedDepth": COMPRESSED,
    }
    assert find_camera(compressed).depth == "/oak/stereo/image_raw/compressedDepth"
    pair = {
        "/stereo/left/image_raw": IMAGE,
        "/stereo/left/camera_info": INFO,
        "/stereo/right/image_raw": IMAGE,
    }
    assert find_camera(pair, image="/stereo/left/image_raw") == CameraTopics(
        "/stereo/left/image_raw", "", "/stereo/left/camera_info"
    )


def test_one_of_two_cameras_by_name():
    for name in ("head", "wrist"):
        assert find_camera(TWO, camera=name) == CameraTopics(
            f"/{name}/image/compressed", f"/{name}/depth/compressedDepth", f"/{name}/camera_info"
        )


def test_what_is_named_is_taken():
    found = find_camera(
        REALSENSE, image="/camera/infra1/image_rect_raw", depth="/camera/depth/image_rect_raw"
    )
    assert found == CameraTopics(
        "/camera/infra1/image_rect_raw",
        "/camera/depth/image_rect_raw",
        "/camera/infra1/camera_info",
        "/camera/depth/camera_info",
    )


@pytest.mark.parametrize(
    ("topics", "named", "said"),
    [
        (TWO, {}, ["--image", "/head/image/compressed", "/wrist/image/compressed"]),
        (TWO, {"camera": "left"}, ["'left'", "/head/image/compressed"]),
        ({"/depth": IMAGE}, {}, ["no topic with pictures", "/depth"]),
        ({"/tf": "tf2_msgs/msg/TFMessage"}, {}, ["no topic with pictures"]),
        ({"/image": IMAGE, "/a/depth": IMAGE, "/b/depth": IMAGE}, {}, ["--depth", "/a/depth", "/b/depth"]),
        (REALSENSE, {"image": "/tf"}, ["/tf is a tf2_msgs/msg/TFMessage", "/camera/color/image_raw"]),
        (REALSENSE, {"info": "/info"}, ["/info is not in the bag", "/camera/color/camera_info"]),
    ],
)
def test_an_error_lists_the_candidates(topics, named, said):
    with pytest.raises(BagError) as error:
        find_camera(topics, **named)
    assert all(part in str(error.value) for part in said), error.value
