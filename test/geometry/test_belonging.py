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
