# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Each fact that can say that two inputs are not of the same camera, size or moment, alone."""

import pytest

from molmo_ros.geometry import PinholeCamera
from molmo_ros.geometry.belonging import Belonging, InputClaims, MismatchError, Rules

S = 10**9
PICTURE = InputClaims("the picture", "color_optical", 5 * S, (64, 48))
CAMERA = PinholeCamera(60.0, 60.0, 31.5, 23.5, 64, 48)


def depth(frame="color_optical", stamp=5 * S, size=(64, 48)):
    return InputClaims("depth", frame, stamp, size)


def held(picture=PICTURE, **rules):
    return Belonging(picture, Rules(**rules))


@pytest.mark.parametrize("frame", ["color_optical", "/color_optical"])
def test_what_belongs_together_passes(frame):
    belonging = held()
    belonging.require_depth(depth(frame))
    belonging.require_calibration(InputClaims("camera_info", frame), CAMERA)
    assert belonging.assumed == [] and belonging.optical_frame == "color_optical"


def test_an_empty_frame_says_nothing_and_that_is_said():
    belonging = held()
    belonging.require_depth(depth(""))
    belonging.require_calibration(InputClaims("camera_info", ""), CAMERA)
    assert belonging.assumed == ["depth has no frame_id", "camera_info has no frame_id"]
    unnamed = held(InputClaims("the picture", "", 5 * S, (64, 48)))
    unnamed.require_depth(depth())
    assert unnamed.assumed == ["the picture has no frame_id"]


def test_depth_of_another_camera_names_both_and_the_cure():
    with pytest.raises(MismatchError) as refused:
        held().require_depth(depth("depth_optical"))
    assert all(
        word in str(refused.value) for word in ("'depth_optical'", "'color_optical'", "depth_is_aligned")
    )
    aligned = held(depth_is_aligned=True)
    aligned.require_depth(depth("depth_optical"))
    assert "depth_is_aligned" in aligned.assumed[0]


def test_calibration_of_another_camera_names_both_and_the_cure():
    with pytest.raises(MismatchError) as refused:
        held(depth_is_aligned=True).require_calibration(InputClaims("camera_info", "depth_optical"), CAMERA)
    assert all(
        word in str(refused.value) for word in ("'depth_optical'", "'color_optical'", "trust_camera_info")
    )
    held(trust_camera_info=True).require_calibration(InputClaims("camera_info", "depth_optical"), CAMERA)
    own = held()
    own.require_calibration(None, CAMERA)
    assert own.assumed == ["camera_matrix is used instead of camera_info"]


def test_a_simulators_default_at_its_own_size_is_taken_with_a_word():
    default = PinholeCamera(277.0, 277.0, 160.0, 120.0, 320, 240)
    belonging = held(InputClaims("the picture", "optical", 5 * S, (320, 240)))
    belonging.require_calibration(InputClaims("camera_info", "optical"), default)
    assert "60 degrees" in belonging.assumed[0]


def own_info(frame="depth_optical", size=(32, 24)):
    return InputClaims("depth/camera_info", frame, 5 * S, size)


@pytest.mark.parametrize(
    ("claims", "info", "registers"),
    [
        (depth(), None, False),
        (depth(), own_info("color_optical", (64, 48)), False),
        (depth(), own_info(), False),  # a stranger's calibration, which aligned depth does not need
        (depth("depth_optical", size=(32, 24)), own_info(), True),
        (depth("depth_optical"), own_info(size=(64, 48)), True),
        (depth("/depth_optical"), own_info("", (64, 48)), True),
        (depth(size=(32, 24)), own_info("color_optical"), True),
        (depth("", size=(32, 24)), own_info(""), True),
    ],
)
def test_depth_of_another_camera_is_registered_by_its_own_calibration(claims, info, registers):
    assert held().require_depth(claims, info) is registers


@pytest.mark.parametrize(
    ("claims", "info", "words"),
    [
        (
            depth("depth_optical"),
            None,
            ["'depth_optical'", "'color_optical'", "depth/camera_info", "aligned"],
        ),
        (depth(size=(32, 24)), None, ["32x24", "64x48", "depth/camera_info"]),
        (
            depth("depth_optical", size=(32, 24)),
            own_info("infra"),
            ["'infra'", "'depth_optical'", "another camera's"],
        ),
        (depth("depth_optical", size=(32, 24)), own_info(size=(64, 48)), ["64x48", "32x24"]),
        (depth("depth_optical", 6 * S, (32, 24)), own_info(), ["1.000 s apart"]),
    ],
)
def test_what_cannot_be_registered_names_both_and_the_cure(claims, info, words):
    with pytest.raises(MismatchError) as refused:
        held().require_depth(claims, info)
    assert all(word in str(refused.value) for word in words), refused.value


def test_the_frame_that_depth_is_really_in():
    body = depth("cam_body", size=(32, 24))
    assert (
        held().frame_of(body) == "cam_body"
        and held(depth_frame="/cam_optical").frame_of(body) == "cam_optical"
    )
    assert held(depth_frame="cam_optical").require_depth(body, own_info("cam_body"))
    assert held(depth_frame="cam_optical").require_depth(body, own_info("cam_optical"))
    assert not held(depth_frame="color_optical").require_depth(depth("cam_body"))
    simulated = held(InputClaims("the picture", "a/b/c", 5 * S, (64, 48)), optical_frame="a_optical")
    assert simulated.frame_of(depth("a/b/c")) == "a_optical"


@pytest.mark.parametrize(
    ("lens", "another"),
    [
        (CAMERA, False),
        (PinholeCamera(60.4, 59.8, 32.0, 23.0, 64, 48), False),  # rounded, and scaled by halves
        (PinholeCamera(52.0, 52.0, 31.5, 23.5, 64, 48), True),
        (PinholeCamera(60.0, 60.0, 34.5, 23.5, 64, 48), True),
        (PinholeCamera(60.0, 60.0, 31.5, 23.5, 64, 48, "plumb_bob", (-0.4, 0.1, 0.0, 0.0, 0.0)), True),
    ],
)
def test_a_lens_that_is_not_the_pictures_is_noticed(lens, another):
    own = own_info("color_optical", (64, 48))
    assert held().is_of_another_lens(depth(), own, [lens], CAMERA) is another
    assert not held(depth_is_aligned=True).is_of_another_lens(depth(), own, [lens], CAMERA)
    assert not held().is_of_another_lens(depth(), own, [lens, CAMERA], CAMERA), "one of its readings fits"
    stranger = held()
    assert not stranger.is_of_another_lens(depth(), own_info(), [lens], CAMERA)
    assert "'depth_optical'" in stranger.assumed[0]


def test_clouds_are_of_the_pictures_moment_and_of_a_frame():
    held().require_cloud(InputClaims("the cloud", "lidar", 5 * S))
    with pytest.raises(MismatchError, match=r"the cloud is 0\.500 s apart"):
        held().require_cloud(InputClaims("the cloud", "lidar", 5 * S + S // 2))
    with pytest.raises(MismatchError, match="no frame_id.*depth_frame"):
        held().require_cloud(InputClaims("the cloud", "", 5 * S))
    held(depth_frame="lidar").require_cloud(InputClaims("the cloud", "", 5 * S))


@pytest.mark.parametrize("trust", [False, True])
def test_sizes_must_agree_whatever_is_trusted(trust):
    belonging = held(depth_is_aligned=trust, trust_camera_info=trust)
    with pytest.raises(MismatchError, match="depth is 32x24, the image is 64x48"):
        belonging.require_depth(depth(size=(32, 24)))
    with pytest.raises(MismatchError, match="32x24.*64x48"):
        belonging.require_calibration(None, PinholeCamera(30.0, 30.0, 15.5, 11.5, 32, 24))


def test_moments_must_agree():
    held().require_depth(depth(stamp=5 * S + 19_000_000))
    with pytest.raises(MismatchError, match="0.021 s apart.*0.02 s"):
        held().require_depth(depth(stamp=5 * S - 21_000_000))


@pytest.mark.parametrize("stamp", [0, -S])
def test_a_picture_without_a_stamp_has_no_depth(stamp):
    unstamped = held(InputClaims("the picture", "color_optical", stamp, (64, 48)))
    for stamp_of_depth in (0, 5 * S):
        with pytest.raises(MismatchError, match="no stamp"):
            unstamped.require_depth(depth(stamp=stamp_of_depth))
    with pytest.raises(MismatchError, match="apart"):
        held(tolerance=10.0).require_depth(depth(stamp=0))


def test_a_named_optical_frame_stands_for_the_headers():
    belonging = held(
        InputClaims("the picture", "cam/link/rgbd", 5 * S, (64, 48)), optical_frame="/cam_optical"
    )
    for frame in ("cam/link/rgbd", "cam_optical"):
        belonging.require_depth(depth(frame))
    assert belonging.optical_frame == "cam_optical"
    with pytest.raises(MismatchError, match="'other'.*'cam/link/rgbd' or 'cam_optical'"):
        belonging.require_depth(depth("other"))
