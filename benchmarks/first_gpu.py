# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Everything to do first on a machine with an RTX card or a Jetson, in one command, into one file to send back.

    python -m benchmarks.first_gpu [--device cuda] [--model 4b] [--out FILE] [--quick]

1. environment: GPU, driver, versions, memory, disk; what is missing, with its cure.
2. build: `molmo-ros build tiny` for this GPU in every precision that it has, with the quality gate on the engines.
3. correctness: every way of running the embedded model against float32 on the CPU (`benchmarks.gpu_correctness`).
4. small, real: times and memory of the embedded model, and of one of real size with random weights, of torch,
   transformers and TensorRT, beside the device's own floors (`benchmarks.gpu`).
5. computed: what `molmo-ros models --device` says of this GPU, to be held against the above.

Each part of a step is a process of its own with a limit: what fails is written down with its reason, and the next goes
on. The file is written anew after every step, so that Ctrl-C loses only what is running. Nothing in it names you, your
machine or your folders, and nothing is sent: docs/lend-a-gpu.md says how to.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_work
from benchmarks.gpu_environment import environment, problems
from benchmarks.isolated import ROOT, one_device, run_isolated
from molmo_ros.engine.cost.device import DEVICES
from molmo_ros.engine.targets import CPU_TARGETS, GPU_TARGETS, PRECISIONS, THIS

FORMAT = 1
"""Of the file."""
BUILD_LIMIT, CORRECTNESS_LIMIT, MEASURE_LIMIT = 3600.0, 4 * 3600.0, 6 * 3600.0
"""Seconds after which a step is ended."""
QUICK_PARTS = "floors,torch-eager,tensorrt"
"""What is measured of `benchmarks.gpu` where the command is only tried out."""
ROOM = 3.0
"""Memory that a model of real size needs, in sizes of its 16-bit weights: torch's, the engine's, the build's."""


@dataclass(frozen=True)
class Visit:
    """What one run does.

    Attributes:
        device: Of torch.
        model: Of real size, a name of `gpu_work.NAMES`; None: none.
        quick: Whether only to try it all out.
        folder: For engines and files of parts; emptied at the end.
    """

    device: str
    model: str | None
    quick: bool
    folder: Path

    def run(self, *arguments: str, limit: float) -> tuple[dict[str, Any], str]:
        """One child process; see `run_isolated`. Engines go into the folder."""
        _, variables = one_device(self.device, os.environ)
        return run_isolated(arguments, limit, variables | {"MOLMO_ROS_HOME": str(self.folder / "home")})

    @property
    def child_device(self) -> str:
        """What a child is to call the device."""
        return one_device(self.device, os.environ)[0]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--device", default="cuda", help="torch device: cuda, cuda:1; cpu tries the script out"
    )
    parser.add_argument("--model", choices=(*gpu_work.NAMES, "none"), default="4b", help="of real size")
    parser.add_argument("--out", type=Path, help="the file (default: first_gpu-GPU-DATE.json)")
    parser.add_argument("--quick", action="store_true", help="few runs: that it works, not how fast")
    parser.add_argument("--steps", default=",".join(STEPS), help="comma-separated (default: all)")
    args = parser.parse_args()
    chosen = args.steps.split(",")
    if unknown := set(chosen) - set(STEPS):
        parser.error(f"no such steps: {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    report: dict[str, Any] = {
        "format": FORMAT,
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python -m benchmarks.first_gpu", *map(without_folders, sys.argv[1:])]),
        "steps": {},
    }
    out = args.out or Path(f"first_gpu-{device_name(args.device)}-{report['date']}.json")
    with tempfile.TemporaryDirectory(prefix="molmo_ros_first_gpu_") as folder:
        visit = Visit(args.device, None if args.model == "none" else args.model, args.quick, Path(folder))
        return visit_all(visit, chosen, report, out)


def visit_all(visit: Visit, chosen: Sequence[str], report: dict[str, Any], out: Path) -> int:
    """Takes the steps and writes the file after each; returns the exit code."""
    for name in chosen:
        print(f"# {name}", flush=True)
        started = time.monotonic()
        try:
            found = STEPS[name](visit)
        except KeyboardInterrupt:
            report["ended"] = f"by hand, in {name}"
            write(out, report)
            print(f"\nended; what was found until then is in {out}")
            return 130
        except Exception as error:  # one step's fault is not the next one's
            found = {"error": f"{type(error).__name__}: {error}"}
        report["steps"][name] = found | {"seconds": round(time.monotonic() - started, 1)}
        write(out, report)
        print(summary(name, found), flush=True)
    print(f"\nAll of it is in {out}. Please read it and send it back: docs/lend-a-gpu.md")
    return 0


def see_environment(visit: Visit) -> dict[str, Any]:
    """Step 1."""
    device = torch.device(visit.device)
    facts = environment(device)
    found = [{"what": one.what, "cure": one.cure} for one in problems(facts, device)]
    return {"facts": facts, "problems": found}


def build_engines(visit: Visit) -> dict[str, Any]:
    """Step 2: by precision, how the command ended and what it said."""
    on_gpu = torch.device(visit.device).type == "cuda"
    target = THIS if on_gpu else next(iter(CPU_TARGETS))
    builds = {}
    for precision in precisions_here(visit.device) if on_gpu else ["fp32"]:
        started = time.monotonic()
        command = ["-m", "molmo_ros.cli.main", "build", "tiny", "--target", target, "--precision", precision]
        command += ["--no-quality"] * visit.quick
        found, said = visit.run(*command, limit=BUILD_LIMIT)
        builds[precision] = {
            "error": without_folders(found["error"]) if "error" in found else None,
            "said": without_folders(said),
            "seconds": round(time.monotonic() - started, 1),
        }
    return {"target": target, "builds": builds}


def compare_answers(visit: Visit) -> dict[str, Any]:
    """Step 3."""
    file = visit.folder / "correctness.json"
    command = ["-m", "benchmarks.gpu_correctness", "--device", visit.child_device, "--json", str(file)]
    command += ["--scenes", "1", "--queries", "2", "--precisions", "float16"] if visit.quick else []
    return part_file(visit, command, file, CORRECTNESS_LIMIT)


def measure_small(visit: Visit) -> dict[str, Any]:
    """Step 4, the embedded model."""
    return measure(visit, "tiny")


def measure_real(visit: Visit) -> dict[str, Any]:
    """Step 4, of real size, where there is memory for it."""
    if visit.model is None:
        return {"skipped": "not asked for"}
    if visit.model != "tiny" and torch.device(visit.device).type == "cuda":
        config, _ = gpu_work.load_config(visit.model)
        needed = ROOM * gpu_work.decoded_bytes(config, torch.bfloat16)
        free, _ = torch.cuda.mem_get_info(torch.device(visit.device))
        if free < needed:
            return {
                "skipped": f"{free / 1e9:.1f} GB of memory are free, about {needed / 1e9:.0f} GB are needed"
            }
    return measure(visit, visit.model)


def measure(visit: Visit, model: str) -> dict[str, Any]:
    """`benchmarks.gpu` of one model."""
    file = visit.folder / f"gpu-{model}.json"
    command = ["-m", "benchmarks.gpu", "--model", model, "--device", visit.child_device, "--json", str(file)]
    command += ["--quick", "--parts", QUICK_PARTS, "--precision", "float32"] if visit.quick else []
    return part_file(visit, command, file, MEASURE_LIMIT)


def compute_costs(visit: Visit) -> dict[str, Any]:
    """Step 5: of the device in the table that this is, if it is one."""
    name = known_device(visit.device)
    if name is None:
        return {"skipped": f"this GPU is none of {', '.join(DEVICES)}"}
    found, _ = visit.run("-m", "molmo_ros.cli.main", "models", "--device", name, "--json", limit=300)
    return {"device": name, "models": {one["name"]: one["device"] for one in found.get("models", ())}}


STEPS: dict[str, Callable[[Visit], dict[str, Any]]] = {
    "environment": see_environment,
    "build": build_engines,
    "correctness": compare_answers,
    "small": measure_small,
    "real": measure_real,
    "computed": compute_costs,
}


def part_file(visit: Visit, command: Sequence[str], file: Path, limit: float) -> dict[str, Any]:
    """What a part wrote into its file, and its table as it printed it."""
    found, said = visit.run(*command, limit=limit)
    if not file.exists():
        return {"error": without_folders(found.get("error", "it wrote no file"))}
    tables = [line for line in said.splitlines() if not line.startswith("{")]
    return {
        "figures": json.loads(without_folders(file.read_text())),
        "printed": without_folders("\n".join(tables)),
    }


def precisions_here(device: str) -> list[str]:
    """What TensorRT may build for this GPU; what it refuses is a result, too."""
    capability = torch.cuda.get_device_capability(torch.device(device))
    known = [one for one in GPU_TARGETS.values() if one.capability == capability]
    return list(known[0].precisions if known else PRECISIONS)


def known_device(device: str) -> str | None:
    """The row of the table of devices that a GPU is: by capability and SMs, and then by the nearest memory."""
    if torch.device(device).type != "cuda":
        return None
    has = torch.cuda.get_device_properties(torch.device(device))
    alike = [
        one
        for one in DEVICES.values()
        if (one.capability, one.sms) == ((has.major, has.minor), has.multi_processor_count)
    ]
    return min(alike, key=lambda one: abs(one.memory - has.total_memory)).name if alike else None


def device_name(device: str) -> str:
    """Fit for a file's name."""
    chosen = torch.device(device)
    name = "cpu"
    if chosen.type == "cuda":
        name = torch.cuda.get_device_name(chosen) if torch.cuda.is_available() else "no-gpu"
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()


def without_folders(text: str) -> str:
    """The text without the names of folders of this machine."""
    for folder, name in ((ROOT, "CHECKOUT"), (Path(sys.prefix), "PREFIX"), (Path.home(), "HOME")):
        if len(folder.parts) > 1:
            text = text.replace(str(folder), name)
    return re.sub(r"/tmp/[\w./-]+", "TEMPORARY", text)


def write(out: Path, report: dict[str, Any]) -> None:
    """The file, whole or as it was."""
    new = out.with_suffix(".new")
    new.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    os.replace(new, out)


def summary(name: str, found: dict[str, Any]) -> str:
    """A step in a few lines, for who watches."""
    if reason := found.get("error") or found.get("skipped"):
        return f"  {name}: {reason}"
    lines = [f"  {one['what']}: {one['cure']}" for one in found.get("problems", ())]
    lines += [
        f"  {precision}: {one['error'] or 'built'}" for precision, one in found.get("builds", {}).items()
    ]
    return "\n".join(lines) or found.get("printed") or "  done"


if __name__ == "__main__":
    sys.exit(main())
