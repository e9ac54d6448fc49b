# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How far the ONNX graphs are from the torch model, for every small model of the vectors and the embedded one.

    python benchmarks/graph_parity.py [FOLDER ...]

Each is exported in float32 and run by onnxruntime on the vectors' own images and tokens: the largest absolute
difference of image features, of logits over the whole prompt, of logits over six decoded tokens, and the same of the
graphs lowered for TensorRT 10.3. Values reach about 30 in features and 15 in logits; the bound in the tests
is 1e-4, or 1e-5 of the largest value.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from molmo_ros.engine.graphs.export import DECODER, VISION, export_graphs
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.onnx_runner import OnnxRunner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt.lowering import lower_file
from molmo_ros.molmo.network.model import MolmoModel, prefill_mask
from molmo_ros.molmo.running.runtime import ImageTensors, Runtime
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[1] / "test" / "vectors"
CONTEXT, STEPS = 1024, 6


def open_graphs(model: MolmoModel, folder: Path) -> EngineRuntime:
    """The graphs of a folder in onnxruntime."""
    runner = OnnxRunner(folder, model.config.decoder, CONTEXT, torch.float32)
    return EngineRuntime(
        model.config, Shapes.of_context(CONTEXT), runner, model.decoder.embedding, model.point_head
    )


@torch.inference_mode()
def outputs(runtime: Runtime, model: MolmoModel, arrays: dict[str, np.ndarray]) -> list[Tensor]:
    """Image features, logits of the prompt, logits of some decoded tokens."""
    inputs = {name: torch.from_numpy(value) for name, value in arrays.items() if value.dtype.kind != "U"}
    ids = inputs["input_ids"]
    if "images" in inputs:
        image = ImageTensors(inputs["images"][0], inputs["image_masks"][0], inputs["image_input_idx"][0])
        is_image = torch.zeros_like(ids, dtype=torch.bool)
    else:
        image = ImageTensors(inputs["pixel_values"], pooling=inputs["image_token_pooling"])
        is_image = inputs["token_type_ids"] > 0
    features = runtime.encode_image(image).tokens
    mask = prefill_mask(is_image, model.config.image_block)
    cache = runtime.cache(ids.shape[1] + STEPS)
    every = torch.arange(ids.shape[1])
    prompt = runtime.prefill(model.embed(ids, features), mask, cache, logits_for=every).logits
    decoded = [
        runtime.decode(model.decoder.embedding.row(7 * step + 5), cache).logits for step in range(STEPS)
    ]
    return [features, prompt, torch.cat(decoded, dim=1)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, default=sorted(VECTORS.glob("*-tiny")))
    args = parser.parse_args()
    torch.set_num_threads(1)
    columns = ("features", "prompt", "decoded", "lowered: features", "prompt", "decoded")
    print(f"| model | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for folder in args.folders:
        model = load_checkpoint(folder)
        arrays = dict(np.load(folder / "input.npz"))
        expected = outputs(TorchRuntime(model), model, arrays)
        with tempfile.TemporaryDirectory() as made:
            into = Path(made)
            export_graphs(into, model.config, CONTEXT, torch.float32, model.state_dict().__getitem__)
            found = outputs(open_graphs(model, into), model, arrays)
            for graph in (VISION, DECODER):
                lower_file(into / graph, into / f"lowered.{graph}", "legacy")
                shutil.move(into / f"lowered.{graph}", into / graph)
            found += outputs(open_graphs(model, into), model, arrays)
        cells = [
            f"{float((one - other).abs().max()):.1e}"
            for one, other in zip(expected + expected, found, strict=True)
        ]
        print(f"| {folder.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
