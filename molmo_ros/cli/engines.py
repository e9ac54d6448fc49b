# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros engines list|inspect|verify|remove`: the engines that were built on this machine.

An engine is named as in `molmo-ros engines list`, or by its folder. `verify` looks at owners and modes, reads every
file again and compares its hash. Nothing here loads an engine.

Exit codes: 0 done, and what was verified is as it was built; 1 an engine is not, or was not removed after asking;
2 there is no such engine, or it cannot be read.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from molmo_ros.cli.printable import aligned, complain, printable, say
from molmo_ros.engine.errors import EngineError, EngineMismatchError, system_errors
from molmo_ros.engine.runtime_table import RUNTIMES
from molmo_ros.engine.store.build_folder import remove_engine
from molmo_ros.engine.store.compatibility import check_engine
from molmo_ros.engine.store.driver import gpu_capability
from molmo_ros.engine.store.engines_home import engines_home, find_engine, find_engines
from molmo_ros.engine.store.manifest import Manifest
from molmo_ros.engine.store.verified_files import verify_files
from molmo_ros.engine.tensorrt.module import advice, installed_version
from molmo_ros.molmo.errors import MolmoError

COLUMNS = ("name", "model", "target", "precision", "crops", "context", "size", "quality", "runs here")


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; `args.run` runs it."""
    parser = subparsers.add_parser(
        "engines",
        help="list, inspect, verify and remove engines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="all engines, and whether they run on this machine")
    listing.set_defaults(run=run, act=list_engines)
    inspect = actions.add_parser("inspect", help="everything about one")
    inspect.set_defaults(run=run, act=inspect_engine)
    verify = actions.add_parser("verify", help="owners, modes and hashes; of one, or of all")
    verify.set_defaults(run=run, act=verify_engines)
    remove = actions.add_parser("remove", help="delete one")
    remove.set_defaults(run=run, act=ask_and_remove)
    for action in (inspect, remove):
        action.add_argument(
            "engine", metavar="ENGINE", help="a name of `molmo-ros engines list`, or a folder"
        )
    verify.add_argument("engine", metavar="ENGINE", nargs="?", help="only this one")
    for action in (listing, inspect, verify):
        action.add_argument("--json", action="store_true", help="print one JSON object")
    remove.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> int:
    """Does what was asked for; returns the exit code."""
    try:
        return int(args.act(args))
    except MolmoError as error:
        complain(error)
        return 2


def list_engines(args: argparse.Namespace) -> int:
    """One line per engine, and why some cannot be used."""
    found = find_engines()
    if args.json:
        engines = [
            _plain(folder, one) if isinstance(one, Manifest) else _broken(folder, one)
            for folder, one in found
        ]
        print(json.dumps({"home": str(engines_home()), "engines": engines}))
        return 0
    if not found:
        say(f"no engines in {engines_home()}; molmo-ros build MODEL --target TARGET makes one")
        return 0
    rows: list[tuple[str, ...]] = [COLUMNS]
    notes: list[str] = []
    for folder, one in found:
        reason = why_not(one) if isinstance(one, Manifest) else str(one)
        rows.append(_row(folder, one if isinstance(one, Manifest) else None, reason))
        notes += [printable(f"{folder.name}: {reason}")] if reason else []
    say("\n".join(aligned(rows) + ([""] if notes else []) + notes))
    return 0


def inspect_engine(args: argparse.Namespace) -> int:
    """Everything that the manifest says."""
    folder = find_engine(args.engine)
    manifest = Manifest.read(folder)
    say(json.dumps(_plain(folder, manifest)) if args.json else details(folder, manifest))
    return 0


def verify_engines(args: argparse.Namespace) -> int:
    """Compares files with manifests; 1 where an engine is not what was built."""
    folders = [find_engine(args.engine)] if args.engine is not None else [one for one, _ in find_engines()]
    wrong = {}
    for folder in folders:
        try:
            verify_files(folder, Manifest.read(folder))
        except EngineError as error:
            wrong[folder] = str(error)
        if not args.json:
            say(f"{printable(folder.name)}: {printable(wrong.get(folder, 'as it was built'))}")
            sys.stdout.flush()
    if args.json:
        results = [
            {
                "name": folder.name,
                "folder": str(folder),
                "good": folder not in wrong,
                "error": wrong.get(folder),
            }
            for folder in folders
        ]
        print(json.dumps({"engines": results}))
    elif not folders:
        say(f"no engines in {engines_home()}")
    return 1 if wrong else 0


def ask_and_remove(args: argparse.Namespace) -> int:
    """Deletes an engine, after asking."""
    folder = find_engine(args.engine)
    if folder.parent != engines_home():
        Manifest.read(folder)  # elsewhere it must be an engine beyond doubt
    with system_errors(f"{folder} cannot be read"):
        size = _size(sum(path.lstat().st_size for path in folder.iterdir()))
    if not args.yes:
        if not sys.stdin.isatty():
            raise EngineError(f"{folder} ({size}) was not removed: nobody can be asked here, so say --yes")
        print(f"remove {printable(folder)} ({size})? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 1
    remove_engine(folder)
    say(f"removed {folder} ({size})")
    return 0


def why_not(manifest: Manifest) -> str | None:
    """Why this machine cannot run an engine; None where it can, as far as can be told without running it."""
    runtime = RUNTIMES[manifest.runtime]
    package = runtime.package
    if not runtime.gpu:
        missing = importlib.util.find_spec(package) is None
        return f"{package} is not installed: pip install {package}" if missing else None
    version, capability = installed_version(package), gpu_capability()
    try:
        check_engine(manifest, runtime_version=version, compute_capability=capability)
    except EngineMismatchError as error:
        return str(error)
    if capability is None:
        return f"it needs a GPU of compute capability {manifest.compute_capability}, and CUDA sees none"
    return None if version else f"{package} is not installed. {advice(package)}"


def details(folder: Path, manifest: Manifest) -> str:
    """All about one engine."""
    shapes = manifest.shapes
    gpu = f", on compute capability {manifest.compute_capability}" if manifest.compute_capability else ""
    facts = {
        "folder": folder,
        "model": manifest.model,
        "target": f"{manifest.target}: run by {manifest.runtime}{gpu}",
        "runs here": why_not(manifest) or "yes",
        "precision": f"{manifest.precision}, computed in {manifest.dtype}",
        "images": f"max_crops {shapes.max_crops}, {shapes.max_image_tokens} image tokens"
        + (f" of {shapes.slots} patches" if shapes.slots else ""),
        "context": f"{shapes.max_context} tokens; in one pass {shapes.max_prompt}, of which {shapes.max_logits} scored",
        "quality": quality_text(manifest.quality),
        "built": f"{manifest.created}, with " + ", ".join(f"{k} {v}" for k, v in manifest.versions.items()),
        "checkpoint": f"SHA-256 {manifest.checkpoint_sha256}",
        "build": f"SHA-256 {manifest.build_sha256}",
        "again": manifest.command,
    }
    lines = [printable(folder.name), *(f"  {name:<12}{printable(value)}" for name, value in facts.items())]
    lines += [f"  files       {_size(manifest.size)}"]
    lines += [f"    {name:<16}{_size(file.size):>9}  {file.sha256}" for name, file in manifest.files.items()]
    for title, values in (("configuration", manifest.build), ("quality", manifest.quality or {})):
        lines += [f"  {title}"] if values else []
        lines += [f"    {printable(key)}: {_text(value)}" for key, value in values.items()]
    return "\n".join(lines)


def quality_text(quality: Mapping[str, Any] | None) -> str:
    """The quality gate's figures in a few words."""
    if quality is None:
        return "not measured"
    answers, identical, drift = quality.get("answers"), quality.get("identical"), quality.get("drift_px")
    counted = type(answers) is int and type(identical) is int and max(answers, identical) < 1e9
    words = (
        f"{identical}/{answers} same" if counted else "network only" if "network" in quality else "measured"
    )
    far = drift.get("95%") if isinstance(drift, dict) else None
    known = isinstance(far, int | float) and 0 <= far < 1e6
    return f"{words}, {far:.1f} px" if known else words


def _row(folder: Path, manifest: Manifest | None, reason: str | None) -> tuple[str, ...]:
    if manifest is None:
        return (printable(folder.name), *["?"] * (len(COLUMNS) - 2), "no")
    return (
        printable(folder.name),
        manifest.model,
        manifest.target,
        manifest.precision,
        str(manifest.shapes.max_crops),
        str(manifest.shapes.max_context),
        _size(manifest.size),
        quality_text(manifest.quality),
        "no" if reason else "yes",
    )


def _plain(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """An engine as JSON has it; its name is its folder's."""
    plain = manifest.plain() | {"name": folder.name, "folder": str(folder), "size": manifest.size}
    reason = why_not(manifest)
    return plain | {"runs_here": reason is None, "reason": reason}


def _broken(folder: Path, error: EngineError) -> dict[str, Any]:
    return {"name": folder.name, "folder": str(folder), "runs_here": False, "reason": str(error)}


def _text(value: object) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value))


def _size(count: float) -> str:
    for unit, bytes_of_it in (("GB", 1e9), ("MB", 1e6)):
        if count >= bytes_of_it:
            return f"{count / bytes_of_it:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"
