# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Damaged and hostile pictures, compressed and raw: each is a picture or an ImageMessageError, in bounded memory.

`python -m benchmarks.picture_fuzz --cases 100000` mutates real pictures of every kind by a seed and decodes them as the
node does, in processes of their own, whose memory the system counts; then those of `crafted_pictures.py`, which are
meant to cost memory or time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from benchmarks.crafted_pictures import coded, crafted
from molmo_ros.node.cameras.compressed_images import BOUNDS
from molmo_ros.node.cameras.image_transport import depth_of, picture_of
from molmo_ros.node.cameras.images import DEPTH_ENCODINGS, PICTURE_ENCODINGS, ImageMessageError

BATCH = 500
ALLOWED = BOUNDS.memory + (64 << 20)
"""Memory that a process may take for a message besides twice the message: the bound, and the decoders themselves."""
_EXTREMES = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
# Twelve pixels as image_transport's own RVL encoder writes them, after their size.
_RVL = struct.pack("<II", 4, 3) + bytes.fromhex("4ae58f24ff3baf89ed2e31ff00003020")
_DEPTH_HEADER = struct.pack("<iff", 0, 1.0, 0.0)


def real_pictures():
    """(format, data) of what encoders write: OpenCV's libjpeg-turbo, libpng, libwebp and libtiff, and RVL."""
    rng = np.random.default_rng(1)
    colours = cv2.GaussianBlur(rng.integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 2)
    gray, wide = colours[..., 0], colours.astype(np.uint16) << 4
    found = [
        (
            "bgr8; jpeg compressed bgr8",
            coded(image, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, p, cv2.IMWRITE_JPEG_RST_INTERVAL, r),
        )
        for image in (colours, gray)
        for p in (0, 1)
        for r in (0, 2)
    ]
    for image in (colours, gray, wide, wide[..., 0], np.dstack([colours, gray])):
        found += [("rgb8; png compressed bgr8", coded(image, ".png")), ("tiff", coded(image, ".tiff"))]
        if image.dtype == np.uint8:
            found += [("webp", coded(image, ".webp", cv2.IMWRITE_WEBP_QUALITY, q)) for q in (60, 101)]
    found.append(("bayer_rggb16; png compressed ", coded(wide[..., 0], ".png")))
    found += [
        ("16UC1; compressedDepth png", _DEPTH_HEADER + coded(wide[..., 0], ".png")),
        ("32FC1; compressedDepth png", _DEPTH_HEADER + coded(wide[..., 0], ".png")),
        ("16UC1; compressedDepth rvl", _DEPTH_HEADER + _RVL),
        ("32FC1; compressedDepth rvl", _DEPTH_HEADER + _RVL),
        ("16UC1; png compressed ", coded(wide[..., 0], ".png")),
        ("32FC1; tiff compressed ", coded(gray.astype(np.float32), ".tiff")),
    ]
    return found


def mutated(data, others, rng):
    """The bytes with one to four changes of the kinds that break parsers."""
    data = bytearray(data)
    gentle = rng.random() < 0.3  # so that decoders get to the end of many
    for _ in range(1 if gentle else rng.integers(1, 5)):
        size, at = len(data), int(rng.integers(0, len(data) + 1))
        match 0 if gentle else int(rng.integers(0, 7)):
            case 0:  # some bytes are others
                for place in rng.integers(0, max(size, 1), rng.integers(1, 9)):
                    data[place : place + 1] = rng.bytes(1)
            case 1:  # a number is extreme
                width = int(rng.choice([1, 2, 4]))
                value = int(rng.choice(_EXTREMES)) & ((1 << 8 * width) - 1)
                data[at : at + width] = value.to_bytes(width, str(rng.choice(["little", "big"])))
            case 2:  # it ends early
                del data[at:]
            case 3:  # a part is missing
                del data[at : at + int(rng.integers(1, 65))]
            case 4:  # a part comes again
                part = data[at : at + int(rng.integers(1, 257))]
                data[at:at] = part * int(rng.integers(1, 17))
            case 5:  # a part of another picture
                other = others[rng.integers(len(others))][1]
                start = int(rng.integers(0, len(other)))
                data[at : at + 32] = other[start : start + int(rng.integers(1, 129))]
            case 6:  # noise is put in
                data[at:at] = rng.bytes(int(rng.integers(1, 65)))
        if not data:
            return b""
    return bytes(data)


def compressed_case(rng, pictures):
    """A damaged sensor_msgs/CompressedImage."""
    format, data = pictures[rng.integers(len(pictures))]
    if rng.random() < 0.1:
        format = pictures[rng.integers(len(pictures))][0]
    return SimpleNamespace(format=format, data=mutated(data, pictures, rng))


def raw_case(rng):
    """A sensor_msgs/Image whose fields do not go together."""
    encodings = (*PICTURE_ENCODINGS, *DEPTH_ENCODINGS, "rgb9", "")
    width, height = (int(rng.integers(0, 40)) for _ in range(2))
    message = SimpleNamespace(
        width=width,
        height=height,
        encoding=str(rng.choice(encodings)),
        is_bigendian=int(rng.integers(0, 2)),
        step=width * int(rng.choice([1, 2, 3, 4, 6, 8])) + int(rng.choice([0, 0, 1, 5])),
        data=b"",
    )
    size = message.step * height * int(rng.choice([1, 1, 1, 2, 3])) + int(rng.choice([0, 0, -3, 7]))
    message.data = rng.bytes(max(size, 0))
    if rng.random() < 0.5:
        setattr(message, str(rng.choice(["width", "height", "step"])), int(rng.choice(_EXTREMES)))
    return message


def decode(message):
    """What becomes of a message as a picture and as depth, in a word each.

    Raises:
        AssertionError: The result is none of what is promised.
    """
    said = []
    for read in (picture_of, depth_of):
        try:
            pixels = read(message)
        except ImageMessageError as error:
            assert len(str(error)) < 800, f"{len(str(error))} characters of reason"
            said.append("refused")
            continue
        if read is picture_of:
            assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3, pixels.shape
        else:
            assert pixels.ndim == 2 and pixels.dtype.newbyteorder("=") in (np.uint16, np.float32), (
                pixels.dtype
            )
        said.append("read")
    return tuple(said)


def run_batch(cases):
    """Decodes messages in a child: what became of them, the longest time [s], the most memory [bytes].

    Raises:
        AssertionError: The child died, or a message led to anything but a picture or an ImageMessageError.
    """
    ours, theirs = os.pipe()
    if (child := os.fork()) == 0:
        os.close(ours)
        answer = {"counts": {}, "seconds": 0.0, "memory": 0, "fault": "", "slowest": -1}
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 2)  # the decoders complain about every one
        before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        counts: Counter[str] = Counter()
        for index, message in enumerate(cases):
            begin = time.perf_counter()
            os.write(theirs, struct.pack("<i", index))
            try:
                counts[" ".join(decode(message))] += 1
            except BaseException as error:
                answer["fault"] = f"case {index}: {type(error).__name__}: {error}"
                break
            elapsed = time.perf_counter() - begin
            if elapsed > answer["seconds"]:
                answer |= {"seconds": elapsed, "slowest": index}
        answer["counts"] = dict(counts)
        answer["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        os.write(theirs, struct.pack("<i", -1) + json.dumps(answer).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    at = said.find(struct.pack("<i", -1))
    assert at >= 0, f"the process died in case {len(said) // 4 - 1}"
    answer = json.loads(said[at + 4 :])
    assert not answer["fault"], answer["fault"]
    largest = max(len(message.data) for message in cases)
    assert answer["memory"] <= ALLOWED + 2 * largest, f"{answer['memory'] >> 20} MiB"
    return answer


def fuzz(cases, seed, batch=BATCH):
    """Counts, the longest time of a case [s] and the most memory of a batch [bytes] over so many mutated messages."""
    cv2.setNumThreads(1)
    pictures = real_pictures()
    counts: Counter[str] = Counter()
    seconds, memory = 0.0, 0
    for number in range(-(-cases // batch)):
        rng = np.random.default_rng([seed, number])
        messages = [
            raw_case(rng) if rng.random() < 0.2 else compressed_case(rng, pictures)
            for _ in range(min(batch, cases - number * batch))
        ]
        try:
            answer = run_batch(messages)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, batch {number}: {error}") from error
        counts.update(answer["counts"])
        seconds, memory = max(seconds, answer["seconds"]), max(memory, answer["memory"])
    return counts, seconds, memory


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-crafted", action="store_true", help="leave out those that are meant to cost")
    args = parser.parse_args(arguments)
    begin = time.perf_counter()
    counts, seconds, memory = fuzz(args.cases, args.seed)
    total = time.perf_counter() - begin
    print(f"{args.cases} mutated messages in {total:.0f} s, seed {args.seed}: no crash, no other error")
    for said, count in sorted(counts.items()):
        picture, depth = said.split()
        print(f"  {count:8}  as a picture {picture}, as depth {depth}")
    print(
        f"  longest {seconds * 1e3:.0f} ms, most memory {memory >> 20} MiB (of a process of {BATCH} messages)"
    )
    if args.no_crafted:
        return
    print("\n| crafted picture | bytes | memory [MiB] | time [s] | |\n|---|---|---|---|---|")
    for name, data in crafted().items():
        answer = run_batch([SimpleNamespace(format="x", data=data)])
        said = next(iter(answer["counts"])).split()[0]
        print(f"| {name} | {len(data)} | {answer['memory'] >> 20} | {answer['seconds']:.2f} | {said} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
