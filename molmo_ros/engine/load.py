# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Opens a model with the runtime that is asked for: torch, onnxruntime or TensorRT."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeVar, overload

import torch
from torch import nn

from molmo_ros.engine.errors import EngineError, EngineMismatchError, system_errors
from molmo_ros.engine.runtime_table import (
    AUTO,
    ENGINES,
    HIDDEN,
    ONNX,
    PARSED,
    REMOTE,
    RUNTIMES,
    TENSORRT_RTX,
    TORCH,
)
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.graph_runner import GraphRunner, RunnerSetup, open_runner
from molmo_ros.engine.shapes import MOST_TILES, Shapes
from molmo_ros.engine.store.checkpoint_hash import checkpoint_sha256
from molmo_ros.engine.store.compatibility import check_engine
from molmo_ros.engine.store.driver import gpu_capability
from molmo_ros.engine.store.engines_home import find_engine, find_engines
from molmo_ros.engine.store.kept_pass_times import KeptPassTimes
from molmo_ros.engine.store.manifest import Manifest
from molmo_ros.engine.store.verified_files import TrustedFiles
from molmo_ros.engine.tensorrt.module import installed_version, version_numbers
from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.errors import CheckpointError, MolmoError
from molmo_ros.molmo.network.decoder import Embedding, TokenEmbedding
from molmo_ros.molmo.network.point_head import PointHead
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.weights.checkpoint import DTYPES
from molmo_ros.molmo.weights.embedding_rows import EmbeddingRows
from molmo_ros.molmo.weights.stored_parameters import StoredParameters
from molmo_ros.remote.fallback_molmo import FallbackMolmo
from molmo_ros.remote.remote_load import open_remote
from molmo_ros.remote.remote_molmo import RemoteMolmo
from molmo_ros.remote.server_arguments import ServerArguments

Part = TypeVar("Part", bound=nn.Module)
OLDEST_ONNXRUNTIME = (1, 32)
MOST_THREADS = 1024
LOG = logging.getLogger(__name__)
SMALL = 256 << 20
"""Weights in float32 up to this size [bytes] are exported for onnxruntime whenever they are loaded, in a second."""


@overload
def load_molmo(
    model: str | Path = "tiny",
    *,
    engine: Literal["remote"],
    server: str | ServerArguments,
    engine_path: str | Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    max_crops: int | None = None,
    latency_target: float | None = None,
    threads: int = 0,
) -> RemoteMolmo | FallbackMolmo: ...


@overload
def load_molmo(
    model: str | Path = "tiny",
    *,
    engine: str = AUTO,
    engine_path: str | Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    max_crops: int | None = None,
    latency_target: float | None = None,
    threads: int = 0,
) -> Molmo: ...


def load_molmo(
    model: str | Path = "tiny",
    *,
    engine: str = AUTO,
    engine_path: str | Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    max_crops: int | None = None,
    latency_target: float | None = None,
    threads: int = 0,
    server: str | ServerArguments = "",
) -> Molmo | RemoteMolmo | FallbackMolmo:
    """Loads a model.

    Args:
        model: See `Molmo.from_pretrained`.
        engine: "torch"; "onnx" or "tensorrt", an engine of `molmo-ros build`; or "auto": onnxruntime where that is the
            faster way to the same answers (a small model in float32 on the CPU), else torch. Where onnxruntime turns
            out not to work, a warning is logged and torch runs the model. "remote": the model of a server, see
            `remote_molmo`; `model` is then what the server calls it, and the arguments after `engine` are those of the
            model that answers while the server is away, where there is one.
        engine_path: An engine's folder or name; default: the one that was built for this model.
        device: A torch device. Engines of TensorRT run on "cuda" or "cuda:N", and on "cuda" where this is "cpu".
        dtype: Of torch's weights; an engine has its own.
        max_crops: See `Molmo.limit_crops`.
        latency_target: See `Molmo.limit_crops`.
        threads: Of the CPU, that a model may use at a time; 0 for as many as torch takes by itself: all cores, or
            OMP_NUM_THREADS. torch has one such number for the whole process.
        server: Of engine "remote": its address, or that and more.

    Raises:
        CheckpointError: See `Molmo.from_pretrained`.
        EngineError: There is no such engine, it may not be trusted, or it does not fit this machine or model.
        MolmoError: `engine` is not one of `ENGINES`, or does not go with another argument; `threads` is out of range.
    """
    if type(threads) is not int or not 0 <= threads <= MOST_THREADS:
        raise MolmoError(
            f"threads is {threads!r:.80}; it must be a whole number from 1 to {MOST_THREADS}, or 0 for all cores"
        )
    if engine not in ENGINES and engine not in HIDDEN:
        raise MolmoError(f"engine {engine!r:.80} is not known; it must be one of {', '.join(ENGINES)}")
    if engine == REMOTE:
        remote = server if isinstance(server, ServerArguments) else ServerArguments(server)
        name, fallback_engine = remote.fallback_model, remote.fallback_engine
        limits = {"device": device, "dtype": dtype, "threads": threads}
        load_fallback = partial(load_molmo, name, engine=fallback_engine, engine_path=engine_path, **limits)
        asked = open_remote(remote.choice(str(model)), name, load_fallback)
        asked.limit_crops(max_crops, latency_target)
        return asked
    if server:
        raise MolmoError(f"server goes with engine remote, not with {engine}")
    if engine_path and not (ENGINES | HIDDEN)[engine].runtimes:
        built = " or ".join(one.name for one in ENGINES.values() if one.runtimes)
        raise MolmoError(f"engine_path goes with engine {built}, not with {engine}")
    folder = checkpoint_folder(model)
    if threads:
        torch.set_num_threads(threads)
    runtime: EngineRuntime | None = None
    kept: KeptPassTimes | None = None
    if engine == AUTO:
        runtime = _fastest(folder, device, dtype, threads)
        engine = TORCH if runtime is None else ONNX
    if engine == PARSED.name:
        with system_errors(f"engine {engine} cannot run {model}"):
            runtime = _parse_and_open(folder, DTYPES[dtype])
        return Molmo.from_runtime(runtime, folder, most_crops=runtime.shapes.max_crops)
    if engine == TORCH:
        return Molmo.from_pretrained(
            model, device=device, dtype=dtype, max_crops=max_crops, latency_target=latency_target
        )
    if dtype != "float32":
        raise MolmoError(
            f"dtype {dtype} goes with engine torch; an engine has the precision it was built with"
        )
    with system_errors(f"engine {engine} cannot run {model}"):
        if runtime is None and (
            engine_path or not (engine == ONNX and _exports_at_once(folder, device, dtype))
        ):
            chosen = _engine_folder(engine, model, folder, engine_path)
            names = [one.name for one in ENGINES[engine].runtimes]
            runtime = open_engine(chosen, folder, device, names, threads)
            kept = KeptPassTimes(chosen, threads)
        elif runtime is None:
            runtime = _export_and_open(folder, threads)
    most = runtime.shapes.max_crops
    if max_crops is not None and most < max_crops <= MOST_TILES:
        raise EngineError(
            f"max_crops {max_crops} is more than the {most} that the engine was built for; build it with "
            f"--max-crops {max_crops}: {runtime.rebuild}"
        )
    molmo = Molmo.from_runtime(runtime, folder, most_crops=most)
    if kept is not None:
        molmo.answerer.pass_times.begin_with(kept.read(), kept.write)
    molmo.limit_crops(max_crops, latency_target)
    return molmo


def open_engine(
    engine: Path, checkpoint: Path, device: str = "cpu", runtimes: Sequence[str] = (), threads: int = 0
) -> EngineRuntime:
    """An engine that was built, for a checkpoint.

    Everything is checked before anything is used: owner and mode, hashes, and whether it is of this GPU, this
    TensorRT and this checkpoint.

    Args:
        engine: Its folder.
        checkpoint: The checkpoint's folder, for token embeddings and point head.
        device: See `load_molmo`.
        runtimes: What may run it; nothing for anything.
        threads: See `load_molmo`.

    Raises:
        EngineError: See `load_molmo`.
    """
    manifest = Manifest.read(engine)
    if runtimes and manifest.runtime not in runtimes:
        raise EngineMismatchError(
            f"{manifest.name} is an engine of {manifest.runtime}; here one of {' or '.join(runtimes)} is asked for"
        )
    runs_it = RUNTIMES[manifest.runtime]
    gpu = gpu_capability() if runs_it.gpu else None
    check_engine(
        manifest,
        checkpoint_sha256=checkpoint_sha256(checkpoint),
        runtime_version=installed_version(runs_it.package) if runs_it.gpu else None,
        compute_capability=gpu,
    )
    stored, dtype, shapes = StoredParameters(checkpoint), DTYPES[manifest.dtype], manifest.shapes
    shapes.check_model(stored.config, manifest.command)
    if runs_it.gpu:
        _check_gpu(manifest, gpu)
    files, rebuild = TrustedFiles(engine, manifest), manifest.command
    setup = RunnerSetup(runs_it, files, stored.config, shapes, dtype, rebuild, device, threads, engine)
    opened = with_look_ups(stored, shapes, open_runner(setup), rebuild)
    opened.manifest = manifest
    return opened


def _check_gpu(manifest: Manifest, gpu: str | None) -> None:
    """Refuses a machine without what engines for GPUs run on."""
    if gpu is None:
        others = " or ".join(
            one.name for one in ENGINES.values() if one.name not in (AUTO, REMOTE) and not one.gpu
        )
        raise EngineMismatchError(
            f"{manifest.name} runs on a GPU, and CUDA sees none on this machine; --engine {others} need none"
        )
    if not torch.cuda.is_available():
        raise EngineError(
            f"{manifest.name} needs a torch with CUDA, which keeps its memory; torch {torch.__version__} has none"
        )


def _engine_folder(engine: str, model: str | Path, checkpoint: Path, path: str | Path | None) -> Path:
    """The engine that was named, or the newest that was built for this checkpoint."""
    if path:
        return find_engine(path)
    wanted, gpu = checkpoint_sha256(checkpoint), gpu_capability()
    found = find_engines()
    built = [
        (manifest.compute_capability in (None, gpu), manifest.created, folder)
        for folder, manifest in found
        if isinstance(manifest, Manifest)
        and RUNTIMES[manifest.runtime] in ENGINES[engine].runtimes
        and manifest.checkpoint_sha256 == wanted
    ]
    if built:
        return max(built)[2]  # those of this GPU go before newer ones of another
    if errors := [str(error) for _, error in found if not isinstance(error, Manifest)]:
        raise EngineError(f"no {engine} engine of {model} can be used: {'; '.join(errors)}")
    raise EngineError(
        f"no {engine} engine was built for {model} on this machine: molmo-ros build {model} --target "
        f"{ENGINES[engine].target}"
    )


def _fastest(folder: Path, device: str, dtype: str, threads: int) -> EngineRuntime | None:
    """The model in onnxruntime where that is the faster way; None where torch is, or where it does not work."""
    if not _exports_at_once(folder, device, dtype):
        return None
    try:
        return _export_and_open(folder, threads)
    except CheckpointError:  # torch could not read it either
        raise
    except Exception as error:
        # Whatever a broken installation, a small machine or another version's library raises.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        LOG.warning("onnxruntime cannot run %s, so torch does, more slowly: %.300s", folder, reason)
        return None


def _exports_at_once(folder: Path, device: str, dtype: str) -> bool:
    """Whether the model is small, and everything for onnxruntime is here."""
    if device != "cpu" or dtype != "float32":
        return False
    if importlib.util.find_spec("onnx") is None or not _onnxruntime_is_new():
        return False
    return 4 * sum(map(prod, StoredParameters(folder).shapes.values())) <= SMALL


def _onnxruntime_is_new() -> bool:
    """Whether there is one that has all operators of the graphs."""
    try:
        return version_numbers(version("onnxruntime")) >= OLDEST_ONNXRUNTIME
    except PackageNotFoundError:
        return False


def _export_and_open(folder: Path, threads: int) -> EngineRuntime:
    """The model in onnxruntime, for images and contexts of any size that it takes; nothing is written anywhere."""
    from molmo_ros.engine.graphs.export import graphs_in_memory
    from molmo_ros.engine.runtimes.onnx_runner import OnnxRunner
    from molmo_ros.molmo.catalog.model_parts import read_image_processing

    stored = StoredParameters(folder)
    context, eight_bits = stored.config.decoder.max_positions, read_image_processing(folder).style.eight_bits
    graphs = graphs_in_memory(
        stored.config, context, torch.float32, lambda name: stored.read(name, torch.float32), eight_bits
    )
    runner = OnnxRunner(graphs, stored.config.decoder, context, torch.float32, threads=threads)
    return with_look_ups(stored, Shapes.of_context(context), runner)


def _parse_and_open(folder: Path, dtype: torch.dtype) -> EngineRuntime:
    """The networks that TensorRT makes of the model's graphs, with an engine's usual limits, computed in torch."""
    from molmo_ros.engine.graphs.export import DECODER, VISION, export_graphs
    from molmo_ros.engine.runtimes.parsed_runner import parsed_runner
    from molmo_ros.molmo.catalog.model_parts import read_image_processing

    stored = StoredParameters(folder)
    images = read_image_processing(folder)
    shapes = Shapes.of(stored.config, images, None, None)
    with TemporaryDirectory() as made:
        graphs = Path(made)
        export_graphs(
            graphs,
            stored.config,
            shapes.max_context,
            dtype,
            lambda name: stored.read(name, torch.float32),
            eight_bits=images.style.eight_bits,
        )
        lowerings = dict.fromkeys((VISION, DECODER), "native")
        runner = parsed_runner(TENSORRT_RTX.package, lowerings, graphs, stored.config, shapes, dtype)
    return with_look_ups(stored, shapes, runner)


def with_look_ups(
    stored: StoredParameters, shapes: Shapes, runner: GraphRunner, rebuild: str = ""
) -> EngineRuntime:
    """The engine with what stays in torch, read from the checkpoint."""
    config = stored.config
    embedding: Embedding
    if (
        runner.device.type == "cuda"
    ):  # a table of around a gigabyte, of which a prompt needs some hundred rows
        embedding = EmbeddingRows(stored, runner.dtype, runner.device)
    else:
        with torch.device("meta"):
            table = TokenEmbedding(config.decoder)
        embedding = _filled(table, "decoder.embedding", stored, runner)
    head = None
    if config.point_head is not None:
        with torch.device("meta"):
            head = PointHead(config.point_head, config.decoder, config.vision.feature_width)
        head = _filled(head, "point_head", stored, runner)
    return EngineRuntime(config, shapes, runner, embedding, head, rebuild or "molmo-ros build")


def _filled(part: Part, prefix: str, stored: StoredParameters, runner: GraphRunner) -> Part:
    """A part of the model, with its parameters where the runner is and as it computes."""
    state = {
        name: torch.empty(value.shape, dtype=runner.dtype, device=runner.device)
        for name, value in part.state_dict().items()
    }
    stored.fill({f"{prefix}.{name}": value for name, value in state.items()})
    part.load_state_dict(state, assign=True)
    return part.eval()
