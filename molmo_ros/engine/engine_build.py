# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Builds an engine: quantised weights, graphs, engines, the quality gate, and at last the manifest.

Every part appears under its name only when it is complete and stays in the building folder, so that the next build of
the same goes on after it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from molmo_ros.engine.benchmark_gate import BenchmarkGate
from molmo_ros.engine.build_plan import BuildPlan
from molmo_ros.engine.errors import EngineError, system_errors
from molmo_ros.engine.gate_measurement import GateMeasurement
from molmo_ros.engine.graphs.export import DECODER, VISION, export_graphs
from molmo_ros.engine.quality import QualityThreshold
from molmo_ros.engine.quality_gate import AskedPicture
from molmo_ros.engine.quantisation.decoder_prompts import Example, calibration_prompts, open_before_blocks
from molmo_ros.engine.quantisation.decoder_quantiser import quantise_decoder
from molmo_ros.engine.quantisation.quantised_parameters import QuantisedParameters
from molmo_ros.engine.store.build_folder import BuildFolder
from molmo_ros.engine.store.checkpoint_hash import checkpoint_sha256
from molmo_ros.engine.store.driver import driver_version
from molmo_ros.engine.store.engines_home import engines_home
from molmo_ros.engine.store.manifest import EngineFile, Manifest
from molmo_ros.engine.targets import TensorRTTarget, cache_file
from molmo_ros.engine.tensorrt.builder import BuildProgress, BuildReport, BuildRequest, build_engine
from molmo_ros.engine.tensorrt.shape_profiles import decoder_profile, prompt_profile, vision_profile
from molmo_ros.molmo.catalog.checksums import sha256_of
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

T = TypeVar("T")
DESCRIPTION = "build.json"
QUANTISED = "quantised"
PACKAGES = ("molmo_ros", "torch", "onnx", "onnxruntime")
MOST_STORED, KERNELS = 1.5, 64e6
"""An engine of two profiles may have as many times the size of its weights, and of kernels [bytes]: more is a second
copy of the weights."""
CURES = "Build with more bits, or with pictures of your own (--pictures), or take it as it is with --force"
PROFILES = {VISION: vision_profile, DECODER: decoder_profile}


def build(
    plan: BuildPlan,
    calibration: Sequence[Example],
    gate: Sequence[AskedPicture],
    *,
    threshold: QualityThreshold | None = None,
    force: bool = False,
    thorough: bool = False,
    benchmark: BenchmarkGate | None = None,
    home: Path | None = None,
    progress: BuildProgress | None = None,
) -> tuple[Path, str]:
    """Builds an engine and puts it where engines are kept.

    Args:
        plan: What to build.
        calibration: Pictures with queries that quantisation is calibrated on; not looked at without quantisation.
        gate: What the quality gate asks; nothing leaves the gate out.
        threshold: What the engine must keep.
        force: Whether an engine that does not is kept all the same.
        thorough: See `GateMeasurement.run`.
        benchmark: A benchmark that is asked, too.
        home: Where engines are kept; default `engines_home`.
        progress: Called as the build goes on.

    Returns:
        The engine's folder, and what the quality gate found, for people.

    Raises:
        EngineError: A part cannot be built or written, or the quality gate refuses the engine; what is finished is
            kept for the next build.
        CheckpointError: The checkpoint cannot be read.
    """
    with system_errors(f"the engine {plan.name} cannot be built"):
        return _Build(plan, home or engines_home(), progress or (lambda *_: None)).run(
            calibration, gate, threshold or QualityThreshold(), force, thorough, benchmark
        )


class _Build:
    """One build, part by part."""

    def __init__(self, plan: BuildPlan, home: Path, progress: BuildProgress) -> None:
        self.plan, self.home, self.progress = plan, home, progress
        self.stored = StoredParameters(plan.checkpoint)
        self.versions = _versions(plan)
        self.checkpoint_sha256 = checkpoint_sha256(plan.checkpoint)

    def run(
        self,
        calibration: Sequence[Example],
        gate: Sequence[AskedPicture],
        threshold: QualityThreshold,
        force: bool,
        thorough: bool,
        benchmark: BenchmarkGate | None = None,
    ) -> tuple[Path, str]:
        plan = self.plan
        description: dict[str, object] = {
            "checkpoint_sha256": self.checkpoint_sha256,
            "target": plan.target.name,
            "precision": plan.precision,
            "shapes": asdict(plan.shapes),
            "versions": self.versions,
            "calibration_sha256": _examples_sha256(calibration) if plan.quantised else None,
        }
        with BuildFolder(self.home, plan.name) as building:
            folder = building.path
            _start(folder, description)
            self._check_disk(folder)
            quantised = self._quantise(folder / QUANTISED, calibration) if plan.quantised else None
            self._export(folder, quantised)
            lowerings = {}
            if isinstance(plan.target, TensorRTTarget):
                lowerings = self._build_engines(folder, plan.target)
            measurement = GateMeasurement(plan, folder, quantised, lowerings, self.progress)
            result = measurement.run(gate, thorough, benchmark)
            said = result.text()
            if result.answers is not None and (failed := result.answers.failed(threshold)) and not force:
                raise EngineError(
                    f"the engine's answers to pictures of {' and of '.join(failed)} are too far from those of the "
                    f"16-bit model: {said} At least "
                    f"{threshold.same_points:.0%} must have as many points, and 95 % of the points move by at most "
                    f"{threshold.drift:g} px. {CURES}"
                )
            if result.benchmark is not None and result.benchmark.refusal and not force:
                raise EngineError(f"{result.benchmark.refusal}: {said} {CURES}")
            return building.install(self._manifest(folder, description, result.as_dict())), said

    def _manifest(
        self, folder: Path, description: dict[str, object], quality: dict[str, object] | None
    ) -> Manifest:
        """What is known of the finished engine."""
        plan = self.plan
        return Manifest(
            name=plan.name,
            model=plan.model,
            runtime=plan.target.runtime.name,
            target=plan.target.name,
            precision=plan.precision,
            dtype=str(plan.dtype).removeprefix("torch."),
            shapes=plan.shapes,
            checkpoint_sha256=self.checkpoint_sha256,
            build=description,
            versions=self.versions,
            compute_capability=plan.target.compute_capability,
            files={name: _hashed(folder / name) for name in plan.target.runtime.files},
            quality=quality,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            command=plan.command,
        )

    def _check_disk(self, folder: Path) -> None:
        """Refuses a disk that the build would fill."""
        done = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        free, needed = shutil.disk_usage(folder).free, self.plan.estimate().disk - done
        if free < needed:
            raise EngineError(
                f"{folder} has {free / 1e9:.1f} GB of disk left; the build needs about {needed / 1e9:.1f} GB more. "
                "Make room, or set MOLMO_ROS_HOME to a larger disk"
            )

    def _quantise(self, folder: Path, calibration: Sequence[Example]) -> QuantisedParameters:
        """The decoder's weights in few bits, block by block."""
        plan, layers = self.plan, self.plan.config.decoder.layers
        self.progress("calibration", 0, 1)
        prompts = calibration_prompts(open_before_blocks(plan.checkpoint), calibration)
        self.progress("calibration", 1, 1)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return quantise_decoder(
            folder,
            plan.config.decoder,
            plan.precision,
            plan.dtype,
            self._read,
            prompts,
            device=device,
            progress=lambda layer: self.progress("quantised blocks", layer + 1, layers),
        )

    def _export(self, folder: Path, quantised: QuantisedParameters | None) -> None:
        total, written = int(self.plan.weight_bytes()), 0

        def count(size: int) -> None:
            nonlocal written
            written += size
            self.progress("graphs", min(written, total), total)

        read = self._read if quantised is None else quantised.read
        plan, context = self.plan, self.plan.shapes.max_context
        export_graphs(folder, plan.config, context, plan.dtype, read, count, quantised, plan.eight_bits)

    def _build_engines(self, folder: Path, target: TensorRTTarget) -> dict[str, str]:
        """Both engines; one that is there is complete.

        Returns:
            Which lowering of each graph they are of: not always the one that was asked for.
        """
        plan, tensorrt = self.plan, target.runtime.package
        # TensorRT for RTX chooses kernels where the engine runs, and times none here.
        cache = None if target.ahead else cache_file(self.home, target, self.versions[tensorrt])
        lowerings: dict[str, str] = {}
        for graph, profile in PROFILES.items():
            engine, record = ((folder / graph).with_suffix(end) for end in (".engine", ".lowering"))
            if engine.exists() and record.exists():
                lowerings[graph] = record.read_text(encoding="utf-8")
                continue
            prompts_apart = graph == DECODER and plan.prompts_apart
            request = BuildRequest(
                graph=folder / graph,
                engine=engine,
                tensorrt=tensorrt,
                lowering=target.lowering(self.versions[tensorrt]),
                capability=target.capability if target.ahead else None,
                profile=profile(plan.config, plan.shapes),
                timing_cache=cache,
                prompt_profile=prompt_profile(plan.config, plan.shapes) if prompts_apart else None,
            )
            report = self._build_engine(request)
            weights = request.graph.with_suffix(".weights").stat().st_size
            if prompts_apart and report.engine_size > MOST_STORED * weights + KERNELS:
                report = self._build_engine(replace(request, prompt_profile=None))
            lowerings[graph] = report.lowering
            _write_record(record, report.lowering)
        return lowerings

    def _build_engine(self, request: BuildRequest) -> BuildReport:
        part = request.engine.stem
        return build_engine(
            request, lambda phase, done, of: self.progress(f"{part}: {phase.lower()}", done, of)
        )

    def _read(self, name: str) -> torch.Tensor:
        return self.stored.read(name, torch.float32)


def _start(folder: Path, description: dict[str, object]) -> None:
    """Empties a building folder that was left by a build of something else."""
    path = folder / DESCRIPTION
    written = json.dumps(description, sort_keys=True, indent=1)
    if path.exists() and path.read_text(encoding="utf-8") == written:
        return
    for one in folder.iterdir():
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        elif not one.name.startswith("."):
            one.unlink()
    try:
        path.write_text(written, encoding="utf-8")
    except OSError as error:
        raise EngineError(f"{folder} cannot be written to: {error.strerror or error}") from error


def _write_record(path: Path, text: str) -> None:
    """Complete under its name, or not there."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _examples_sha256(examples: Sequence[Example]) -> str:
    """Tells whether the same pictures with the same words were calibrated on."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(f"{example.image.shape} {example.query}\0{example.answer}\0".encode())
        digest.update(np.ascontiguousarray(example.image).tobytes())
    return digest.hexdigest()


def _hashed(path: Path) -> EngineFile:
    return EngineFile(sha256_of(path), path.stat().st_size)


def _versions(plan: BuildPlan) -> dict[str, str]:
    """Of everything that an engine depends on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    found |= plan.target.builder_versions()
    if torch.cuda.is_available():
        found["cuda"] = str(torch.version.cuda)
    if driver := driver_version():
        found["driver"] = driver
    return found
