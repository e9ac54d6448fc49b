# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`python -m benchmarks.bag_fuzz`: recorded bags with damaged files, seeded, for as long as asked.

Each input is a small sound bag (sqlite3 with its metadata.yaml, or MCAP, plain and compressed) with one to three
changes: bytes flipped, cut or put in, a file that is gone, or another in its place. All of it is read. Nothing but a
`BagError` may come of it, in bounded time and memory, and where messages are missing that is said. A failure prints the
number that makes the same input again: --first N --count 1.
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from benchmarks.fuzz_checkpoints import LONGEST_MESSAGE, MEGABYTES, changed_bytes, grown
from benchmarks.fuzz_engines import failed
from molmo_ros.bag.recorded_bag import BagError, RecordedBag

MESSAGES = 60
STRING = "std_msgs/msg/String"


def sound_bags(folder: Path) -> list[Path]:
    """Bags of `MESSAGES` messages on one topic, one in each format."""
    types = get_typestore(Stores.ROS2_JAZZY)
    bags = []
    for name, plugin, compressed in (
        ("sqlite", StoragePlugin.SQLITE3, False),
        ("mcap", StoragePlugin.MCAP, False),
        ("packed", StoragePlugin.MCAP, True),
    ):
        writer = Writer(folder / name, version=9, storage_plugin=plugin)
        if compressed:
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        with writer:
            topic = writer.add_connection("/said", STRING, typestore=types)
            for number in range(MESSAGES):
                words = types.types[STRING](f"{number} " * 20)
                writer.write(topic, number * 10**9, bytes(types.serialize_cdr(words, STRING)))
        bags.append(folder / name)
    return bags


def damage(bag: Path, values: random.Random) -> None:
    """One to three changes of a bag's files."""
    for _ in range(values.choice((1, 1, 1, 2, 3))):
        files = sorted(path for path in bag.iterdir() if path.is_file())
        if not files:
            return
        path = values.choice(files)
        kind = values.random()
        if kind < 0.85:
            path.write_bytes(changed_bytes(path.read_bytes(), values))
        elif kind < 0.92:
            path.unlink()
        else:
            path.write_bytes(values.choice(files).read_bytes())


def read(bag: Path) -> str:
    """Reads all of it.

    Returns:
        "whole", "part" where something is said to be lost, or "refused".

    Raises:
        AssertionError: Messages are missing, and nothing says so; or what is said is too long to be read.
    """
    try:
        with RecordedBag(bag) as opened:
            count = sum(1 for _ in opened.messages(opened.connections))
            said = [*opened.losses, *opened.notes]
            lost = bool(opened.losses)
    except BagError as error:
        said, count, lost = [str(error)], 0, True
    longest = max(map(len, said), default=0)
    assert longest <= LONGEST_MESSAGE, f"a message of {longest} characters: {max(said, key=len)[:300]}"
    assert count >= MESSAGES or said, f"{count} of {MESSAGES} messages, without a word"
    return "refused" if not count else "part" if lost else "whole"


def fuzz(first: int, count: int) -> tuple[dict[str, int], int]:
    """How often bags were read in whole, in part or not at all; and how many failures there were, which are printed."""
    outcomes, failures = {"whole": 0, "part": 0, "refused": 0}, 0
    with tempfile.TemporaryDirectory(prefix="molmo_ros-fuzz-") as root:
        sound = sound_bags(Path(root))
        for bag in sound:
            assert read(bag) == "whole"
        before = grown()
        for number in range(first, first + count):
            values = random.Random(number)
            bag = Path(root, "damaged")
            shutil.rmtree(bag, ignore_errors=True)
            shutil.copytree(values.choice(sound), bag)
            damage(bag, values)

            def once(bag: Path = bag) -> None:
                outcomes[read(bag)] += 1

            failures += failed(number, "bag", once)
            if (size := grown() - before) > MEGABYTES:
                failures += 1
                print(f"input {number}: {size} MB of memory", flush=True)
                before = grown()
    return outcomes, failures


def main() -> int:
    """Damages and reads; returns 0 if nothing but errors of the package came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=20_000, metavar="N", help="inputs (default: 20000)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first (default: 0)")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    outcomes, failures = fuzz(args.first, args.count)
    print(f"{args.count} damaged bags: {outcomes}; {failures} failures; at most {grown()} MB in all")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
