# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a finished engine is worth, measured as far as this machine can: its networks, and its answers.

With the engine's GPU the engine itself answers. Without it, TensorRT's parsed networks are computed on the CPU: whole,
and asked, where the model is small; else some of their blocks on real activations. Memory that runs out ends the
measuring and not the build.
"""

from __future__ import annotations

import gc
import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from molmo_ros.engine.benchmark_gate import BenchmarkAnswers, BenchmarkGate, BenchmarkVerdict
from molmo_ros.engine.build_plan import BuildPlan
from molmo_ros.engine.load import with_look_ups
from molmo_ros.engine.network_check import CheckedGraphs, NetworkReport, check_networks, some_blocks
from molmo_ros.engine.quality_gate import AskedPicture, GateReport, Question, questions, record
from molmo_ros.engine.quantisation.decoder_prompts import Example
from molmo_ros.engine.quantisation.quantised_parameters import QuantisedParameters
from molmo_ros.engine.quantisation.simulated import simulated
from molmo_ros.engine.runtime_table import ONNXRUNTIME
from molmo_ros.engine.runtimes.graph_runner import RunnerSetup, open_runner
from molmo_ros.engine.runtimes.parsed_runner import parsed_runner
from molmo_ros.engine.targets import TensorRTTarget, this_gpu
from molmo_ros.engine.tensorrt.builder import BuildProgress
from molmo_ros.engine.tensorrt.module import load_tensorrt
from molmo_ros.engine.tensorrt.parsed.memory_need import (
    NotEnoughMemoryError,
    available,
    check_memory,
)
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.runtime import Runtime
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import load_checkpoint
from molmo_ros.molmo.weights.stored_parameters import StoredParameters

T = TypeVar("T")
SMALL_GRAPH = 1 << 30
"""Graphs up to this size [bytes] are computed whole on the CPU, and asked, where the GPU is another's."""
ROOM_ON_GPU = 1.3
"""A model's weights on a GPU, and what its passes take beside them, as a multiple of the weights."""
CHECKED = 1
"""Pictures that parsed networks of real size are computed on."""


@dataclass(frozen=True)
class GateResult:
    """What was found.

    Attributes:
        answers: Compared with the 16-bit model's; None where nothing here computes them.
        network: TensorRT's networks compared with torch; None where the engine itself answered, or nothing could.
        measured: What ran; or, without answers, why not.
        benchmark: Of a benchmark, the engine's score beside the 16-bit model's; None where none was asked.
    """

    answers: GateReport | None
    network: NetworkReport | None
    measured: str
    benchmark: BenchmarkVerdict | None = None

    def as_dict(self) -> dict[str, object] | None:
        """For a manifest; None where nothing was found."""
        if self.answers is None and self.network is None and self.benchmark is None:
            return None
        found: dict[str, object] = {} if self.answers is None else self.answers.as_dict()
        if self.network is not None:
            found["network"] = self.network.as_dict()
        if self.benchmark is not None:
            found["benchmark"] = dict(self.benchmark.figures)
        return found | {"measured": self.measured}

    def text(self) -> str:
        """For people."""
        said = [] if self.answers is None else [self.answers.text()]
        said += [] if self.benchmark is None else [self.benchmark.text]
        said = [*said, f"Measured with {self.measured}."] if said else [f"not measured: {self.measured}"]
        return " ".join(said if self.network is None else [*said, self.network.text()])


class UnfinishedFiles:
    """`EngineFiles` of a build that goes on: this process has just written them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def content(self, name: str) -> mmap.mmap:
        """See `EngineFiles`; mapped, so that only what is read takes memory."""
        with (self._folder / name).open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def opened(self, open_in: Callable[[Path], T]) -> T:
        """See `EngineFiles`."""
        return open_in(self._folder)


class GateMeasurement:
    """Of one build."""

    def __init__(
        self,
        plan: BuildPlan,
        folder: Path,
        quantised: QuantisedParameters | None,
        lowerings: Mapping[str, str],
        progress: BuildProgress,
    ) -> None:
        """Measures nothing yet.

        Args:
            plan: What was built.
            folder: Has its graphs and engines.
            quantised: Its weights of few bits; None without.
            lowerings: Of each graph by its file's name, as TensorRT took it; empty without TensorRT.
            progress: Called as it goes on.
        """
        self.plan, self.folder, self.quantised = plan, folder, quantised
        self.lowerings, self.progress = lowerings, progress
        self.stored = StoredParameters(plan.checkpoint)

    def run(
        self, gate: Sequence[AskedPicture], thorough: bool = False, benchmark: BenchmarkGate | None = None
    ) -> GateResult:
        """Measures what can be.

        Args:
            gate: What is asked; nothing leaves the gate out.
            thorough: Whether to compute all blocks of a parsed network of real size, and not three of them.
            benchmark: Is asked besides; None for none.

        Raises:
            EngineError: What TensorRT parsed is not the model, or the engine cannot be run.
        """
        if not gate and benchmark is None:
            return GateResult(None, None, "it was left out")
        network = None
        try:
            network = self._network(gate, thorough) if gate else None
            if not self._measurable():
                plan = self.plan
                why = f"nothing on this machine computes answers in {plan.precision} as a {plan.target.name} will"
                return GateResult(None, network, why)
            answers, verdict, measured = self._answers(gate, benchmark)
        except NotEnoughMemoryError as error:
            return GateResult(None, network, str(error))
        except (MemoryError, torch.cuda.OutOfMemoryError) as error:
            return GateResult(
                None, network, f"memory ran out ({str(error).splitlines()[0] if str(error) else 'host'})"
            )
        finally:
            _free()
        return GateResult(answers, network, measured, verdict)

    def _network(self, gate: Sequence[AskedPicture], thorough: bool) -> NetworkReport | None:
        """TensorRT's networks in float32; None where the engine itself will answer, or none was made."""
        plan = self.plan
        if not isinstance(plan.target, TensorRTTarget) or self._runs_here():
            return None
        graphs = [self.folder / f"{part}.onnx" for part in ("vision", "decoder")]
        check_memory(graphs, plan.config.decoder, plan.shapes)
        package = plan.target.runtime.package
        checked = CheckedGraphs(
            load_tensorrt(package),
            self.lowerings,
            self.folder,
            plan.shapes.max_context,
            plan.dtype,
            self.quantised,
        )
        blocks = None if thorough or self._small() else some_blocks(plan.config.decoder.layers)
        examples = [Example(image, query) for image, query in gate[:CHECKED]]

        def progress(done: int, of: int) -> None:
            self.progress("parsed network", done, of)

        return check_networks(checked, plan.checkpoint, examples, blocks, progress)

    def _answers(
        self, gate: Sequence[AskedPicture], benchmark: BenchmarkGate | None
    ) -> tuple[GateReport | None, BenchmarkVerdict | None, str]:
        """Answers compared with the 16-bit model's, to the gate's and to a benchmark's questions; what gave them."""
        device = self._device()
        dtype = str(self.plan.dtype).removeprefix("torch.")
        network = load_checkpoint(self.plan.checkpoint, device=device, dtype=dtype, tie_equal_head=True)
        molmo = self._molmo(TorchRuntime(network))
        asked = questions(molmo.crop_budget, gate, self.plan.shapes.max_crops)
        references = record(molmo, asked, self._count("reference answers", asked))
        scored = self._benchmark(benchmark, molmo, "reference answers to the benchmark")
        if self.quantised is not None and not self._runs_here() and not self._parsed():
            network, measured = (
                simulated(network, self.quantised),
                f"torch on {device} and the engine's weights",
            )
            runtime: Runtime = TorchRuntime(network)
        else:
            del network, molmo
            _free()  # TensorRT takes its memory from the device, and not from what torch keeps
            runtime, measured = self._engine()
        engine = self._molmo(runtime)
        answers = record(engine, asked, self._count("the engine's answers", asked))
        report = GateReport(asked, references, answers) if asked else None
        if benchmark is None:
            return report, None, measured
        verdict = benchmark.judge(
            scored, self._benchmark(benchmark, engine, "the engine's answers to the benchmark")
        )
        return report, verdict, measured

    def _benchmark(self, benchmark: BenchmarkGate | None, molmo: Molmo, stage: str) -> BenchmarkAnswers:
        """A model's answers to a benchmark; none without one."""
        if benchmark is None:
            return {}
        return benchmark.ask(molmo, lambda done, total: self.progress(stage, done, total))

    def _device(self) -> str:
        """Where the 16-bit model has room: a GPU that is smaller than it answers as an engine of few bits all the same.

        Raises:
            NotEnoughMemoryError: Nowhere.
        """
        needed = int(ROOM_ON_GPU * sum(self.plan.sizes.values()) * self.plan.dtype.itemsize)
        if torch.cuda.is_available() and torch.cuda.mem_get_info()[0] > needed:
            return "cuda"
        if needed > available():
            raise NotEnoughMemoryError(
                f"the 16-bit model that answers are compared with takes about {needed / 1e9:.1f} GB of memory; "
                f"{available() / 1e9:.1f} GB are free"
            )
        return "cpu"

    def _count(self, stage: str, asked: Sequence[Question]) -> Callable[[int], None]:
        return lambda done: self.progress(stage, done, len(asked))

    def _molmo(self, runtime: Runtime) -> Molmo:
        return Molmo.from_runtime(runtime, self.plan.checkpoint, self.plan.shapes.max_crops)

    def _runs_here(self) -> bool:
        return self.plan.target.runs_on(this_gpu() if torch.cuda.is_available() else None)

    def _small(self) -> bool:
        return sum(path.stat().st_size for path in self.folder.glob("*.weights")) <= SMALL_GRAPH

    def _parsed(self) -> bool:
        """Whether the parsed networks answer."""
        return isinstance(self.plan.target, TensorRTTarget) and not self._runs_here() and self._small()

    def _measurable(self) -> bool:
        """Whether anything here answers as the engine will."""
        return self._runs_here() or self.plan.quantised or self._parsed()

    def _engine(self) -> tuple[Runtime, str]:
        """The engine where its GPU is here, else its networks; and which of these it is."""
        plan = self.plan
        if self._parsed():
            assert isinstance(plan.target, TensorRTTarget)
            package = plan.target.runtime.package
            parsed = parsed_runner(package, self.lowerings, self.folder, plan.config, plan.shapes, plan.dtype)
            return (
                with_look_ups(self.stored, plan.shapes, parsed, plan.command),
                "the networks that TensorRT parsed, on the CPU",
            )
        runtime = plan.target.runtime
        setup = RunnerSetup(
            runtime, UnfinishedFiles(self.folder), plan.config, plan.shapes, plan.dtype, plan.command
        )
        graphs = runtime is ONNXRUNTIME
        measured = "onnxruntime and the engine's graphs" if graphs else "the engine itself"
        return with_look_ups(self.stored, plan.shapes, open_runner(setup), plan.command), measured


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
