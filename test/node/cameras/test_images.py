# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Decoding against pictures that are encoded here by hand, or by OpenCV in the other direction."""

import array
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from molmo_ros.geometry import metres
from molmo_ros.node.cameras.images import (
    DEPTH_ENCODINGS,
    PICTURE_ENCODINGS,
    ImageMessageError,
    decode_picture,
    depth_view,
)

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3), np.uint8)


def message(pixels, encoding, width=None, height=None, padding=0, big_endian=sys.byteorder == "big"):
    """A message of an array [rows, ...], each row followed by padding bytes of 0xEE."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.hstack([rows, np.full((len(rows), padding), 0xEE, np.uint8)])
    return SimpleNamespace(
        width=width or pixels.shape[1],
        height=height or pixels.shape[0],
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=rows.shape[1],
        data=array.array("B", rows.tobytes()),
    )


def with_alpha(pixels):
    return np.dstack([pixels, np.full(pixels.shape[:2], 7, np.uint8)])


GRAY = RGB[..., 0]
COLORED = {
    "rgb8": (RGB, RGB),
    "bgr8": (RGB[..., ::-1], RGB),
    "8UC3": (RGB[..., ::-1], RGB),
    "rgba8": (with_alpha(RGB), RGB),
    "bgra8": (with_alpha(RGB[..., ::-1]), RGB),
    "8UC4": (with_alpha(RGB[..., ::-1]), RGB),
    "mono8": (GRAY, np.dstack([GRAY] * 3)),
    "8UC1": (GRAY, np.dstack([GRAY] * 3)),
    "mono16": (GRAY.astype(np.uint16) * 257, np.dstack([GRAY] * 3)),
    "16UC1": (GRAY.astype(np.uint16) * 257, np.dstack([GRAY] * 3)),
    "rgb16": (RGB.astype(np.uint16) * 257, RGB),
    "bgr16": (RGB[..., ::-1].astype(np.uint16) * 257, RGB),
    "16UC3": (RGB[..., ::-1].astype(np.uint16) * 257, RGB),
    "rgba16": (with_alpha(RGB).astype(np.uint16) * 257, RGB),
    "bgra16": (with_alpha(RGB[..., ::-1]).astype(np.uint16) * 257, RGB),
    "16UC4": (with_alpha(RGB[..., ::-1]).astype(np.uint16) * 257, RGB),
}


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", COLORED)
def test_exact_encodings_with_and_without_row_padding(encoding, padding):
    sent, expected = COLORED[encoding]
    decoded = decode_picture(message(sent, encoding, padding=padding))
    assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("encoding", ["mono16", "rgb16"])
def test_big_endian(encoding):
    sent, expected = COLORED[encoding]
    swapped = sent.astype(sent.dtype.newbyteorder(">"))
    np.testing.assert_array_equal(decode_picture(message(swapped, encoding, big_endian=True)), expected)


def test_every_sixteen_bit_value_is_scaled_and_rounded():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(values * (255 / 65535)).astype(np.uint8)
    np.testing.assert_array_equal(decode_picture(message(values, "mono16"))[..., 1], expected)


COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (250, 200, 30)]


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", ["yuyv", "yuv422_yuy2", "uyvy", "yuv422", "yvyu", "nv12", "nv21"])
def test_yuv_of_one_color(encoding, padding, color):
    """BT.601 in studio range, by its published formula."""
    r, g, b = (value / 255 for value in color)
    y = 16 + 65.481 * r + 128.553 * g + 24.966 * b
    u = 128 - 37.797 * r - 74.203 * g + 112.0 * b
    v = 128 + 112.0 * r - 93.786 * g - 18.214 * b
    y, u, v = (np.uint8(round(value)) for value in (y, u, v))
    if encoding.startswith("nv"):
        chroma = [u, v] if encoding == "nv12" else [v, u]
        sent = np.vstack([np.full((6, 8), y), np.tile(chroma, (3, 4))]).astype(np.uint8)
    else:
        pair = {"yuyv": [y, u, y, v], "yuv422_yuy2": [y, u, y, v], "yvyu": [y, v, y, u]}
        pair = pair.get(encoding, [u, y, v, y])
        sent = np.tile(np.array(pair, np.uint8), (6, 4))
    decoded = decode_picture(message(sent, encoding, width=8, height=6, padding=padding))
    assert decoded.shape == (6, 8, 3)
    np.testing.assert_allclose(decoded.astype(int), np.broadcast_to(color, (6, 8, 3)), atol=4)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_of_one_color(pattern, bits):
    channel = {"r": 200, "g": 120, "b": 40}
    tile = np.array([channel[name] for name in pattern], np.uint8).reshape(2, 2)
    sent = np.tile(tile, (6, 8))
    if bits == 16:
        sent = sent.astype(np.uint16) * 257
    decoded = decode_picture(message(sent, f"bayer_{pattern}{bits}"))
    np.testing.assert_allclose(
        decoded[2:-2, 2:-2].astype(int), np.broadcast_to((200, 120, 40), (8, 12, 3)), atol=1
    )


@pytest.mark.parametrize("layout", ["tight", "padded", "step of the whole"])
def test_nv24_has_a_colour_for_each_pixel(layout):
    """Columns in turn of two colours, which the formats with half of the colours cannot show."""
    yuv = []
    for r, g, b in ((1, 0, 0), (0, 0, 1)):  # BT.601 in studio range, by its published formula
        yuv.append(
            (
                16 + 65.481 * r + 128.553 * g + 24.966 * b,
                128 - 37.797 * r - 74.203 * g + 112.0 * b,
                128 + 112.0 * r - 93.786 * g - 18.214 * b,
            )
        )
    columns = np.rint(np.array(yuv * 3)).astype(np.uint8)  # [6, 3]
    luma, chroma = np.tile(columns[:, 0], (5, 1)), np.tile(columns[:, 1:].reshape(-1), (5, 1))
    if layout == "padded":  # V4L2: a row of the second plane is twice as long, padding included
        luma, chroma = np.pad(luma, ((0, 0), (0, 2))), np.pad(chroma, ((0, 0), (0, 4)))
    data = array.array("B", luma.tobytes() + chroma.tobytes())
    step = {"tight": 6, "padded": 8, "step of the whole": 18}[layout]
    sent = SimpleNamespace(width=6, height=5, encoding="nv24", is_bigendian=0, step=step, data=data)
    expected = np.broadcast_to([(255, 0, 0), (0, 0, 255)] * 3, (5, 6, 3))
    np.testing.assert_allclose(decode_picture(sent).astype(int), expected, atol=4)
    sent.data = data[:-20]
    with pytest.raises(ImageMessageError, match="nv24"):
        decode_picture(sent)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "rgb16", "bgr16", "rgba16", "bayer_rggb16"])
def test_samples_that_leave_upper_bits_empty_are_not_black(encoding, bits):
    """A camera of 10 bits sends 1023 for white."""
    full = np.rint(RGB * ((2**bits - 1) / 255)).astype(np.uint16)
    full[0, 0], full[-1, -1] = 2**bits - 1, 0
    if encoding in ("mono16", "16UC1", "bayer_rggb16"):
        full = full[..., 0]
    sent = full[..., ::-1] if encoding == "bgr16" else full
    sent = np.dstack([sent, np.full(sent.shape[:2], 65535, np.uint16)]) if encoding == "rgba16" else sent
    decoded = decode_picture(message(np.ascontiguousarray(sent), encoding))
    eight = np.rint(full * (255 / (2**bits - 1))).astype(np.uint8)
    if encoding == "bayer_rggb16":
        np.testing.assert_array_equal(decoded, decode_picture(message(eight, "bayer_rggb8")))
    else:
        expected = eight if eight.ndim == 3 else np.dstack([eight] * 3)
        np.testing.assert_allclose(decoded.astype(int), expected, atol=1)


def test_a_message_of_more_pixels_than_any_camera_has_is_refused():
    sent = SimpleNamespace(width=1 << 16, height=2000, encoding="mono8", is_bigendian=0, step=1 << 16)
    sent.data = np.broadcast_to(np.uint8(0), (1 << 27,))  # no memory is behind it
    with pytest.raises(ImageMessageError, match="65536x2000 px; valid: 1 to 100000000 px"):
        decode_picture(sent)


def test_every_encoding_is_tested_here():
    yuv = {"yuyv", "yuv422_yuy2", "uyvy", "yuv422", "yvyu", "nv12", "nv21", "nv24"}
    bayer = {f"bayer_{p}{bits}" for p in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)}
    assert set(PICTURE_ENCODINGS) == set(COLORED) | yuv | bayer


def test_rgb8_is_not_copied():
    sent = message(RGB, "rgb8")
    assert np.shares_memory(decode_picture(sent), np.frombuffer(sent.data, np.uint8))


def test_last_row_may_lack_its_padding():
    sent = message(RGB, "rgb8", padding=5)
    sent.data = sent.data[:-5]
    np.testing.assert_array_equal(decode_picture(sent), RGB)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoding": "rgb9"}, "valid: rgb8, bgr8"),
        ({"encoding": ""}, "valid: rgb8"),
        ({"encoding": "x" * 10_000}, "valid: rgb8"),
        ({"encoding": "32FC1"}, "is this the depth topic"),
        ({"width": 0}, "0x6"),
        ({"height": 0}, "8x0"),
        ({"step": 0}, "a row of 8 px in rgb8 takes 24 bytes"),
        ({"step": 23}, "step is 23"),
        ({"step": 25}, "needs 149"),
        ({"data": array.array("B", [1, 2])}, "data has 2 bytes"),
        ({"data": array.array("B")}, "data has 0 bytes"),
        ({"height": 2**32 - 1}, "needs 103079215080"),
        ({"encoding": "nv12", "height": 5}, "even size"),
        ({"encoding": "yuyv", "width": 7}, "even width"),
        ({"encoding": "bayer_rggb8", "height": 1}, "at least 2x2"),
    ],
)
def test_bad_messages_are_named(change, reason):
    sent = message(RGB, "rgb8")
    vars(sent).update(change)
    with pytest.raises(ImageMessageError, match=reason) as raised:
        decode_picture(sent)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("encoding", PICTURE_ENCODINGS)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3)])
def test_tiny_pictures_decode_or_are_refused(encoding, size):
    """No size ends in an error of OpenCV or numpy."""
    width, height = size
    sent = SimpleNamespace(width=width, height=height, encoding=encoding, is_bigendian=0, step=32)
    sent.data = array.array("B", bytes(32 * 8))
    try:
        assert decode_picture(sent).shape == (height, width, 3)
    except ImageMessageError as error:
        assert encoding in str(error)


def test_depth_in_millimetres_and_metres():
    values = np.array([[0, 1500, 65535], [1, 2, 3]], np.uint16)
    for encoding in ("16UC1", "mono16"):
        np.testing.assert_array_equal(depth_view(message(values, encoding, padding=3)), values)
    floats = np.array([[0.5, np.nan], [-1.0, np.inf]], np.float32)
    view = depth_view(message(floats, "32FC1", padding=4))
    np.testing.assert_array_equal(metres(view), [[0.5, np.nan], [np.nan, np.nan]])
    assert not {"rgb8", "8UC1"} & set(DEPTH_ENCODINGS)


def test_big_endian_depth():
    values = np.array([[1500, 2]], ">u2")
    np.testing.assert_allclose(metres(depth_view(message(values, "16UC1", big_endian=True))), [[1.5, 0.002]])
    values = np.array([[1.5, 2]], ">f4")
    np.testing.assert_allclose(metres(depth_view(message(values, "32FC1", big_endian=True))), [[1.5, 2]])


def test_depth_of_another_encoding_is_refused():
    with pytest.raises(ImageMessageError, match="valid: 16UC1, mono16, 32FC1"):
        depth_view(message(RGB, "rgb8"))


def test_opencv_agrees_on_a_random_nv12_picture():
    """OpenCV packs I420; rearranged to NV12 it must come back as OpenCV itself unpacks I420."""
    rgb = cv2.resize(RGB, (16, 12), interpolation=cv2.INTER_CUBIC)
    packed = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    u, v = packed[12:15].reshape(6, 8), packed[15:18].reshape(6, 8)
    nv12 = np.vstack([packed[:12], np.dstack([u, v]).reshape(6, 16)])
    decoded = decode_picture(message(nv12, "nv12", width=16, height=12))
    np.testing.assert_array_equal(decoded, cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420))
