# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Builds TensorRT engines of a model on this machine and opens them, for the benchmarks of GPUs."""

from __future__ import annotations

from pathlib import Path

from molmo_ros.engine.graphs.export import DECODER, VISION, export_graphs
from molmo_ros.engine.runtime_table import TENSORRT, TENSORRT_RTX
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.tensorrt_runner import TensorRTRunner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.targets import NATIVE_SINCE
from molmo_ros.engine.tensorrt.builder import BuildRequest, build_engine
from molmo_ros.engine.tensorrt.module import load_tensorrt, version_numbers
from molmo_ros.engine.tensorrt.shape_profiles import decoder_profile, prompt_profile, vision_profile
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.network.model import MolmoModel

MODULES = (TENSORRT.package, TENSORRT_RTX.package)
ELSEWHERE = (8, 6)
"""Compute capability that TensorRT for RTX builds for where there is no GPU: building is tried, loading fails."""


def open_tensorrt(
    model: MolmoModel,
    images: ImageProcessorConfig,
    module: str,
    into: Path,
    max_context: int | None = None,
    prompts_apart: bool = False,
) -> EngineRuntime:
    """Exports, builds and loads both engines.

    Args:
        model: On the device that they are to run on, in their dtype.
        images: Its image processing; `max_crops` is the most tiles that the engines take.
        module: One of `MODULES`.
        into: A folder with room for twice the weights.
        max_context: See `Shapes.of`.
        prompts_apart: Whether the decoder gets kernels for prompts in a second profile.

    Raises:
        EngineError: TensorRT is missing, or it refuses the graphs, the GPU or the engines.
    """
    trt = load_tensorrt(module)
    config, parameters = model.config, model.state_dict()
    shapes = Shapes.of(config, images, None, max_context)
    export_graphs(
        into,
        config,
        shapes.max_context,
        model.dtype,
        lambda name: parameters[name].cpu(),
        eight_bits=images.style.eight_bits,
    )
    profiles = {VISION: vision_profile(config, shapes), DECODER: decoder_profile(config, shapes)}
    ahead = module == TENSORRT_RTX.package and model.device.type != "cuda"
    native = module == TENSORRT_RTX.package or version_numbers(trt.__version__) >= NATIVE_SINCE
    plans = []
    for graph, profile in profiles.items():
        engine = (into / graph).with_suffix(".engine")
        build_engine(
            BuildRequest(
                graph=into / graph,
                engine=engine,
                tensorrt=module,
                lowering="native" if native else "legacy",
                capability=ELSEWHERE if ahead else None,
                profile=profile,
                prompt_profile=prompt_profile(config, shapes) if prompts_apart and graph == DECODER else None,
            )
        )
        plans.append(engine.read_bytes())
    runner = TensorRTRunner(*plans, config, shapes, model.dtype, trt, model.device, "this benchmark")
    return EngineRuntime(config, shapes, runner, model.decoder.embedding, model.point_head)
