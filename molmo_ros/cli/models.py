"""`molmo-ros models`: the models this package runs, and what was verified of each."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

COLUMNS = ("name", "hub_id", "parameters", "licence", "point_format")


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "models", help="list the models and what was verified", description=__doc__
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with every field")
    parser.set_defaults(run=run)


def models_folder() -> Path | None:
    """`config/models` of the checkout, or of the prefix that pip or colcon installed into."""
    package = Path(__file__).resolve().parents[1]
    # The package lies in <prefix>/lib/pythonX.Y/site-packages, or Debian's <prefix>/local/lib/...:
    # any folder above may be the prefix.
    prefixes = (*package.parents, Path(sys.prefix))
    candidates = [package.parent / "config" / "models"]
    candidates += [prefix / "share" / "molmo_ros" / "config" / "models" for prefix in prefixes]
    return next((folder for folder in candidates if any(folder.glob("*.yaml"))), None)


def load_models(folder: Path) -> list[dict[str, Any]]:
    """One entry per YAML file: the embedded model first, then by name."""
    entries = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    return sorted(entries, key=lambda entry: (entry["hub_id"] is not None, entry["name"]))


def run(args: argparse.Namespace) -> int:
    folder = models_folder()
    if folder is None:
        print(
            "molmo-ros: the table of models (config/models) is not installed beside the package",
            file=sys.stderr,
        )
        return 1
    entries = load_models(folder)
    print(json.dumps({"models": entries}) if args.json else table(entries))
    return 0


def table(entries: list[dict[str, Any]]) -> str:
    rows = [COLUMNS, *(tuple(_cell(entry[column]) for column in COLUMNS) for entry in entries)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    for entry in entries:
        lines += ["", f"{entry['name']}: verified"]
        lines += [f"  + {fact}" for fact in entry["verified"]]
        lines += [f"  - not: {fact}" for fact in entry["not_verified"]]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "(embedded)"
    if isinstance(value, float):
        return f"{value / 1e9:.2f} B" if value >= 1e9 else f"{value / 1e6:.1f} M"
    return str(value)
