# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros parity DIR...`: compare the implementation with reference vectors.

Each DIR is a vector folder (config.json, model.safetensors, input.npz, logits.npz) or holds such folders.
Exit codes: 0 all agree, 1 something differs or is not supported, 2 a DIR is not a vector folder.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from molmo_ros.cli.arguments import given_path
from molmo_ros.cli.printable import complain, printable, say

if TYPE_CHECKING:
    from molmo_ros.molmo.reference.parity import ParityReport


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; `args.run` runs it."""
    parser = subparsers.add_parser(
        "parity",
        help="compare with reference vectors",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=given_path,
        metavar="DIR",
        help="a vector folder, or a folder of such folders",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--attention",
        choices=("sdpa", "explicit"),
        default="sdpa",
        help="which attention to use (default: sdpa)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Checks every folder and prints what was found; returns the exit code."""
    # Here, so that the other subcommands do not wait for torch.
    import torch

    from molmo_ros.molmo.reference.parity import VectorError, check_folder, find_vector_folders
    from molmo_ros.molmo.reference.tolerance import ABSOLUTE, RELATIVE, RULE

    try:
        folders = find_vector_folders(args.folders)
    except VectorError as error:
        complain(error)
        return 2
    # Several threads sum in another order, which large values show.
    torch.set_num_threads(1)
    reports = []
    for folder in folders:
        reports.append(check_folder(folder, args.attention))
        if not args.json:
            say(describe(reports[-1]))
            sys.stdout.flush()
    passed = all(report.status == "ok" for report in reports)
    if args.json:
        summary = {
            "ok": passed,
            "tolerance": ABSOLUTE,
            "relative_tolerance": RELATIVE,
            "variants": [_plain(report) for report in reports],
        }
        print(json.dumps(summary, indent=1))
    else:
        agreeing = sum(report.status == "ok" for report in reports)
        say(f"{agreeing} of {len(reports)} agree within {RULE}" + ("" if passed else ": FAILED"))
    return 0 if passed else 1


def describe(report: ParityReport) -> str:
    """A few lines for people."""
    lines = [f"{printable(report.variant)}: {report.status}"]
    lines += [f"  {name:<26}{value:.2e}" for name, value in report.errors.items()]
    if report.greedy_agree is not None:
        verdict = "agree" if report.greedy_agree else "DIFFER"
        lines.append(f"  {'greedy tokens':<26}{verdict} ({len(report.greedy_tokens)}, static KV cache)")
    for name, value in (report.preprocessing or {}).items():
        lines.append(f"  {'preprocessing ' + name:<26}{'equal' if value == 0 else f'{value:.2e}'}")
    if report.reason:
        lines.append(f"  {printable(report.reason)}")
    return "\n".join(lines)


def _plain(report: ParityReport) -> dict[str, Any]:
    """The report as JSON has it: no infinities, which are not JSON."""
    plain = asdict(report)
    for group in ("errors", "preprocessing"):
        if plain[group] is not None:
            plain[group] = {
                name: value if math.isfinite(value) else None for name, value in plain[group].items()
            }
    return plain
