# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures that claim more than they hold, each decoded in a process of its own whose memory is measured."""

import json
import struct
import subprocess
import sys
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from benchmarks.crafted_pictures import (
    SMALL,
    chunk,
    coded,
    crafted,
    jpeg_of,
    png,
    progressive,
    segment,
    tiff,
    webp_lossless,
    zeros,
)
from molmo_ros.pictures.coded_picture import PictureError
from molmo_ros.pictures.decode import Bounds, decode, look_through
from molmo_ros.pictures.tiff_directory import TiffDirectory

BOUNDS = Bounds(4_000_000, 40 << 20)


def read(data, bounds=BOUNDS):
    return decode(look_through(data), bounds)


FORKING = """
import json, os, resource, struct, sys
import cv2
from molmo_ros.pictures.coded_picture import PictureError
from molmo_ros.pictures.decode import Bounds, decode, look_through

cv2.setNumThreads(1)  # a fork has no other thread
bounds = Bounds(*map(int, sys.argv[1:]))
while header := sys.stdin.buffer.read(8):
    data = sys.stdin.buffer.read(*struct.unpack("Q", header))
    if os.fork() == 0:
        with open("/proc/self/statm") as statm:
            before = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        try:
            said = str(decode(look_through(data), bounds).shape)
        except PictureError as error:
            said = str(error)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps([(peak - before) >> 20, said]), flush=True)
        os._exit(0)
    if os.wait()[1]:
        print(json.dumps([0, ""]), flush=True)
"""


@pytest.fixture(scope="module")
def in_a_child():
    """Reads a picture in a process that did nothing before, where no earlier test has left memory free to take unseen.

    Returns the memory [MiB] that it took at its most, by the system's own count, and what it said.
    """
    command = [sys.executable, "-c", FORKING, *(str(bound) for bound in (BOUNDS.pixels, BOUNDS.memory))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as forking:

        def measured(data):
            forking.stdin.write(struct.pack("Q", len(data)) + data)
            forking.stdin.flush()
            return json.loads(forking.stdout.readline())

        yield measured


CRAFTED = crafted(light=True)
CRAFTED["jpeg: progressive, its colours at full size"] = coded(
    np.zeros((1800, 1800, 3), np.uint8),
    ".jpg",
    *(cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111),
)


@pytest.mark.parametrize("name", CRAFTED)
def test_no_picture_takes_more_memory_than_is_allowed_or_was_foreseen(in_a_child, name):
    data = CRAFTED[name]
    memory, said = in_a_child(data)
    assert said, "the child died"
    own = 8 + (
        2 * len(data) >> 20
    )  # the decoder's code and tables; the picture's bytes and what is left of them
    assert memory <= (BOUNDS.memory >> 20) + own, said
    if said.startswith("("):
        assert memory <= (look_through(data).memory >> 20) + own
    if " of nothing" in name or " GB" in name:
        assert "cannot hold" in said or "truncated" in said
        assert memory < 8


def test_decoders_get_nothing_to_unpack_but_pixels():
    bombs = CRAFTED["png: bombs in iCCP, zTXt, iTXt"]
    kept = look_through(bombs).data
    assert len(bombs) > 190_000 and len(kept) < 200
    assert not any(name in kept for name in (b"iCCP", b"zTXt", b"iTXt", b"tRNS"))
    fields = TiffDirectory.first(look_through(CRAFTED["tiff: 100000 values in a field"]).data)
    assert 256 in fields and 34665 not in fields


def test_what_would_take_more_is_refused():
    wide = png(1990, 1990, zeros(1990 * (1990 * 6 + 1)), 16, 2)
    # BGR, RGB and three coefficients of 16 bits for each pixel; a row of blocks more.
    progressive_colours = look_through(CRAFTED["jpeg: progressive, its colours at full size"])
    assert 0 <= progressive_colours.memory - 1800 * 1800 * (3 + 3 + 3 * 2) < 1800 * 256
    with pytest.raises(PictureError, match="takes 45 MiB to decode; valid: up to 40 MiB"):
        read(wide)


def test_the_measure_sees_memory(in_a_child):
    """What is allowed to decode does take what its pixels take."""
    memory, said = in_a_child(png(2000, 1900, zeros(1900 * 6001)))
    assert said == "(1900, 2000, 3)" and memory >= 10


# --- what is there is read, whatever stands around it ---------------------------------------------------------------


def test_markers_without_a_length_hide_nothing():
    """libjpeg skips TEM and RSTn; a reader that takes a length after them lands in the comment."""
    inner = struct.pack(">BHHB", 8, 2, 2, 3) + b"\x01\x11\0\x02\x11\0\x03\x11\0"
    for marker in (
        b"\xff\x01",
        b"\xff\xd0",
        b"\xff\xd7",
        b"\xff\xff\xff",
        segment(0xFE) + b"stray bytes",
        b"\xff\0",
    ):
        data = jpeg_of(32, 24, before=marker + segment(0xFE, segment(0xC0, inner)))
        picture = look_through(data)
        assert (picture.width, picture.height) == (32, 24)
        np.testing.assert_array_equal(
            read(data), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        )
        with pytest.raises(PictureError, match="claims 32x65000 px|cannot hold"):
            read(jpeg_of(32, 65_000, before=marker + segment(0xFE, segment(0xC0, inner))))


def test_a_thumbnail_is_not_the_picture():
    thumbnail = coded(SMALL[:8, :8], ".jpg")
    for data in (
        jpeg_of(32, 24, before=segment(0xE1, b"Exif\0\0" + thumbnail)),
        jpeg_of(32, 24, before=segment(0xE0, b"JFXX\0\x10" + thumbnail)),
    ):
        assert read(data).shape == (24, 32, 3)


def test_what_opencv_writes_is_read_as_opencv_reads_it():
    rng = np.random.default_rng(0)
    colours = cv2.GaussianBlur(rng.integers(0, 256, (61, 83, 3), np.uint8), (0, 0), 3)
    gray, wide = colours[..., 0], colours.astype(np.uint16) * 257
    clear = np.dstack([colours, gray])
    quality, chroma = cv2.IMWRITE_JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR
    cases = [
        (
            image,
            ".jpg",
            (cv2.IMWRITE_JPEG_PROGRESSIVE, p, cv2.IMWRITE_JPEG_RST_INTERVAL, r, chroma, s, quality, q),
        )
        for image in (colours, gray)
        for p in (0, 1)
        for r in (0, 3)
        for s in (0x411111, 0x111111, 0x221111)
        for q in (5, 100)
    ]
    cases += [
        (image, ".png", (cv2.IMWRITE_PNG_COMPRESSION, c)) for image in (colours, gray, wide) for c in (0, 9)
    ]
    cases += [
        (image, ".webp", (cv2.IMWRITE_WEBP_QUALITY, q)) for image in (colours, clear) for q in (50, 101)
    ]
    cases += [
        (image, ".tiff", (cv2.IMWRITE_TIFF_COMPRESSION, c))
        for image in (colours, gray, wide, wide[..., 0], wide[..., 0].astype(np.float32))
        for c in (1, 5, 8, 32773)
        if not (c == 32773 and image.dtype == np.float32)
    ]
    for image, extension, flags in cases:
        data = coded(image, extension, *flags)
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
        found = read(data)
        assert found.dtype == image.dtype
        np.testing.assert_array_equal(found, expected, f"{extension} {flags} {image.shape}")


def test_chunks_that_decide_no_pixel_change_none():
    rows = b"".join(b"\0" + bytes([row, 100, 200] * 5) for row in range(4))
    plain = png(5, 4, zlib.compress(rows))
    extra = (
        chunk(b"gAMA", struct.pack(">I", 10_000))
        + chunk(b"tEXt", b"k\0v")
        + chunk(b"iCCP", b"p\0\0" + zeros(99))
    )
    decorated = png(5, 4, zlib.compress(rows), extra=extra)
    np.testing.assert_array_equal(read(decorated), read(plain))
    np.testing.assert_array_equal(read(plain)[:, 0], [[200, 100, row] for row in range(4)])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("samples", [1, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_by_hand(order, samples, bits):
    kind = np.dtype(f"{order}u{bits // 8}")
    pixels = np.arange(5 * 7 * samples).reshape(5, 7, samples) * (256 ** (bits // 8) // 200)
    more = {"t338": 0} if samples == 4 else {}
    found = read(tiff(7, 5, pixels.astype(kind).tobytes(), samples=samples, bits=bits, order=order, **more))
    expected = pixels[..., 0] if samples == 1 else pixels[..., 2::-1]
    np.testing.assert_array_equal(found, expected)


def test_a_tiff_of_a_palette():
    tile = np.arange(256, dtype=np.uint8)
    reds, greens, blues = (tuple(v << 8 for v in one) for one in (range(256), [7] * 256, range(255, -1, -1)))
    palette = tiff(16, 16, tile.tobytes(), samples=1, t262=3, t320=reds + greens + blues)
    np.testing.assert_array_equal(read(palette)[0, :3], [[255, 7, 0], [254, 7, 1], [253, 7, 2]])


BAD = {
    "truncated: its chunk 'IDAT' claims": coded(SMALL, ".png")[:60],
    "must be, once, first": coded(SMALL, ".png")[:8] + chunk(b"IDAT", b"") + coded(SMALL, ".png")[8:],
    "of no known kind": png(2, 2, zeros(14), extra=chunk(b"ABCD", b"")),
    "colour type 5": png(2, 2, zeros(14), color=5),
    "colour type 3 with 16": png(2, 2, zeros(14), bits=16, color=3),
    "more than 2x2 px can need": png(2, 2, bytes(9000)),
    "other chunks stand between": png(2, 2, b"x", extra=chunk(b"IDAT", b"x") + chunk(b"tEXt", b"")),
    "SOF9": coded(SMALL, ".jpg").replace(b"\xff\xc0", b"\xff\xc9"),
    "SOF3": coded(SMALL, ".jpg").replace(b"\xff\xc0", b"\xff\xc3"),
    "12 bits per sample": coded(SMALL, ".jpg").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
    "two frame headers": jpeg_of(
        32, 24, before=segment(0xC0, struct.pack(">BHHB", 8, 9, 9, 1) + b"\x01\x11\0")
    ),
    "a segment claims 1 bytes": jpeg_of(32, 24, before=segment(0xFE, length=1)),
    "reaches past": jpeg_of(32, 24, before=segment(0xFE, length=65_535)),
    "marker FF 10": jpeg_of(32, 24, before=b"\xff\x10"),
    "before its frame header": b"\xff\xd8" + segment(0xDA, b"\x01\x01\0\0\x3f\0") + b"\xff\xd9",
    "ends before its first scan": b"\xff\xd8\xff\xfe\0\2\xff\xd9",
    "has no end": coded(SMALL, ".jpg")[:-2],
    "200 scans or more|101 scans": progressive(64, 64, 200),
    "more than 10000 segments": jpeg_of(32, 24, before=segment(0xFE) * 10_001),
    "is an animation": b"RIFF" + struct.pack("<I", 12) + b"WEBPANIM" + bytes(4),
    "no key frame": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8 " + struct.pack("<I", 10) + bytes(10),
    "claims 16383x1000 px in 2. bytes": webp_lossless(16383, 1000),
    "the WebP is truncated": webp_lossless(8, 8)[:-4],
    "compression 7": tiff(2, 2, bytes(12), compression=7),
    "colours of kind 6": tiff(2, 2, bytes(12), t262=6),
    "a plane of its own": tiff(2, 2, bytes(12), t284=2),
    "samples of 4 bits": tiff(2, 2, bytes(12), bits=4),
    "stored in tiles": tiff(16, 16, bytes(768), t322=16, t323=16, t324=8, t325=768),
    "it has 1 strips": tiff(2, 200, bytes(1200), rows=2),
    "a strip of it reaches past": tiff(2, 2, bytes(12), claimed=1000),
    "which 12 bytes of coded data": tiff(20, 20, bytes(12)),
    "field 262 is missing": tiff(2, 2, bytes(12)).replace(
        struct.pack("<HHI", 262, 3, 1), struct.pack("<HHI", 263, 3, 1)
    ),
    "outside of its": b"II*\0" + struct.pack("<I", 4_000_000_000),
    "a GIF": b"GIF89a" + bytes(20),
    "a BigTIFF": b"II+\0" + bytes(20),
    "an AVIF": bytes(4) + b"ftypavif" + bytes(20),
    "a piece of a video stream": b"\0\0\0\x01\x67" + bytes(20),
    "is empty": b"",
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_pictures_are_named(reason):
    with pytest.raises(PictureError, match=reason) as raised:
        read(BAD[reason])
    assert len(str(raised.value)) < 250


def test_truncation_anywhere_is_refused():
    """Of no picture does a part pass for the whole."""
    gray = SMALL[..., 0]
    whole = [
        coded(SMALL, ".jpg"),
        coded(SMALL, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        coded(SMALL, ".png"),
        coded(SMALL, ".webp"),
        tiff(32, 24, gray.tobytes(), samples=1),
    ]
    for data in whole:
        assert read(data).shape[:2] == (24, 32)
        # A TIFF's last four bytes say where its next picture is.
        for length in range(0, len(data) - (4 if data[:2] == b"II" else 1), 3):
            with pytest.raises(PictureError):
                read(data[:length])


def test_messages_of_ros_are_read_by_the_same_bounds():
    from molmo_ros.node.cameras.compressed_images import BOUNDS as MESSAGE_BOUNDS
    from molmo_ros.node.cameras.compressed_images import decode_compressed_picture

    assert MESSAGE_BOUNDS.memory == 1 << 30
    message = SimpleNamespace(format="png", data=png(10_000, 10_000, zeros(100)))
    with pytest.raises(ValueError, match="cannot hold"):
        decode_compressed_picture(message)
