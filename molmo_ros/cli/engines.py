"""`molmo-ros engines list|inspect|verify|remove`: the engines that were built on this machine.

An engine is named by `molmo-ros engines list`, or by its folder. `verify` looks at owners and modes, reads every file
again and compares its hash. Nothing here loads an engine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from molmo_ros.molmo.errors import MolmoError

COLUMNS = ("name", "model", "runs in", "target", "crops", "context", "MB", "quality")


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; `args.run` runs it."""
    parser = subparsers.add_parser(
        "engines",
        help="list, inspect, verify and remove engines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="all engines, one line each")
    inspect = actions.add_parser("inspect", help="everything that is known of one")
    verify = actions.add_parser("verify", help="owners, modes and hashes; of one, or of all")
    remove = actions.add_parser("remove", help="delete one")
    inspect.add_argument("engine", metavar="ENGINE")
    verify.add_argument("engine", metavar="ENGINE", nargs="?")
    remove.add_argument("engine", metavar="ENGINE")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    for action in (listed, inspect, verify):
        action.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Does it; returns the exit code."""
    try:
        return {"list": _list, "inspect": _inspect, "verify": _verify, "remove": _remove}[args.action](args)
    except MolmoError as error:
        print(f"molmo-ros: {error}", file=sys.stderr)
        return 2


def _list(args: argparse.Namespace) -> int:
    from molmo_ros.engine.store.engines_home import engines_home, find_engines
    from molmo_ros.engine.store.manifest import Manifest

    found = find_engines()
    if args.json:
        records = [
            {"folder": str(folder)} | (one.plain() if isinstance(one, Manifest) else {"error": str(one)})
            for folder, one in found
        ]
        print(json.dumps({"engines": records}))
        return 0
    if not found:
        print(f"no engines in {engines_home()}; `molmo-ros build MODEL --target TARGET` makes one")
        return 0
    rows = [_row(one) for _, one in found if isinstance(one, Manifest)]
    for line in _aligned([COLUMNS, *rows] if rows else []):
        print(line)
    for folder, one in found:
        if not isinstance(one, Manifest):
            print(f"molmo-ros: {folder.name}: {one}", file=sys.stderr)
    return 0


def _row(manifest: Any) -> tuple[str, ...]:
    quality = manifest.quality or {}
    seen = "not measured"
    if quality:
        share, drift = quality["identical"] / quality["answers"], quality["drift_px"]["95%"]
        seen = f"{share:.0%} identical, 95 % within {drift:.1f} px"
    shapes = manifest.shapes
    return (
        manifest.name,
        manifest.model,
        manifest.runtime,
        manifest.target,
        str(shapes.max_crops),
        str(shapes.max_context),
        f"{manifest.size / 1e6:.0f}",
        seen,
    )


def _aligned(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _inspect(args: argparse.Namespace) -> int:
    folder, manifest = _named(args.engine)
    record = {"folder": str(folder)} | manifest.plain()
    if args.json:
        print(json.dumps(record))
        return 0
    for name, value in record.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, one in value.items():
                print(
                    f"  {key}: {' '.join(f'{a} {b}' for a, b in one.items()) if isinstance(one, dict) else one}"
                )
        else:
            print(f"{name}: {value}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from molmo_ros.engine.store.engines_home import find_engines
    from molmo_ros.engine.store.manifest import Manifest
    from molmo_ros.engine.store.trust import verify_files

    found: list[tuple[Path, Any]] = [_named(args.engine)] if args.engine else [*find_engines()]
    results: dict[str, str] = {}
    for folder, one in found:
        try:
            if not isinstance(one, Manifest):
                raise one
            verify_files(folder, one)
            results[folder.name] = "good"
        except MolmoError as error:
            results[folder.name] = str(error)
    if args.json:
        print(json.dumps({"engines": results}))
    else:
        for name, result in results.items():
            print(f"{name}: {result}")
    return 0 if all(result == "good" for result in results.values()) else 2


def _remove(args: argparse.Namespace) -> int:
    from molmo_ros.engine.store.engines_home import find_engine

    folder = find_engine(args.engine)
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
    if not args.yes:
        if not sys.stdin.isatty():
            print(f"molmo-ros: {folder} ({size:.0f} MB) was not removed: say --yes", file=sys.stderr)
            return 2
        if input(f"remove {folder} ({size:.0f} MB)? [y/N] ").strip().lower() not in ("y", "yes"):
            return 1
    try:
        shutil.rmtree(folder)
    except OSError as error:
        print(f"molmo-ros: {folder} could not be removed: {error.strerror or error}", file=sys.stderr)
        return 1
    print(f"removed {folder}")
    return 0


def _named(engine: str) -> tuple[Path, Any]:
    """An engine's folder and manifest."""
    from molmo_ros.engine.store.engines_home import find_engine
    from molmo_ros.engine.store.manifest import Manifest

    folder = find_engine(engine)
    return folder, Manifest.read(folder)
