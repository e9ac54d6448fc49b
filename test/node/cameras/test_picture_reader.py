# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is said about a camera's pictures; frames written here by hand."""

import struct

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from molmo_ros.node.cameras.picture_reader import PictureReader

SCENE = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)


def frame(bits, scale=1.0, encoding="mono16"):
    """The scene as a camera of so many bits sends it."""
    samples = np.rint(SCENE * ((2**bits - 1) / 255 * scale)).astype(np.uint16)
    return Image(height=48, width=64, encoding=encoding, step=128, data=samples.tobytes())


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_the_bits_that_are_used_are_found_and_said_once(bits):
    reader = PictureReader()
    first, second = reader.read(frame(bits)), reader.read(frame(bits))
    for read in (first, second):
        np.testing.assert_allclose(read.pixels[..., 0].astype(int), SCENE, atol=1)
        assert f"read as {bits} bits" in read.note and "image_bits" in read.note
    assert first.news == first.note and second.news == ""


def test_brightness_does_not_flicker():
    """Frames whose largest values lie on both sides of a power of two are read alike."""
    reader = PictureReader()
    assert "read as 12 bits" in reader.read(frame(12)).news
    for scale in (0.49, 1.0, 0.2, 0.51):
        read = reader.read(frame(12, scale))
        np.testing.assert_allclose(read.pixels[..., 0], SCENE * scale, atol=1.5)
        assert read.news == ""


def test_a_larger_value_changes_it_and_that_is_news():
    reader = PictureReader()
    assert "read as 10 bits" in reader.read(frame(10)).news
    assert "read as 12 bits" in reader.read(frame(12)).news
    full = reader.read(frame(16))
    assert full.news == "" and full.note == ""


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_bits_that_are_given_hold_for_every_frame(bits):
    reader = PictureReader()
    for sent in (frame(10), frame(16), frame(10)):
        values = np.frombuffer(sent.data, np.uint16).reshape(48, 64)
        read = reader.read(sent, bits)
        expected = np.minimum(np.rint(values * (255 / (2**bits - 1))), 255)
        np.testing.assert_array_equal(read.pixels[..., 0], expected)
        assert read.news == ""
    assert (
        "nearly black" in reader.read(frame(10), 16).note
        and "image_bits = 16" in reader.read(frame(10), 16).note
    )


def test_sixteen_bit_png_is_read_like_the_raw_message():
    reader = PictureReader()
    samples = np.frombuffer(frame(12).data, np.uint16).reshape(48, 64)
    sent = CompressedImage(format="mono16; png compressed ", data=cv2.imencode(".png", samples)[1].tobytes())
    read = reader.read(sent)
    np.testing.assert_array_equal(read.pixels, PictureReader().read(frame(12)).pixels)
    assert "read as 12 bits" in read.news


def test_a_black_picture_is_named_each_time():
    reader = PictureReader()
    dark = Image(height=48, width=64, encoding="mono8", step=64, data=(SCENE // 20).tobytes())
    for _ in range(2):
        assert reader.read(dark).note == "the picture is nearly black: its largest value is 12 of 255"
    light = Image(height=48, width=64, encoding="mono8", step=64, data=SCENE.tobytes())
    assert reader.read(light).note == ""


def test_an_orientation_is_not_applied_and_said():
    jpeg = cv2.imencode(".jpg", SCENE)[1].tobytes()
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, 6, 0, 0)
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    reader = PictureReader()
    read = reader.read(CompressedImage(format="jpeg", data=turned))
    assert read.pixels.shape == (48, 64, 3)
    assert "EXIF orientation 6 is not applied" in read.news
    assert reader.read(CompressedImage(format="jpeg", data=jpeg)).note == ""
