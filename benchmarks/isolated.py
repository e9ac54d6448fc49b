# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Parts of a benchmark, each in a process of its own: one that fails, hangs or is killed leaves the others theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
VISIBLE = "CUDA_VISIBLE_DEVICES"
LAST_WORDS = 600


def one_device(device: str, environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """What a child is to call a device, and its environment, in which CUDA shows that one alone.

    TensorRT, drivers and processes that build engines mean the first GPU where nobody says another: the child's first
    is the one that is measured.

    Args:
        device: Of torch: "cuda", "cuda:1", "cpu".
        environment: This process'.
    """
    chosen = torch.device(device)
    if chosen.type != "cuda" or chosen.index is None:
        return device, dict(environment)
    shown = environment.get(VISIBLE)
    numbers = [one.strip() for one in shown.split(",")] if shown else []
    if shown is not None and chosen.index >= len(numbers):
        raise SystemExit(f"{device} is not there: {VISIBLE}={shown} shows {len(numbers)} GPUs")
    return "cuda", dict(environment) | {VISIBLE: numbers[chosen.index] if numbers else str(chosen.index)}


def run_isolated(
    arguments: Sequence[str], limit: float, environment: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], str]:
    """Runs Python with these arguments, from the checkout.

    Args:
        arguments: As after `python`: "-m", "benchmarks.gpu", ...
        limit: Seconds after which it is ended.
        environment: None: this process'.

    Returns:
        The JSON object in the last line that it printed, or {"error": why there is none}; and all that it printed.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=ROOT,
        env=dict(os.environ if environment is None else environment),
    )
    try:
        out, error = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"error": f"ended after {limit:.0f} s"}, ""
    except KeyboardInterrupt:
        process.kill()
        process.communicate()
        raise
    if process.returncode:
        last = [line for line in error.splitlines() if line.strip()][-1:] or ["no message"]
        return {"error": f"{last[0][:LAST_WORDS]} (status {process.returncode})"}, out
    try:
        found = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        found = None
    return (found if isinstance(found, dict) else {}), out
