# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`python -m benchmarks.fuzz_engines`: engine folders with changed manifests and files, seeded, for as long as asked.

Each input is a sound engine of the embedded model with one to three changes in its manifest, which is then signed again
in most cases, as somebody who knows the format would; or with a file that is changed, gone, or something else than a
file. Everything that reads engines reads it: finding, listing, inspecting, verifying, opening, and an answer of what
opens. Nothing but a `MolmoError` may come of it, in bounded time and memory, and no file that is not what was built may
be opened. A failure prints the number that makes the same input again: --first N --count 1.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.fuzz_checkpoints import (
    MEGABYTES,
    SECONDS,
    attempted,
    changed_bytes,
    changed_json,
    grown,
    hostile,
    within,
)
from molmo_ros.cli.engines import add_parser
from molmo_ros.engine.build_plan import BuildPlan
from molmo_ros.engine.engine_build import build
from molmo_ros.engine.load import load_molmo
from molmo_ros.engine.store.engines_home import find_engines
from molmo_ros.engine.store.manifest import MANIFEST, Manifest
from molmo_ros.molmo.running.generation import GenerateOptions

NAME = "tiny-onnx-fp32"
PICTURE = np.zeros((120, 160, 3), np.uint8)
SIZES = (0, 1, 2, 63, 64, 1000, 1001, 2**31, 2**40, 2**63, 10**30)


def signed(raw: Any) -> Any:
    """The manifest with hashes that fit, as far as it still has a place for them."""
    if not isinstance(raw, dict):
        return raw
    if isinstance(raw.get("build"), dict):
        raw["build_sha256"] = _sha256(raw["build"])
    raw["sha256"] = _sha256({key: value for key, value in raw.items() if key != "sha256"})
    return raw


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def change_manifest(path: Path, values: random.Random) -> None:
    """One to three changes of the manifest, signed again or not."""
    raw = json.loads(path.read_text())
    for _ in range(values.choice((1, 1, 1, 2, 3))):
        if isinstance(raw, dict) and values.random() < 0.4:
            part = values.choice(("shapes", "shapes", "files", "quality", "versions", "build"))
            inner = raw.get(part)
            if isinstance(inner, dict) and inner:
                key = values.choice(sorted(inner))
                inner[key] = values.choice(SIZES) if values.random() < 0.6 else hostile(values)
                continue
        raw = changed_json(raw, values)
    if values.random() < 0.75:
        with contextlib.suppress(TypeError):  # keys of more than one kind have no order
            raw = signed(raw)
    path.write_text(json.dumps(raw), encoding="utf-8", errors="surrogatepass")


def change_file(path: Path, values: random.Random) -> None:
    """A file that is another, gone, or no file."""
    content = path.read_bytes()
    path.unlink()
    kind = values.randrange(8)
    if kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to(values.choice(("/etc/passwd", "nowhere", path.name)))
    elif kind == 3:
        os.mkfifo(path)
    elif kind == 4:
        path.write_bytes(content)
        path.chmod(values.choice((0o666, 0o777, 0o4755, 0o620)))
    elif kind > 4:
        changed = changed_bytes(content, values)
        path.write_bytes(changed)


def read(engine: Path) -> None:
    """Everything that reads engines."""
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    for words in (["list"], ["list", "--json"], ["inspect", NAME], ["inspect", NAME, "--json"], ["verify"]):
        args = parser.parse_args(["engines", *words])
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            assert args.run(args) in (0, 1, 2)
    find_engines()
    attempted(lambda: Manifest.read(engine))
    attempted(lambda: load_molmo("tiny", engine="onnx"))  # which engine is the newest
    molmo = attempted(lambda: load_molmo("tiny", engine="onnx", engine_path=NAME))
    if molmo is not None:
        attempted(lambda: molmo.ask(PICTURE, "which?", options=GenerateOptions(max_new_tokens=2)))


def failed(number: int, what: str, run: Callable[[], None]) -> bool:
    """Whether anything but an error of the package comes of it, which is printed."""
    try:
        with within(SECONDS):
            run()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        print(f"input {number}, {what}:", flush=True)
        traceback.print_exception(error, limit=-6, file=sys.stdout)
        return True
    return False


def main() -> int:
    """Changes and reads; returns 0 if nothing but errors of the package came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, metavar="N", help="inputs (default: 1000)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first (default: 0)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="molmo_ros-fuzz-") as root:
        os.environ["MOLMO_ROS_HOME"] = root
        built, _ = build(BuildPlan.make("tiny", "onnx"), [], [])
        sound = Path(root, "sound")
        built.rename(sound)
        shutil.copytree(sound, built, copy_function=os.link)
        read(built)
        before = grown()
        for number in range(args.first, args.first + args.count):
            values = random.Random(number)
            shutil.rmtree(built)
            built.mkdir(mode=0o700)
            for path in sound.iterdir():
                os.link(path, built / path.name)
            target = built / values.choice((*[MANIFEST] * 6, *sorted(path.name for path in sound.iterdir())))
            content = target.read_bytes()
            target.unlink()  # not the sound one, which it was a link to
            target.write_bytes(content)
            target.chmod(0o600)
            if target.name == MANIFEST and values.random() < 0.9:
                change_manifest(target, values)
            else:
                change_file(target, values)
            failures += failed(number, target.name, lambda: read(built))
            if (size := grown() - before) > MEGABYTES:
                failures += 1
                print(f"input {number}, {target.name}: {size} MB of memory", flush=True)
                before = grown()
    logging.disable(logging.NOTSET)
    print(f"{args.count} changed engines, {failures} failures, {grown() - before} MB more memory at most")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
