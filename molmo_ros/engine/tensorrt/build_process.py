# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The process that builds one engine: `python -m molmo_ros.engine.tensorrt.build_process`.

Reads the request as JSON from its input. Prints one JSON object a line: progress, and at last a report or an error.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.tensorrt.builder import BuildReport, BuildRequest, Range, lowered_path, new_path
from molmo_ros.engine.tensorrt.guards import Expected, check_network, native_attentions
from molmo_ros.engine.tensorrt.lowering import lower_file
from molmo_ros.engine.tensorrt.module import JETSON_MARK, load_tensorrt
from molmo_ros.engine.tensorrt.process_runtime import process_log

LEGACY = "legacy"
MEMORY = Path("/proc/meminfo")
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Builds what the request describes."""
    # Without the process that asked for it, nobody wants the engine.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):  # ignored where this was started in the background
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that grows too large is an OSError
    request = BuildRequest.from_json(sys.stdin.read())
    try:
        _print(report=asdict(_build(request)))
    except EngineError as error:
        _print(error=str(error))
        sys.exit(1)
    except MemoryError:
        _print(error="memory ran out")
        sys.exit(1)
    except OSError as error:
        _print(error=_disk_error(error, request.engine))
        sys.exit(1)


def _build(request: BuildRequest) -> BuildReport:
    started = time.perf_counter()
    trt = load_tensorrt(request.tensorrt)
    logger = process_log(trt)
    logger.clear()
    builder = trt.Builder(logger)
    _print(phase="parse", done=0, total=1)
    network, lowering, refused = _parse(trt, builder, logger, request)
    _print(phase="parse", done=1, total=1)
    config = _config(trt, builder, network, request)
    timings = _timing_cache(config, request.timing_cache)
    layers = Counter(str(network.get_layer(i).type).rsplit(".", 1)[-1] for i in range(network.num_layers))
    blob = builder.build_serialized_network(network, config)
    if blob is None:
        advice = ". Where it has no bfloat16, build with --precision fp16" if lowering == LEGACY else ""
        raise EngineError(f"TensorRT gave up: {_said(logger)}{advice}")
    _write(request.engine, blob)
    if timings is not None and request.timing_cache is not None:
        try:
            _write(request.timing_cache, config.get_timing_cache().serialize())
        except OSError as error:  # the next build will be slower, and this one is done
            logger.lines.append(f"the timing cache could not be kept: {error}")
    return BuildReport(
        seconds=time.perf_counter() - started,
        peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        engine_size=request.engine.stat().st_size,
        layers=dict(layers),
        lowering=lowering,
        warnings=(*refused, *logger.lines),
    )


def _parse(trt: Any, builder: Any, logger: Any, request: BuildRequest) -> tuple[Any, str, list[str]]:
    """The parsed network, which lowering of the graph it is of, and why it is not the one that was asked for.

    A parser that does not take the layers of language models, or makes something else of them, gets older operators.
    """
    # Where attentions cannot be read back, none is trusted: they are written out.
    readable = hasattr(trt, "IAttentionInputLayer")
    if not readable or request.lowering == LEGACY:
        return _parse_lowered(trt, builder, logger, request, LEGACY), LEGACY, []
    try:
        return _parse_lowered(trt, builder, logger, request, request.lowering), request.lowering, []
    except EngineError as refusal:
        said = [f"older operators instead of {request.lowering} layers: {refusal}"]
        try:
            return _parse_lowered(trt, builder, logger, request, LEGACY), LEGACY, said
        except EngineError:
            raise refusal from None


def _parse_lowered(trt: Any, builder: Any, logger: Any, request: BuildRequest, lowering: str) -> Any:
    """Lowers and parses the graph, and holds the network against it."""
    graph, lowered = request.graph, lowered_path(request.graph)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    try:
        model = lower_file(graph, lowered, lowering)
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(lowered)):
            errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
            raise EngineError(f"TensorRT does not take the graph {graph.name}: {errors or _said(logger)}")
    finally:
        lowered.unlink(missing_ok=True)
    check_network(trt, network, Expected.of(model))
    for attention in native_attentions(trt, network):
        # Heads of 72, as SigLIP has, have no fused kernel on every chip; without this the build fails there.
        attention.decomposable = True
    return network


def _config(trt: ModuleType, builder: Any, network: Any, request: BuildRequest) -> Any:
    config = builder.create_builder_config()
    config.progress_monitor = _monitor(trt)
    if (workspace := request.workspace or _shared_workspace()) is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    if hasattr(trt, "BuilderFlag") and hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        # TensorRT for RTX then allocates nothing in a pass, and the pass can be recorded.
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if request.capability is not None:
        name = "SM" + "".join(map(str, request.capability))
        if not hasattr(trt, "ComputeCapability") or not hasattr(trt.ComputeCapability, name):
            raise EngineError(f"this TensorRT builds for no other machine's GPU, or not for {name}")
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)
    dynamic = {
        network.get_input(i).name
        for i in range(network.num_inputs)
        if -1 in tuple(network.get_input(i).shape)
    }
    for ranges in (request.profile, request.prompt_profile):
        if ranges is not None:
            _add_profile(builder, config, dynamic, ranges)
    return config


def _add_profile(builder: Any, config: Any, dynamic: set[str], ranges: Mapping[str, Range]) -> None:
    if missing := dynamic - set(ranges):
        raise EngineError(f"no range of shapes was given for the inputs {', '.join(sorted(missing))}")
    profile = builder.create_optimization_profile()
    for name in sorted(dynamic):
        profile.set_shape(name, *ranges[name])
    config.add_optimization_profile(profile)


def _shared_workspace() -> int | None:
    """Where the GPU has no memory of its own: a quarter of what is free [bytes]; elsewhere TensorRT knows its limit."""
    if not JETSON_MARK.exists():
        return None
    free = next(
        line for line in MEMORY.read_text(encoding="ascii").splitlines() if line.startswith("MemAvailable:")
    )
    return int(free.split()[1]) * 1024 // 4


def _timing_cache(config: Any, path: Path | None) -> Any:
    """The cache of earlier builds; none for TensorRT for RTX without a GPU, which times nothing."""
    if path is None:
        return None
    known = path.read_bytes() if path.exists() else b""
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=True):
        return None
    return cache


def _write(path: Path, blob: Any) -> None:
    """Writes a file for its owner only, and all of it before it gets its name."""
    new = new_path(path)
    content = memoryview(blob)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError as error:
        raise type(error)(
            error.errno, f"{error.strerror} ({content.nbytes / 1e6:.0f} MB were to be written)"
        ) from error
    finally:
        new.unlink(missing_ok=True)


def _disk_error(error: OSError, engine: Path) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "; make room and run the same command again, what is finished is kept" if full else ""
    return f"{engine.parent} cannot be written to: {error.strerror or error}{advice}"


def _said(logger: Any) -> str:
    return " | ".join(logger.errors or logger.lines) or "it gave no reason"


def _monitor(trt: Any) -> Any:
    """Prints the outermost phases' progress."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.totals: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self.totals[phase] = steps
                _print(phase=phase, done=0, total=steps)

        def step_complete(self, phase: str, step: int) -> bool:
            if phase in self.totals:
                _print(phase=phase, done=step + 1, total=self.totals[phase])
            return True

        def phase_finish(self, phase: str) -> None:
            if total := self.totals.pop(phase, 0):
                _print(phase=phase, done=total, total=total)

    return Monitor()


def _print(**message: object) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
