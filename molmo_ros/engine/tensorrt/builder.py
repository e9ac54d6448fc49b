# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Builds one engine, in a process of its own: a native build cannot be interrupted, and may be killed for memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from molmo_ros.engine.errors import EngineError, system_errors

BuildProgress = Callable[[str, int, int], None]
"""Called with the name of a stage or phase, how much of it is done, and how much there is."""
Range = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""The least, the usual and the largest shape of an input."""


@dataclass(frozen=True)
class BuildRequest:
    """One engine to build.

    Attributes:
        graph: The canonical graph, with its weights beside it.
        engine: Where the engine goes.
        tensorrt: The module, "tensorrt" or "tensorrt_rtx".
        lowering: "native" or "legacy".
        capability: Compute capability that is built for ahead of time (TensorRT for RTX); None for this machine's GPU.
        profile: The range of every dynamic input, by name.
        timing_cache: Where timings of kernels are kept between builds; None for nowhere.
        workspace: Most device memory that a kernel may use beside inputs and outputs [bytes]; None for no limit.
        prompt_profile: The same ranges with the usual shapes of long passes, which get kernels of their own: the
            engine's second profile. None for one profile.
    """

    graph: Path
    engine: Path
    tensorrt: str
    lowering: str
    capability: tuple[int, int] | None
    profile: Mapping[str, Range]
    timing_cache: Path | None = None
    workspace: int | None = None
    prompt_profile: Mapping[str, Range] | None = None

    @classmethod
    def from_json(cls, text: str) -> BuildRequest:
        """The request that `to_json` wrote."""
        raw = json.loads(text)
        cache, capability, prompts = raw["timing_cache"], raw["capability"], raw["prompt_profile"]
        return cls(
            graph=Path(raw["graph"]),
            engine=Path(raw["engine"]),
            tensorrt=raw["tensorrt"],
            lowering=raw["lowering"],
            capability=None if capability is None else (capability[0], capability[1]),
            profile=_ranges(raw["profile"]),
            timing_cache=None if cache is None else Path(cache),
            workspace=raw["workspace"],
            prompt_profile=None if prompts is None else _ranges(prompts),
        )

    def to_json(self) -> str:
        """For the process that builds."""
        return json.dumps(asdict(self), default=str)


@dataclass(frozen=True)
class BuildReport:
    """What became of it.

    Attributes:
        seconds: Wall time.
        peak_memory: Of the building process [bytes].
        engine_size: [bytes].
        layers: Of the parsed network, by kind.
        lowering: Of the graph that was built: "legacy" also where TensorRT does not let attentions be read back.
        warnings: What TensorRT said, the last ones.
    """

    seconds: float
    peak_memory: int
    engine_size: int
    layers: dict[str, int]
    lowering: str
    warnings: tuple[str, ...]


@system_errors("the engine cannot be built")
def build_engine(request: BuildRequest, progress: BuildProgress | None = None) -> BuildReport:
    """Builds an engine; it appears under its name only when it is complete.

    An interrupt (Ctrl-C) ends the build at once and leaves nothing but the timing cache.

    Args:
        request: What to build.
        progress: Called as the build goes on.

    Raises:
        EngineError: The graph is refused, a guard found it wrong, the build ran out of memory or disk, or TensorRT
            is missing; the message has TensorRT's own last lines.
    """
    # Where the engine goes there is room; and a file without a name is gone with the last process that has it.
    with tempfile.TemporaryFile("w+", dir=request.engine.parent) as noise:
        process = subprocess.Popen(
            [sys.executable, "-m", "molmo_ros.engine.tensorrt.build_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            text=True,
            start_new_session=True,  # Ctrl-C comes here, and this ends the build
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            with suppress(BrokenPipeError), process.stdin:  # it ended before it read; `_failure` says of what
                process.stdin.write(request.to_json())
            result = _follow(process.stdout, progress)
            process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            _remove_parts(request)
        if process.returncode != 0 or "report" not in result:
            raise EngineError(_failure(request, process.returncode, result.get("error", ""), noise))
    report = result["report"]
    return BuildReport(**report | {"warnings": tuple(report["warnings"])})


def new_path(path: Path) -> Path:
    """Where a file lies until it is complete."""
    return path.with_name(f".{path.name}.new")


def lowered_path(graph: Path) -> Path:
    """Where the lowered graph lies while it is parsed."""
    return graph.with_name(f".{graph.stem}.lowered.onnx")


def _ranges(profile: Mapping[str, Sequence[Sequence[int]]]) -> dict[str, Range]:
    ranges = {}
    for name, shapes in profile.items():
        least, usual, largest = map(tuple, shapes)
        ranges[name] = least, usual, largest
    return ranges


def _follow(lines: IO[str], progress: BuildProgress | None) -> dict[str, Any]:
    """Hands progress on; returns the last line, which says what became of the build."""
    result: dict[str, Any] = {}
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:  # a library's print
            continue
        if "phase" not in message:
            result = message
        elif progress is not None:
            progress(message["phase"], message["done"], message["total"])
    return result


def _remove_parts(request: BuildRequest) -> None:
    """What a process that was killed could not remove itself."""
    for path in (request.engine, request.timing_cache):
        if path is not None:
            new_path(path).unlink(missing_ok=True)
    lowered_path(request.graph).unlink(missing_ok=True)


def _failure(request: BuildRequest, code: int, error: str, noise: IO[str]) -> str:
    what = f"the engine {request.engine.name} could not be built"
    if error:
        return f"{what}: {error}"
    if code == -signal.SIGKILL:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
        return (
            f"{what}: the build was killed, as the system does when memory runs out (this machine has {memory:.0f} "
            "GB). Close other programs, add swap, or build with a smaller --max-context"
        )
    noise.seek(0)
    last = " | ".join(noise.read().split("\n")[-6:]).strip(" |")
    return f"{what}: the building process ended with {code}. {last}".strip()
