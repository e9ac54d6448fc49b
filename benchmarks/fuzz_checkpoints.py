# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`python -m benchmarks.fuzz_checkpoints`: checkpoint folders with damaged files, seeded, for as long as asked.

Each input is a sound folder with one to three changes in one of its files: values of its JSON exchanged for wrong
ones, keys gone or doubled, or bytes flipped, cut out or put in. Nothing but a `MolmoError` may come of it, in bounded
time and memory. A failure prints the number that makes the same input again: --first N --count 1.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from molmo_ros.molmo.catalog.checksums import write_checksums
from molmo_ros.molmo.catalog.model_folder import ADAPTER, TENSORS
from molmo_ros.molmo.catalog.model_parts import read_image_processing, read_tokenizer, read_video_processing
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.part_check import check_parts
from molmo_ros.molmo.scoring.confidence_calibration import read_calibration
from molmo_ros.molmo.weights.checkpoint import load_checkpoint
from molmo_ros.molmo.weights.weight_files import INDEX, SINGLE

VECTORS = Path(__file__).parents[1] / "test" / "vectors"
SECONDS = 20
"""Most that one input may take, on a machine that does other things, too."""
MEGABYTES = 1000
"""Most by which the process may grow over all inputs."""
LONGEST_MESSAGE = 4000
NUMBERS = (0, -1, 1, 2, 3, 0.5, -0.0, 1e308, float("inf"), float("nan"), 2**15, 2**31, 2**53, 2**63, 10**400)
TEXTS = (
    "",
    "\0",
    "\ud800",
    "\x1b[2J",
    "a" * 5000,
    "../../x",
    "/etc/passwd",
    "nan",
    "True",
    "molmo",
    "<|endoftext|>",
    "\u202e",
)
OTHERS = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [{}],
    {"": {}},
    [1] * 5000,
    [None],
    {"content": 3},
    {"rope_type": "yarn"},
)


def hostile(values: random.Random) -> Any:
    """A value that is probably wrong wherever it stands."""
    kind = values.random()
    if kind < 0.45:
        return values.choice(NUMBERS)
    if kind < 0.65:
        return values.choice(TEXTS)
    if kind < 0.95:
        return values.choice(OTHERS)
    nested: Any = values.choice(NUMBERS)
    for _ in range(values.choice((3, 50, 300))):
        nested = [nested] if values.random() < 0.5 else {"a": nested}
    return nested


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON document with each of its keys; of long ones a few."""
    keys = (
        list(content)
        if isinstance(content, dict)
        else range(len(content))
        if isinstance(content, list)
        else ()
    )
    for key in list(keys)[:40] + list(keys)[-40:] if len(keys) > 80 else keys:
        yield content, key
        yield from places(content[key])


def changed_json(content: Any, values: random.Random) -> Any:
    """The document with one place changed."""
    there = list(places(content))
    if not there or values.random() < 0.02:
        return hostile(values)
    container, key = values.choice(there)
    what = values.random()
    if what < 0.6:
        container[key] = hostile(values)
    elif what < 0.75:
        del container[key]
    elif what < 0.9:
        other, its = values.choice(there)
        container[key] = json.loads(json.dumps(other[its]))
    elif isinstance(container, dict):
        container[values.choice(TEXTS)] = hostile(values)
    elif type(container[key]) in (int, float):
        container[key] = -container[key] + values.randrange(3)
    return content


def changed_bytes(content: bytes, values: random.Random) -> bytes:
    """The file with some bytes flipped, gone, doubled or put in, mostly near its beginning."""
    end = len(content) if values.random() < 0.3 else min(len(content), 4000)
    place = values.randrange(end + 1)
    length = values.choice((1, 1, 8, 300))
    what = values.random()
    if what < 0.4:
        return (
            content[:place] + values.randbytes(min(length, len(content) - place)) + content[place + length :]
        )
    if what < 0.6:
        return content[:place]
    if what < 0.8:
        return content[:place] + content[place + length :]
    return (
        content[:place]
        + values.choice((values.randbytes(length), b"[" * 20_000, b"\xff\xfe", content[:length]))
        + content[place:]
    )


def change(path: Path, values: random.Random) -> None:
    """Damages one file."""
    content = path.read_bytes()
    if values.random() < 0.25:
        path.write_bytes(changed_bytes(content, values))
    elif path.suffix == ".json":
        document = json.loads(content)
        for _ in range(values.choice((1, 1, 1, 2, 3))):
            document = changed_json(document, values)
        path.write_bytes(json.dumps(document).encode())
    elif path.suffix == ".safetensors":
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        for _ in range(values.choice((1, 1, 2, 3))):
            header = changed_json(header, values)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def sound_folders(root: Path) -> dict[str, Path]:
    """Folders to damage: one file or shards, with a tokenizer and settings, and an adapter."""
    folders = {}
    for variant in ("molmo2-4b-tiny", "molmoe-1b-tiny", "molmopoint-8b-tiny", "molmo-7b-d-tiny"):
        folder = root / variant
        folder.mkdir()
        shutil.copyfile(VECTORS / variant / "config.json", folder / "config.json")
        shutil.copyfile(VECTORS / variant / SINGLE, folder / SINGLE)
        for name in (
            "tokenizer.json",
            "tokenizer_config.json",
            "preprocessor_config.json",
            "processor_config.json",
        ):
            if variant == "molmo2-4b-tiny" or name.startswith("tokenizer"):
                shutil.copyfile(EMBEDDED / "tiny" / name, folder / name)
        (folder / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
        folders[variant] = folder
    shutil.copyfile(EMBEDDED / "tiny" / "calibration.json", folders["molmo2-4b-tiny"] / "calibration.json")
    shards = folders["shards"] = root / "shards"
    shutil.copytree(folders["molmo2-4b-tiny"], shards)
    tensors = load_file(shards / SINGLE)
    (shards / SINGLE).unlink()
    names, weight_map = sorted(tensors), {}
    for number in range(3):
        file = f"model-{number + 1:05}-of-00003.safetensors"
        save_file({name: tensors[name] for name in names[number::3]}, shards / file)
        weight_map |= dict.fromkeys(names[number::3], file)
    size = sum(value.nbytes for value in tensors.values())
    (shards / INDEX).write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": weight_map}))
    write_checksums(shards)
    lora = folders["adapter"] = root / "adapter"
    lora.mkdir()
    module = "model.transformer.blocks.0.self_attn.att_proj"
    rows, columns = tensors[f"{module}.weight"].shape
    parts = {"A": torch.ones(2, columns), "B": torch.ones(rows, 2)}
    save_file(
        {f"base_model.model.{module}.lora_{part}.weight": value for part, value in parts.items()},
        lora / TENSORS,
    )
    settings = {"peft_type": "LORA", "base_model_name_or_path": str(folders["molmo2-4b-tiny"]), "r": 2}
    settings |= {
        "lora_alpha": 4,
        "alpha_pattern": {"att_proj": 3},
        "rank_pattern": {"wq": 7},
        "modules_to_save": None,
    }
    (lora / ADAPTER).write_text(json.dumps(settings))
    return folders


def read(folder: Path) -> None:
    """Everything that loading a model reads from its folder, each part by itself, then whether the parts fit."""
    weights = attempted(lambda: load_checkpoint(folder))
    tokenizer = attempted(lambda: read_tokenizer(folder))
    images = attempted(lambda: ImageProcessor(read_image_processing(folder)).config)
    attempted(lambda: read_calibration(folder))
    if tokenizer is not None:
        attempted(lambda: tokenizer.decode(tokenizer.encode("a red cube, 3")))
    if images is not None:
        video = attempted(lambda: read_video_processing(folder, images))
        if None not in (weights, tokenizer, video):
            attempted(lambda: check_parts(weights.config, tokenizer, images, video))


def attempted(part: Callable[[], Any]) -> Any:
    """What comes of it; None for an error of the package, whose message has to be of a length that can be read."""
    try:
        return part()
    except MolmoError as error:
        if len(message := str(error)) > LONGEST_MESSAGE:
            raise AssertionError(f"a message of {len(message)} characters: {message[:300]}") from None
        return None


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raises where it takes longer."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"it takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def grown() -> int:
    """The most memory that this process has had [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> int:
    """Damages and reads; returns 0 if nothing but errors of the package came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000, metavar="N", help="inputs (default: 2000)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first (default: 0)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="molmo_ros-fuzz-") as root:
        folders = sound_folders(Path(root))
        for folder in folders.values():
            load_checkpoint(folder)  # they are sound
            read(folder)
        before = grown()
        for number in range(args.first, args.first + args.count):
            values = random.Random(number)
            kind, source = values.choice(sorted(folders.items()))
            folder = Path(root, "damaged")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for path in source.iterdir():
                os.link(path, folder / path.name)
            files = [path for path in sorted(folder.iterdir()) if path.stat().st_size]
            target = values.choice(files)
            content = target.read_bytes()
            target.unlink()  # not the sound one, which it was a link to
            target.write_bytes(content)
            change(target, values)
            try:
                with within(SECONDS):
                    read(folder)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                failures += 1
                print(f"input {number}, {target.name} of {kind}:", flush=True)
                traceback.print_exception(error, limit=-6, file=sys.stdout)
            if (size := grown() - before) > MEGABYTES:
                failures += 1
                print(f"input {number}, {target.name} of {kind}: {size} MB of memory", flush=True)
                before = grown()
    logging.disable(logging.NOTSET)
    print(f"{args.count} damaged folders, {failures} failures, {grown() - before} MB more memory at most")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
