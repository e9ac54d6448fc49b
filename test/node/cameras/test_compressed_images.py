# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Compressed messages written here by OpenCV and by the published description of the transports."""

import struct
from contextlib import suppress

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from molmo_ros.geometry import metres
from molmo_ros.node.cameras.compressed_images import (
    MAX_PIXELS,
    decode_compressed_depth,
    decode_compressed_picture,
)
from molmo_ros.node.cameras.image_transport import depth_of, picture_of
from molmo_ros.node.cameras.images import ImageMessageError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (24, 32, 3), np.uint8)
FLAT = np.full((24, 32, 3), (200, 120, 40), np.uint8)
BGR = FLAT[..., ::-1]


def coded(pixels, extension, *flags):
    return cv2.imencode(extension, pixels, flags)[1].tobytes()


def compressed(data, format):
    return CompressedImage(format=format, data=data)


@pytest.mark.parametrize("format", ["png", "rgb8; png compressed bgr8", "bgra8; png compressed bgr8", ""])
def test_png_is_exact(format):
    decoded = decode_compressed_picture(compressed(coded(RGB[..., ::-1], ".png"), format))
    assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, RGB)


@pytest.mark.parametrize(
    "format",
    [
        "jpeg",
        "jpg",
        "",
        "rgb8; jpeg compressed bgr8",
        "bgr8; jpeg compressed bgr8",
        "bayer_rggb8; jpeg compressed bgr8",
    ],
)
def test_jpeg_of_one_color(format):
    decoded = decode_compressed_picture(compressed(coded(BGR, ".jpg"), format))
    np.testing.assert_allclose(decoded.astype(int), FLAT, atol=2)


@pytest.mark.parametrize("format", ["rgb8; jpeg compressed rgb8", "bgr8; png compressed rgb8"])
def test_colors_that_were_coded_in_reverse(format):
    extension = ".png" if "png" in format else ".jpg"
    decoded = decode_compressed_picture(compressed(coded(FLAT, extension), format))
    np.testing.assert_allclose(decoded.astype(int), FLAT, atol=2)


def test_sixteen_bits_gray_and_transparency():
    wide = RGB[..., ::-1].astype(np.uint16) * 257
    np.testing.assert_array_equal(
        picture_of(compressed(coded(wide, ".png"), "rgb16; png compressed bgr16")), RGB
    )
    gray = RGB[..., 0]
    for pixels, format in (
        (gray, "mono8; png compressed "),
        (gray.astype(np.uint16) * 257, "mono16; png compressed "),
    ):
        decoded = picture_of(compressed(coded(pixels, ".png"), format))
        np.testing.assert_array_equal(decoded, np.dstack([gray] * 3))
    clear = np.dstack([RGB[..., ::-1], np.zeros(RGB.shape[:2], np.uint8)])
    np.testing.assert_array_equal(
        picture_of(compressed(coded(clear, ".png"), "bgra8; png compressed bgr8")), RGB
    )


@pytest.mark.parametrize("label", ["bayer_rggb8", "bayer_rggb16"])
def test_gray_with_a_bayer_label_is_a_mosaic(label):
    mosaic = np.tile(np.array([[200, 120], [120, 40]], np.uint8), (12, 16))
    decoded = decode_compressed_picture(compressed(coded(mosaic, ".png"), f"{label}; png compressed "))
    np.testing.assert_allclose(decoded[2:-2, 2:-2].astype(int), FLAT[2:-2, 2:-2], atol=1)


def test_a_bayer_image_that_was_made_gray_stays_gray():
    gray = RGB[..., 0]
    decoded = decode_compressed_picture(compressed(coded(gray, ".png"), "bayer_rggb8; jpeg compressed mono8"))
    np.testing.assert_array_equal(decoded, np.dstack([gray] * 3))


def test_exif_orientation_is_not_applied():
    """Calibration and depth do not turn with it."""
    jpeg = coded(BGR, ".jpg")
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)  # orientation 6: to be turned by 90 degrees
    exif = b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (32, 24, 3)
    assert decode_compressed_picture(compressed(turned, "jpeg")).shape == (24, 32, 3)


def test_padding_after_the_end_is_ignored():
    """Buffers of fixed size are sent whole by some MJPEG cameras."""
    decoded = decode_compressed_picture(compressed(coded(BGR, ".jpg") + bytes(100), "jpeg"))
    np.testing.assert_allclose(decoded.astype(int), FLAT, atol=2)


def png_that_claims(width, height):
    png = coded(RGB, ".png")
    return png[:16] + struct.pack(">II", width, height) + png[24:]


def jpeg_that_claims(width, height):
    jpeg = coded(RGB, ".jpg")
    frame = jpeg.index(b"\xff\xc0")
    return jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]


@pytest.mark.parametrize(
    ("data", "format", "reason"),
    [
        (b"", "jpeg", "is empty"),
        (b"\xff", "jpeg", "neither JPEG, PNG.*valid: jpeg, png, webp, tiff"),
        (b"GIF89a" + bytes(50), "gif", "'gif'.*are a GIF.*valid: jpeg, png, webp, tiff"),
        (bytes(5000), "h264", "'h264'.*they start with 00 00"),
        (coded(RGB, ".jpg")[:-2], "jpeg", "truncated"),
        (coded(RGB, ".jpg")[: len(coded(RGB, ".jpg")) // 2], "jpeg", "truncated"),
        (coded(RGB, ".jpg")[:30], "jpeg", "truncated"),
        (coded(RGB, ".png")[:-40], "png", "truncated"),
        (coded(RGB, ".png")[:20], "png", "truncated"),
        (png_that_claims(100_000, 100_000), "png", "claims 100000x100000"),
        (png_that_claims(2**31, 2**31), "png", "claims"),
        (png_that_claims(0, 10), "png", "claims 0x10"),
        (jpeg_that_claims(65_500, 65_500), "jpeg", "claims 65500x65500"),
        (jpeg_that_claims(32, 0), "jpeg", "claims 32x0"),
        (
            coded(RGB[..., 0].astype(np.uint16), ".png"),
            "16UC1; compressedDepth png",
            "is this the depth topic",
        ),
    ],
)
def test_bad_pictures_are_named(data, format, reason):
    with pytest.raises(ImageMessageError, match=reason) as raised:
        decode_compressed_picture(compressed(data, format))
    assert len(str(raised.value)) < 300


def test_damage_is_refused_or_decodes_to_the_size():
    """No damage ends in an error of OpenCV or numpy."""
    for whole in (coded(RGB, ".png"), coded(RGB, ".jpg")):
        for _ in range(60):
            data = bytearray(whole)
            for at in RNG.integers(0, len(data), 3):
                data[at] = RNG.integers(256)
            with suppress(ImageMessageError):
                assert decode_compressed_picture(compressed(bytes(data), "x")).ndim == 3


# --- depth ---------------------------------------------------------------------------------------------------------

DEPTH = (800 + np.arange(24)[:, None] * 5 + np.arange(32)).astype(np.uint16)
DEPTH[3:6, 4:20] = 0
HEADER = struct.pack("<iff", 0, 0.0, 0.0)


@pytest.mark.parametrize(
    "format", ["16UC1", "16UC1; compressedDepth", "16UC1; compressedDepth png", "mono16; compressedDepth png"]
)
def test_millimetres_are_exact(format):
    decoded = decode_compressed_depth(compressed(HEADER + coded(DEPTH, ".png"), format))
    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded, DEPTH)


def test_millimetres_as_plain_png():
    np.testing.assert_array_equal(depth_of(compressed(coded(DEPTH, ".png"), "16UC1; png compressed ")), DEPTH)


def test_metres_within_the_quantisation():
    """Written as the transport does: a = z0 (z0 + 1), b = 1 - a / largest, and value = a / depth + b, cut off."""
    depth = RNG.uniform(0.3, 9.9, (24, 32))
    z0, largest = 100.0, 10.0
    a = z0 * (z0 + 1)
    b = 1 - a / largest
    values = (a / depth + b).astype(np.uint16)
    values[:4] = 0
    data = struct.pack("<iff", 0, a, b) + coded(values, ".png")
    decoded = depth_of(compressed(data, "32FC1; compressedDepth png"))
    assert decoded.dtype == np.float32
    assert np.isnan(decoded[:4]).all()
    step = depth[4:] ** 2 / a  # how far a whole step of the inverse depth is
    assert (np.abs(decoded[4:] - depth[4:]) < 1.1 * step + 1e-5).all()


def test_depth_never_becomes_infinite():
    """A value that equals b."""
    values = np.array([[5, 6]], np.uint16)
    data = struct.pack("<iff", 0, 2.0, 5.0) + coded(values, ".png")
    np.testing.assert_array_equal(
        metres(depth_of(compressed(data, "32FC1; compressedDepth png"))), [[np.nan, 2.0]]
    )


# These 12 pixels as image_transport's own encoder writes them.
RVL_PIXELS = np.array([[0, 0, 1500, 1502], [65535, 1, 0, 700], [700, 0, 0, 0]], np.uint16)
RVL_BYTES = bytes.fromhex("4ae58f24ff3baf89ed2e31ff00003020")


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_rvl_of_the_reference_encoder(encoding):
    header = struct.pack("<iff", 0, 1.0, 0.0)
    data = header + struct.pack("<II", 4, 3) + RVL_BYTES
    decoded = decode_compressed_depth(compressed(data, f"{encoding}; compressedDepth rvl"))
    if encoding == "16UC1":
        np.testing.assert_array_equal(decoded, RVL_PIXELS)
    else:
        inverse = np.where(RVL_PIXELS > 0, 1 / np.maximum(RVL_PIXELS, 1), np.nan)
        np.testing.assert_allclose(decoded, inverse, rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "format", "reason"),
    [
        (b"", "16UC1; compressedDepth png", "data has 0 bytes"),
        (HEADER, "16UC1; compressedDepth png", "data has 12 bytes"),
        (HEADER + b"hello", "16UC1; compressedDepth png", "neither JPEG, PNG"),
        (HEADER + coded(DEPTH, ".png")[:-30], "16UC1; compressedDepth png", "truncated"),
        (HEADER + png_that_claims(100_000, 100_000), "16UC1; compressedDepth png", "claims"),
        (HEADER + coded(RGB, ".png"), "16UC1; compressedDepth png", "have 3 of 8"),
        (HEADER + coded(RGB[..., 0], ".png"), "16UC1; compressedDepth png", "have 1 of 8"),
        (HEADER + coded(DEPTH, ".png"), "32FC1; compressedDepth png", "a=0, b=0"),
        (coded(RGB, ".jpg"), "bgr8; jpeg compressed bgr8", "valid: one of 16UC1, mono16, 32FC1"),
        (coded(DEPTH, ".png"), "32FC1; png compressed", "compressedDepth"),
        (
            HEADER + coded(DEPTH, ".png"),
            "16UC1; compressedDepth zstd",
            "compressedDepth png, compressedDepth rvl",
        ),
        (HEADER + bytes(4), "16UC1; compressedDepth rvl", "8 bytes of size"),
        (HEADER + struct.pack("<II", 2**31, 2**31), "16UC1; compressedDepth rvl", "claims"),
        (HEADER + struct.pack("<II", 4, 3), "16UC1; compressedDepth rvl", "end after 0 of 12"),
        (HEADER + struct.pack("<II", 4, 3) + RVL_BYTES[:4], "16UC1; compressedDepth rvl", "RVL data"),
        (HEADER + struct.pack("<II", 5, 2) + RVL_BYTES, "16UC1; compressedDepth rvl", "do not fit 10 pixels"),
        (
            HEADER + struct.pack("<II", 4, 3) + b"\xff" * 40,
            "16UC1; compressedDepth rvl",
            "a number of 240 bits",
        ),
        (HEADER + struct.pack("<II", 4, 3) + bytes(40), "16UC1; compressedDepth rvl", "do not fit"),
    ],
)
def test_bad_depth_is_named(data, format, reason):
    with pytest.raises(ImageMessageError, match=reason) as raised:
        depth_of(compressed(data, format))
    assert len(str(raised.value)) < 300


def test_damaged_rvl_never_ends_in_another_error():
    for _ in range(300):
        data = RNG.integers(0, 256, RNG.integers(0, 60), np.uint8).tobytes()
        message = compressed(HEADER + struct.pack("<II", 4, 3) + data, "16UC1; compressedDepth rvl")
        with suppress(ImageMessageError):
            assert depth_of(message).shape == (3, 4)


def test_raw_messages_take_the_same_way_in():
    raw = Image(height=24, width=32, encoding="rgb8", step=96, data=RGB.tobytes())
    np.testing.assert_array_equal(picture_of(raw), RGB)
    raw = Image(height=24, width=32, encoding="16UC1", step=64, data=DEPTH.tobytes())
    np.testing.assert_array_equal(depth_of(raw), DEPTH)


def test_the_limit_admits_real_cameras():
    assert 9504 * 6336 < MAX_PIXELS < 2**30
