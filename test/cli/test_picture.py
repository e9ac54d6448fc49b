# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import struct

import cv2
import numpy as np
import pytest

from benchmarks.crafted_pictures import chunk, tiff
from molmo_ros.cli.picture import is_picture, read_picture, write_picture
from molmo_ros.molmo.errors import ImageError

RED_LEFT = np.zeros((20, 30, 3), np.uint8)
RED_LEFT[:, :15] = (255, 0, 0)


def test_png_round_trip_is_exact_and_rgb(tmp_path):
    write_picture(tmp_path / "a.png", RED_LEFT)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), RED_LEFT)


def test_grey_and_transparent_pictures_become_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 6), 77, np.uint8))
    assert (read_picture(tmp_path / "grey.png") == 77).all()
    cv2.imwrite(str(tmp_path / "alpha.png"), np.full((4, 6, 4), 9, np.uint8))
    assert read_picture(tmp_path / "alpha.png").shape == (4, 6, 3)


# What is seen upright: red, green above blue, white. Stored as each orientation of EXIF (CIPA DC-008, 4.6.5) says
# where the stored rows and columns are: 1 "row 0 is the top, column 0 the left", 6 "row 0 is the right side, column 0
# the top", ...
UPRIGHT = np.array([["r", "g"], ["b", "w"], ["b", "w"]])
STORED = {
    1: ["rg", "bw", "bw"],
    2: ["gr", "wb", "wb"],
    3: ["wb", "wb", "gr"],
    4: ["bw", "bw", "rg"],
    5: ["rbb", "gww"],
    6: ["gww", "rbb"],
    7: ["wwg", "bbr"],
    8: ["bbr", "wwg"],
}
COLOURS = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255)}


def blocks(letters):
    return np.array([[COLOURS[c] for c in row] for row in letters], np.uint8).repeat(8, 0).repeat(8, 1)


def exif(orientation, order):
    """One directory of one field: tag 274, type SHORT, one value."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)
    return mark + entry


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff"])
def test_exif_orientation_is_applied_as_viewers_do(tmp_path, ending, orientation, order):
    path = tmp_path / f"turned.{ending}"
    stored = blocks(STORED[orientation])
    flags = {
        "jpg": (cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111),
        "webp": (64, 101),
    }
    data = cv2.imencode(f".{ending}", stored[..., ::-1], flags.get(ending, ()))[1].tobytes()
    said = exif(orientation, order)
    if ending == "jpg":
        body = b"Exif\0\0" + said
        data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    elif ending == "png":
        data = data[:33] + chunk(b"eXIf", said) + data[33:]
    elif ending == "webp":
        extended = b"\x08" + bytes(3) + (stored.shape[1] - 1).to_bytes(3, "little")
        extended += (stored.shape[0] - 1).to_bytes(3, "little")
        body = b"WEBPVP8X" + struct.pack("<I", 10) + extended + data[12:]
        body += b"EXIF" + struct.pack("<I", len(said)) + said + bytes(len(said) % 2)
        data = b"RIFF" + struct.pack("<I", len(body)) + body
    else:
        rgb = {"samples": 3, "order": order, "t274": orientation}
        data = tiff(stored.shape[1], stored.shape[0], stored.tobytes(), **rgb)
    path.write_bytes(data)
    np.testing.assert_allclose(read_picture(path).astype(int), blocks(UPRIGHT), atol=4)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15])
@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_samples_that_leave_upper_bits_empty_are_stretched_and_it_is_said(tmp_path, ending, bits):
    path, said = tmp_path / f"deep.{ending}", []
    ramp = np.arange(2**bits, dtype=np.uint16).reshape(-1, 64)
    cv2.imwrite(str(path), ramp)
    found = read_picture(path, said.append)
    np.testing.assert_array_equal(
        found, np.dstack([np.rint(ramp * (255 / (2**bits - 1))).astype(np.uint8)] * 3)
    )
    assert said == [f"{path}: its 16-bit values end at {2**bits - 1}: read as {bits} bits"]
    colours = np.dstack([ramp, ramp[::-1], ramp[:, ::-1]])
    cv2.imwrite(str(path), colours)
    np.testing.assert_allclose(
        read_picture(path, said.append) * ((2**bits - 1) / 255), colours[..., ::-1], atol=2**bits / 500
    )


def test_all_sixteen_bits_are_left_as_they_are(tmp_path):
    path, said = tmp_path / "full.png", []
    cv2.imwrite(str(path), RED_LEFT[..., ::-1].astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_picture(path, said.append), RED_LEFT)
    assert not said


def test_temperatures_are_stretched_from_the_smallest_to_the_largest(tmp_path):
    path, said = tmp_path / "thermal.tiff", []
    kelvin = np.linspace(29_000, 31_000, 24 * 32).reshape(24, 32)
    cv2.imwrite(str(path), kelvin.astype(np.uint16))
    assert read_picture(path, said.append)[[0, -1], [0, -1], 0].tolist() == [0, 255]
    cv2.imwrite(str(path), (kelvin / 100).astype(np.float32))
    assert read_picture(path, said.append)[[0, -1], [0, -1], 0].tolist() == [0, 255]
    assert "29000 is read as black and 31000 as white" in said[0] and "290 is read as black" in said[1]


def test_floating_numbers_from_black_to_white_are_not_black(tmp_path):
    path = tmp_path / "render.tiff"
    values = np.linspace(0.25, 0.75, 24 * 32, dtype=np.float32).reshape(24, 32)
    values[0, 5] = np.nan
    cv2.imwrite(str(path), values)
    found = read_picture(path, lambda text: None)
    assert found[[0, 0, -1], [0, 5, -1], 0].tolist() == [64, 0, 191]


def test_a_black_picture_is_said_to_be_black(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "night.png"), RED_LEFT // 64)
    read_picture(tmp_path / "night.png")
    assert "night.png is nearly black: its largest value is 3 of 255" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_image_is_refused_by_name(tmp_path, content):
    path = tmp_path / "notes.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="notes.png is not an image"):
        read_picture(path)


def test_missing_files_and_folders_are_refused_by_name(tmp_path):
    with pytest.raises(ImageError, match="no such image file.*gone.png"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="no such image file"):
        read_picture(tmp_path)
    with pytest.raises(ImageError, match="cannot read .*too long"):
        read_picture(tmp_path / ("a" * 5000))


@pytest.mark.parametrize(
    "name,reason", [("no/such/folder.png", "no folder"), ("picture.xyz", "picture format")]
)
def test_saving_where_it_cannot_be_is_refused(tmp_path, name, reason):
    with pytest.raises(ImageError, match=reason):
        write_picture(tmp_path / name, RED_LEFT)


def test_words_are_no_picture_and_a_picture_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cup").write_text("a text with the name of a thing")
    cv2.imwrite("a.png", RED_LEFT)
    assert is_picture("a.png") and is_picture(str(tmp_path / "a.png"))
    for words in ("cup", "red cube", "", ".", "a" * 5000, "a\0b"):
        assert not is_picture(words)
