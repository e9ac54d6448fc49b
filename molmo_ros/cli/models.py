# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros models [NAME]`: the models that this package runs, what they need, and what was verified of each.

With --image-size also what a picture of that size becomes: tiles, crops (the global view included) and image
tokens, for the model's default and for every lower limit on the crops that makes a difference. Fewer crops and
tokens are a faster answer with less detail.

With --device also what each model takes there as a TensorRT engine, before it is bought: memory, time to a first point,
tokens per second. These are computed from the model's shape and the device's data sheet, not measured.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from molmo_ros.cli.device_table import PICTURE, Costs, device_costs, device_text
from molmo_ros.cli.printable import aligned, complain, say
from molmo_ros.molmo.catalog.registry import (
    CHECKS,
    POINT_FORMATS,
    ModelEntry,
    find_model,
    registry,
)
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.images.crop_budget import ImageCost, shapes

LARGEST_SIDE = 65535
COLUMNS = (
    "name",
    "on the hub",
    "family",
    "params",
    "bf16 / fp32 GB",
    "crops",
    "licence",
    "points as",
    "checks",
)
BUDGET_COLUMNS = ("max_crops", "tiles", "crops", "tokens")


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; `args.run` runs it."""
    parser = subparsers.add_parser(
        "models",
        help="list the models, what they need and what was verified",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="show everything about this one")
    parser.add_argument(
        "--image-size",
        type=image_size,
        metavar="WxH",
        help="say what a picture of this size becomes, such as 1280x720",
    )
    parser.add_argument(
        "--device",
        metavar="DEVICE",
        help="say what the models would take there, such as agx-orin or rtx4060; a wrong one lists all",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with every field")
    parser.set_defaults(run=run)


def image_size(text: str) -> tuple[int, int]:
    """(width, height) [px] of "1280x720".

    Raises:
        argparse.ArgumentTypeError: It is no such text, or a side is out of range.
    """
    found = re.fullmatch(r"(\d{1,9})[xX×](\d{1,9})", text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT in pixels, such as 1280x720")
    width, height = int(found[1]), int(found[2])
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise argparse.ArgumentTypeError(f"{text!r}: each side must be from 1 to {LARGEST_SIDE} px")
    return width, height


def run(args: argparse.Namespace) -> int:
    """Prints the table, or one model; returns the exit code."""
    try:
        entries = [find_model(args.name)] if args.name else list(registry().values())
        costs = device_costs(entries, args.device, args.image_size or PICTURE) if args.device else None
    except MolmoError as error:
        complain(error)
        return 2 if args.name or args.device else 1
    if args.json:
        print(json.dumps({"models": [_plain(entry, args.image_size, costs) for entry in entries]}))
        return 0
    if costs is not None:
        say(device_text(costs))
        return 0
    parts = [details(entries[0]) if args.name else overview(entries)]
    if args.image_size:
        parts.append(budget_table(entries, args.image_size))
    say("\n\n".join(parts))
    return 0


def overview(entries: Sequence[ModelEntry]) -> str:
    """One line per model, at most 120 characters wide, and what the numbers of the checks mean."""
    rows = [COLUMNS, *(_row(entry) for entry in entries)]
    checks = [f"  {i}  {text}" for i, text in enumerate(CHECKS.values(), 1)]
    return "\n".join(
        [
            *aligned(rows),
            "",
            "Memory is that of the weights; crops is the default of max_crops. Checks that were made:",
            *checks,
            "molmo-ros models NAME says how, and what was not verified; molmo-ros fetch NAME downloads one.",
        ]
    )


def details(entry: ModelEntry) -> str:
    """All about one model."""
    decoder = entry.shape["decoder"]
    memory = ", ".join(f"{entry.memory_gb[name]:g} GB in {name}" for name in DTYPE_BYTES)
    cache = 2 * DTYPE_BYTES["bfloat16"] * decoder["layers"] * decoder["kv_heads"] * decoder["head_dim"]
    facts = {
        "on the hub": entry.hub_id or "inside the package",
        "revision": entry.revision
        or ("the package's" if entry.hub_id is None else "main when first fetched"),
        "family": entry.family,
        "licence": entry.licence,
        "parameters": f"{entry.parameters:,} stored, {entry.loaded_parameters:,} loaded",
        "memory": f"{memory} (weights)",
        "KV cache": f"{cache / 1e3:g} kB per token in bfloat16",
        "max_crops": f"{entry.max_crops} by default",
        "context": f"{entry.context} tokens",
        "prompts": f"worded as for {entry.prompt_style}",
        "points as": POINT_FORMATS[entry.point_format],
        "language model": f"{entry.language_model}: {_shape_text(decoder)}",
        "vision tower": entry.vision_tower,
    }
    lines = [entry.name, *(f"  {name:<16}{value}" for name, value in facts.items())]
    lines += [
        "  verified",
        *(f"    + {entry.verified[check]}" for check in CHECKS if check in entry.verified),
    ]
    lines += ["  not verified", *(f"    - {fact}" for fact in entry.not_verified)]
    return "\n".join(lines + ([f"  {entry.notes}"] if entry.notes else []))


def budgets(entry: ModelEntry, size: tuple[int, int]) -> list[tuple[int, ImageCost]]:
    """What a picture of (width, height) [px] becomes: the default limit first, then each lower one that makes
    a difference, as (max_crops, cost).
    """
    costs = shapes(entry.image_processor, (size[1], size[0]))
    default, *lower = reversed(costs)
    return [(entry.max_crops, default), *((cost.crops - 1, cost) for cost in lower)]


def budget_table(entries: Sequence[ModelEntry], size: tuple[int, int]) -> str:
    """One table for each group of models that cut a picture alike."""
    groups: dict[tuple[tuple[int, ImageCost], ...], list[str]] = {}
    for entry in entries:
        groups.setdefault(tuple(budgets(entry, size)), []).append(entry.name)
    parts = [
        f"A picture of {size[0]}x{size[1]} becomes (rows x columns of tiles; crops with the global view):"
    ]
    for costs, names in groups.items():
        rows = [(f"{n}", f"{c.tiling[0]}x{c.tiling[1]}", f"{c.crops}", f"{c.tokens}") for n, c in costs]
        parts.append(
            "\n".join([", ".join(names), *(f"  {line}" for line in aligned([BUDGET_COLUMNS, *rows]))])
        )
    return "\n\n".join(parts)


def _plain(entry: ModelEntry, size: tuple[int, int] | None, costs: Costs | None) -> dict[str, Any]:
    """The entry as JSON has it, with what a picture of `size` becomes, and what it takes on a device."""
    plain = asdict(entry)
    if costs is not None:
        plain["device"] = costs.record(entry.name)
    if size is not None:
        plain["image"] = {
            "width": size[0],
            "height": size[1],
            "budgets": [{"max_crops": limit} | cost._asdict() for limit, cost in budgets(entry, size)],
        }
    return plain


def _row(entry: ModelEntry) -> tuple[str, ...]:
    memory = [f"{entry.memory_gb[name]:.3g}" for name in ("bfloat16", "float32")]
    return (
        entry.name,
        (entry.hub_id or "(embedded)").removeprefix("allenai/"),
        entry.family,
        _count(entry.parameters),
        " / ".join(memory),
        str(entry.max_crops),
        entry.licence,
        POINT_FORMATS[entry.point_format],
        entry.marks or "-",
    )


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.2f} B" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"


def _shape_text(decoder: dict[str, Any]) -> str:
    experts = (
        f", {decoder['experts_per_token']} of {decoder['experts']} experts" if decoder["experts"] else ""
    )
    return (
        f"{decoder['layers']} layers, width {decoder['width']}, {decoder['heads']} heads over "
        f"{decoder['kv_heads']} of keys and values, MLP {decoder['mlp_width']}{experts}, "
        f"vocabulary {decoder['vocab']}"
    )
